"""The correction tools as array operations: each takes arrays and returns a `Patch`."""

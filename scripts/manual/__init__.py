"""Pictures of the manual and of every panel, taken from the running program."""

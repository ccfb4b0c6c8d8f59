"""Measurements of speed and memory, each against what it replaces, in the same run."""

"""Worklist and two readers."""

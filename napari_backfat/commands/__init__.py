"""Subcommands of the command line, one module per topic; each has `register(app)`."""

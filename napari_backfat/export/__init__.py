"""The ways out of the program, each a module: layouts that other programs read."""

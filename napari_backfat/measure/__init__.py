"""From counts to numbers with units. Imports the model only."""

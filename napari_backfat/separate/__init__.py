"""From images to the map that tells fat from lean. Imports the model only."""

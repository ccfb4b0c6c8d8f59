"""The model as napari layers, and back. Knows napari, never Qt."""

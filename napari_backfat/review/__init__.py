"""What a user can do with a case, without any window. Knows neither napari nor Qt."""

"""napari-backfat: review and correct the back muscles of one MRI case."""

__version__ = "0.1.0"

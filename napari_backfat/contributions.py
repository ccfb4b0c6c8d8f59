"""The functions that the manifest names. Imports stand inside, so that napari starts fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_backfat.widgets.review_widget import ReviewWidget

LayerData = list[tuple[Any, ...]]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], LayerData] | None:
    """Return a reader for NIfTI files, or None for other files."""
    from napari_backfat.io.formats import format_of

    paths = [path] if isinstance(path, str) else list(path)
    if not paths or any(format_of(p) is None for p in paths):
        return None
    return _read


def _read(path: str | list[str]) -> LayerData:
    """Open the files in the review of the current window, or return plain layers without one."""
    paths = [path] if isinstance(path, str) else list(path)
    import napari

    from napari_backfat.layers.plain import plain_layers

    viewer = napari.current_viewer()
    if viewer is None:
        return plain_layers(paths)
    review = open_review_in(viewer)
    review.open_paths(paths)
    return [(None,)]  # napari's sign for: read, but nothing to add


def open_review_in(viewer: napari.Viewer) -> ReviewWidget:
    """Return the review panel of a window, opened if need be."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-backfat", "Back-fat review")
    review: ReviewWidget = widget
    return review


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a label layer as NIfTI; a mask of the open case gets the scan's exact grid."""
    from napari_backfat.layers.plain import write_label_layer

    return write_label_layer(path, data, meta)


def load_sample() -> LayerData:
    """Open the bundled synthetic case in the review."""
    from napari_backfat.io.sample import sample_paths

    sample = sample_paths()
    return _read([str(sample.water), str(sample.fat)])

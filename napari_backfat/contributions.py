"""The functions that the manifest names. Imports stand inside, so that napari starts fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LayerData = list[tuple[Any, ...]]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], LayerData] | None:
    """Return a reader for scans (files, DICOM folders and zips), or None for anything else."""
    from napari_backfat.io.formats import claims

    paths = [path] if isinstance(path, str) else list(path)
    return _read if paths and all(map(claims, paths)) else None


def _read(path: str | list[str]) -> LayerData:
    """Open the files in the review of the current window, or return plain layers without one."""
    paths = [path] if isinstance(path, str) else list(path)
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        from napari_backfat.layers.plain import plain_layers

        return plain_layers(paths)
    from napari_backfat.widgets.opening import open_review_in

    review = open_review_in(viewer)
    review.desk.gather_paths(paths)
    return [(None,)]  # napari's sign for: read, but nothing to add


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a label layer as NIfTI; a mask of the open case gets the scan's exact grid."""
    from napari_backfat.layers.plain import write_label_layer

    return write_label_layer(path, data, meta)


def load_sample() -> LayerData:
    """Open the bundled synthetic case in the review."""
    from napari_backfat.io.sample import sample_paths

    sample = sample_paths()
    return _read([str(sample.water), str(sample.fat)])

"""NIfTI files as plain napari layers, and label layers as NIfTI, without a review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.formats import read_image
from napari_backfat.io.labels import MUSCLE_NAMES, write_labels
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_GRID = "backfat_file_grid"
"""Key of a mask layer's metadata that holds the `FileGrid` for writing it."""
_RAS_OF_WORKING_ORDER = np.array([[0, 0, -1.0], [0, -1.0, 0], [-1.0, 0, 0]])


def plain_layers(paths: Sequence[str | Path]) -> list[tuple[Any, ...]]:
    """Return one image layer per file, in reading order (head-foot, front-back, right-left)."""
    layers = []
    for path in paths:
        volume = read_image(path).volume
        meta = {
            "name": Path(path).name,
            "scale": volume.geometry.spacing_mm,
            "units": ("mm",) * 3,
        }
        layers.append((volume.voxels, meta, "image"))
    return layers


def write_label_layer(path: str | Path, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a 3D label layer as NIfTI.

    A mask of a review carries its scan's file grid and gets exactly that order and affine. For any
    other layer napari knows no affine: its scale and translation become the grid, taken as
    head-foot, front-back, right-left.

    Parameters
    ----------
    path : str or Path
        File to write.
    data : array, shape (Z, Y, X)
        Label numbers up to 255.
    meta : dict
        napari's layer attributes.

    Returns
    -------
    list of str
        The file written.

    Raises
    ------
    BackfatError
        If the layer is not 3D or a label does not fit.
    """
    array = np.asarray(data)
    if array.ndim != 3 or array.min(initial=0) < 0 or array.max(initial=0) > 255:
        raise BackfatError("Only 3D label layers with label numbers from 0 to 255 can be saved.")
    known = (meta.get("metadata") or {}).get(FILE_GRID)
    if isinstance(known, FileGrid) and known.geometry.shape == array.shape:
        write_labels(path, array.astype(np.uint8), known, MUSCLE_NAMES)
        return [str(path)]
    scale = np.asarray(meta.get("scale", (1.0, 1.0, 1.0)), dtype=float)
    translate = np.asarray(meta.get("translate", (0.0, 0.0, 0.0)), dtype=float)
    affine = np.eye(4)
    affine[:3, :3] = _RAS_OF_WORKING_ORDER * scale
    affine[:3, 3] = _RAS_OF_WORKING_ORDER @ translate
    grid = FileGrid((*array.shape,), affine, (0, 1, 2), (False, False, False))
    write_labels(path, array.astype(np.uint8), grid, MUSCLE_NAMES)
    return [str(path)]

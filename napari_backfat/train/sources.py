"""The real label maps as stacks of axial slices with this project's label numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Scan, Source, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MUSCLEMAP_SHORT = {
    1: Muscle.MULTIFIDUS_RIGHT,
    2: Muscle.MULTIFIDUS_LEFT,
    3: Muscle.ERECTOR_SPINAE_RIGHT,
    4: Muscle.ERECTOR_SPINAE_LEFT,
    5: Muscle.PSOAS_MAJOR_RIGHT,
    6: Muscle.PSOAS_MAJOR_LEFT,
    7: Muscle.QUADRATUS_LUMBORUM_RIGHT,
    8: Muscle.QUADRATUS_LUMBORUM_LEFT,
}
_MUSCLEMAP_LONG = {
    5101: Muscle.MULTIFIDUS_LEFT,
    5102: Muscle.MULTIFIDUS_RIGHT,
    5111: Muscle.ERECTOR_SPINAE_LEFT,
    5112: Muscle.ERECTOR_SPINAE_RIGHT,
    5121: Muscle.PSOAS_MAJOR_LEFT,
    5122: Muscle.PSOAS_MAJOR_RIGHT,
    5131: Muscle.QUADRATUS_LUMBORUM_LEFT,
    5132: Muscle.QUADRATUS_LUMBORUM_RIGHT,
}
# Slices (head to foot) whose labels are whole; the others are empty or broken, seen by eye.
_USABLE = {
    "musclemap_abdomen_template": (8, 111),
    "musclemap_lumbar_a": (0, 19),
    "musclemap_lumbar_b": (12, 47),
    "musclemap_lumbar_c": (0, 25),
}


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Axial label slices of one map.

    Attributes
    ----------
    name : str
        File stem.
    labels : ndarray, shape (Z, Y, X), uint8
        Head to foot, front to back, patient right to left. 1 to 8 muscles, 33 unknown muscle.
    spacing_mm : tuple of float
        (Z, Y, X).
    """

    name: str
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def read_working(path: Path) -> tuple[NDArray[Any], FileGrid]:
    """Read a NIfTI array into the working order (Z, Y, X)."""
    import nibabel as nib

    image: Any = nib.load(path)
    grid = FileGrid.from_affine(image.shape[:3], image.affine)
    return np.ascontiguousarray(grid.to_working(np.asanyarray(image.dataobj))), grid


def scan_of(images: dict[Contrast, NDArray[Any]], grid: FileGrid, name: str) -> Scan:
    """Make a scan of working arrays (Z, Y, X) on one grid."""
    volumes = tuple(
        Volume(np.asarray(a, dtype=np.float32), grid, Source(name, ""), contrast)
        for contrast, a in images.items()
    )
    return Scan(volumes, volumes[0])


@lru_cache(maxsize=16)
def load_muscle_map(root: Path, name: str) -> SliceStack:
    """Load one map with muscle labels.

    Labels cut by the side of the source grid continue as "unknown muscle" for a few millimetres,
    because the real muscle goes on there.
    """
    raw, grid = read_working(root / "label_maps" / f"{name}.nii.gz")
    raw = np.rint(raw).astype(np.int32)
    table = _MUSCLEMAP_LONG if raw.max() > 1000 else _MUSCLEMAP_SHORT
    labels = np.zeros(raw.shape, dtype=np.uint8)
    for source, muscle in table.items():
        labels[raw == source] = muscle
    labels[(raw == 5141) | (raw == 5142)] = 9  # latissimus dorsi: a muscle, but none of the eight
    first, last = _USABLE.get(name, (0, raw.shape[0] - 1))
    labels = labels[first : last + 1]
    spacing = grid.geometry.spacing_mm
    margin = int(12 / spacing[2])
    padded = np.pad(labels, ((0, 0), (margin, margin), (margin, margin)))
    for side, edge in ((slice(0, margin), margin), (slice(-margin, None), -margin - 1)):
        cut = padded[:, :, edge : edge + 1] if edge > 0 else padded[:, :, edge][:, :, None]
        continued = np.repeat(np.where(cut > 0, 33, 0), margin, axis=2).astype(np.uint8)
        padded[:, :, side] = np.where(padded[:, :, side] == 0, continued, padded[:, :, side])
    return SliceStack(name, _smooth(padded, spacing), spacing)


def _smooth(labels: NDArray[np.uint8], spacing: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Smooth voxel stairs and slice-to-slice jitter of a label map (about 0.6 mm in plane)."""
    best = np.full(labels.shape, 0.0, dtype=np.float32)
    out = np.zeros_like(labels)
    covered = np.zeros(labels.shape, dtype=np.float32)
    sigma = (0.35, 0.7 / spacing[1], 0.7 / spacing[2])
    for value in np.unique(labels)[1:]:
        weight = ndimage.gaussian_filter((labels == value).astype(np.float32), sigma)
        covered += weight
        better = weight > best
        out[better], best[better] = value, weight[better]
    out[covered < 0.5] = 0
    return out

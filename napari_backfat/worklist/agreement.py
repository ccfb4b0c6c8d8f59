"""How far two readings of one scan agree: overlap, distances, volume and fat, muscle by muscle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.dixon import fat_fraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.io.session import OpenedCase
    from napari_backfat.model.volume import Scan

NAN = math.nan


@dataclass(frozen=True)
class Agreement:
    """Two readings of one muscle.

    Attributes
    ----------
    muscle : str
        Name, or "All muscles".
    dice : float
        2 |A and B| / (|A| + |B|); NaN where neither has the muscle. For all muscles together a
        voxel counts as common where both readers name the same muscle.
    mean_surface_mm : float
        Mean distance of a surface voxel to the other reader's surface, both directions pooled,
        mm; NaN where one reader has none.
    hausdorff95_mm : float
        The larger of both directions' 95th percentile of that distance, mm.
    volume_a_ml, volume_b_ml : float
        Volumes.
    volume_difference_ml : float
        B minus A.
    fat_a, fat_b : float
        Mean fat fraction, percent (Dixon); NaN where there is none.
    fat_difference : float
        B minus A, percentage points.
    fat_share_a, fat_share_b : float
        Voxels called fat among those called lean or fat, percent.
    fat_share_difference : float
        B minus A, percentage points.
    """

    muscle: str
    dice: float
    mean_surface_mm: float
    hausdorff95_mm: float
    volume_a_ml: float
    volume_b_ml: float
    volume_difference_ml: float
    fat_a: float
    fat_b: float
    fat_difference: float
    fat_share_a: float
    fat_share_b: float
    fat_share_difference: float


class _WithScan(Protocol):
    @property
    def scan(self) -> Scan: ...


def same_scan(a: _WithScan, b: _WithScan) -> None:
    """Refuse two cases that were not made of the same images.

    Raises
    ------
    BackfatError
        If images or grids differ.
    """
    first, second = (tuple(v.source.sha256 for v in case.scan.read) for case in (a, b))
    if first != second:
        raise BackfatError(
            "The two cases were made of different images; two readings of one scan are compared."
        )
    if not a.scan.geometry.same_grid(b.scan.geometry):
        raise BackfatError("The two cases lie on different grids and cannot be compared.")


def compare_readings(a: OpenedCase, b: OpenedCase) -> list[Agreement]:
    """Compare two readings of one scan.

    The mean fat fraction is that of the images under each reader's mask, F / (F + W) where there
    is enough signal (`separate.dixon.fat_fraction`), so that it differs by the outline alone; the
    fat share is what each reader's tissue map says, with threshold and hand-painted marks.

    Parameters
    ----------
    a, b : OpenedCase
        The readings.

    Returns
    -------
    list of Agreement
        One per muscle that at least one reader has, then all muscles together.

    Raises
    ------
    BackfatError
        If the cases were not made of the same images.
    """
    same_scan(a, b)
    codes = _fat_codes(a)
    spacing = a.scan.geometry.spacing_mm
    first, second = a.files.muscles, b.files.muscles
    rows = []
    for muscle in MUSCLES:
        box = _box((first == muscle) | (second == muscle))
        if box is None:
            continue
        masks = first[box] == muscle, second[box] == muscle
        common = int(np.count_nonzero(masks[0] & masks[1]))
        rows.append(_row(muscle.display_name, a, b, masks, common, codes, box, spacing))
    box = _box((first > 0) | (second > 0))
    if box is None:
        raise BackfatError("Neither reading holds a muscle; there is nothing to compare.")
    masks = first[box] > 0, second[box] > 0
    common = int(np.count_nonzero(masks[0] & (first[box] == second[box])))
    rows.append(_row("All muscles", a, b, masks, common, codes, box, spacing))
    return rows


def surface_distances(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[float, float]:
    """Return the mean and the 95th percentile of the distances between two surfaces.

    A surface voxel is a voxel of the mask with a face neighbour outside of it; beyond the array
    counts as outside. Distances run between voxel centres.

    Parameters
    ----------
    a, b : ndarray, shape (Z, Y, X), bool
        Masks.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).

    Returns
    -------
    mean : float
        Mean over the surface voxels of both masks together, mm.
    hausdorff95 : float
        The larger of the 95th percentiles of both directions, mm. NaN, like the mean, if a mask
        is empty.
    """
    if not a.any() or not b.any():
        return NAN, NAN
    edge_a, edge_b = (m & ~ndimage.binary_erosion(m) for m in (a, b))
    to_b = ndimage.distance_transform_edt(~edge_b, sampling=spacing_mm)[edge_a]
    to_a = ndimage.distance_transform_edt(~edge_a, sampling=spacing_mm)[edge_b]
    mean = float(np.concatenate([to_a, to_b]).mean())
    return mean, float(max(np.percentile(to_a, 95), np.percentile(to_b, 95)))


def disagreement_map(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where two muscle maps differ, and how.

    Parameters
    ----------
    a, b : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        0 both say the same, 1 only A has a muscle, 2 only B has one, 3 both have different ones.
    """
    different = a != b
    found = np.zeros(a.shape, np.uint8)
    found[different & (b == Muscle.BACKGROUND)] = 1
    found[different & (a == Muscle.BACKGROUND)] = 2
    found[different & (a > 0) & (b > 0)] = 3
    return found


DISAGREEMENT_NAMES = {
    0: "Agreement",
    1: "Only the first reader has a muscle",
    2: "Only the second reader has a muscle",
    3: "Different muscles",
}


def worst_slices(disagreement: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return (slice, voxels that differ) for slices with any, the worst first; axis Z."""
    counts = np.count_nonzero(disagreement, axis=(1, 2))
    order = np.argsort(-counts, kind="stable")
    return [(int(z), int(counts[z])) for z in order if counts[z] > 0]


def _row(
    name: str,
    a: OpenedCase,
    b: OpenedCase,
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    common: int,
    codes: NDArray[np.uint16] | None,
    box: tuple[slice, ...],
    spacing: tuple[float, float, float],
) -> Agreement:
    voxel_ml = float(np.prod(spacing)) / 1000
    sizes = [int(np.count_nonzero(m)) for m in masks]
    mean, far = surface_distances(*masks, spacing)
    volumes = [n * voxel_ml for n in sizes]
    fat = [NAN if codes is None else _mean_percent(codes[box][m]) for m in masks]
    shares = [_fat_share(case.files.tissue[box][m]) for case, m in zip((a, b), masks, strict=True)]
    return Agreement(
        muscle=name,
        dice=2 * common / sum(sizes),
        mean_surface_mm=mean,
        hausdorff95_mm=far,
        volume_a_ml=volumes[0],
        volume_b_ml=volumes[1],
        volume_difference_ml=volumes[1] - volumes[0],
        fat_a=fat[0],
        fat_b=fat[1],
        fat_difference=fat[1] - fat[0],
        fat_share_a=shares[0],
        fat_share_b=shares[1],
        fat_share_difference=shares[1] - shares[0],
    )


def _fat_codes(case: OpenedCase) -> NDArray[np.uint16] | None:
    water, fat = case.scan.image(Contrast.WATER), case.scan.image(Contrast.FAT)
    return None if water is None or fat is None else fat_fraction(water, fat).codes


def _mean_percent(codes: NDArray[np.uint16]) -> float:
    known = codes[codes != UNDEFINED]
    return 100 * float(known.mean(dtype=np.float64)) / SCALE if known.size else NAN


def _fat_share(tissue: NDArray[np.uint8]) -> float:
    counts = np.bincount(tissue, minlength=len(TissueCode))
    fat = counts[TissueCode.FAT] + counts[TissueCode.FAT_BY_HAND]
    lean = counts[TissueCode.LEAN] + counts[TissueCode.LEAN_BY_HAND]
    return 100 * float(fat) / float(fat + lean) if fat + lean else NAN


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Return the box of a mask; beyond it both masks are empty, so distances stay exact."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    box: tuple[slice, ...] | None = found[0] if found else None
    return box

"""Agreement of two label maps: overlap, surface distance, volume and fat fraction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """Agreement of one structure.

    Attributes
    ----------
    dice : float
        2 |A and B| / (|A| + |B|); NaN if both are empty.
    surface_mm : float
        Mean symmetric surface distance in mm.
    hausdorff95_mm : float
        95th percentile of the symmetric surface distances in mm.
    volume_ml, expert_ml, volume_error : float
        Volumes, and (A - B) / B.
    fat_fraction, expert_fat_fraction : float
        Mean fat fraction inside, 0 to 1; NaN without a fat map.
    """

    dice: float
    surface_mm: float
    hausdorff95_mm: float
    volume_ml: float
    expert_ml: float
    volume_error: float
    fat_fraction: float
    expert_fat_fraction: float

    def as_dict(self) -> dict[str, float]:
        """Plain dictionary, rounded to four digits."""
        return {k: round(float(v), 4) for k, v in asdict(self).items()}


def score(
    guess: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    fat: NDArray[np.float32] | None = None,
) -> Score:
    """Compare a mask with the expert's.

    Parameters
    ----------
    guess, truth : ndarray, shape (Z, Y, X), bool
        Masks on one grid.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    fat : ndarray, shape (Z, Y, X), float32, optional
        Fat fraction 0 to 1, NaN where undefined.
    """
    voxel = float(np.prod(spacing_mm)) / 1000
    total = int(guess.sum() + truth.sum())
    dice = 2 * int((guess & truth).sum()) / total if total else float("nan")
    surface, far = _surface(guess, truth, spacing_mm)
    volume, expert = guess.sum() * voxel, truth.sum() * voxel
    fractions = [float("nan"), float("nan")]
    if fat is not None:
        fractions = [float(np.nanmean(fat[m])) if m.any() else float("nan") for m in (guess, truth)]
    error = (volume - expert) / expert if expert else float("nan")
    return Score(
        dice, surface, far, float(volume), float(expert), float(error), fractions[0], fractions[1]
    )


def _surface(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> tuple[float, float]:
    if not a.any() or not b.any():
        return float("nan"), float("nan")
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    a, b = a[box], b[box]
    # In-plane surfaces only: thick slices would make the end faces dominate.
    plane = np.zeros((3, 3, 3), dtype=bool)
    plane[1] = ndimage.generate_binary_structure(2, 1)
    rim_a, rim_b = (m & ~ndimage.binary_erosion(m, plane) for m in (a, b))
    to_a, to_b = (ndimage.distance_transform_edt(~r, spacing) for r in (rim_a, rim_b))
    distances = np.concatenate([to_b[rim_a], to_a[rim_b]])
    return float(distances.mean()), float(np.percentile(distances, 95))

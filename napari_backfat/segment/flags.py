"""What a reader must know about a segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.segment.backend import QualityFlag

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOTHING_FOUND = QualityFlag(
    None,
    "no paraspinal muscles",
    "No paraspinal muscles were found: this does not look like a scan of the lower back.",
)
_LOW_CONFIDENCE = 0.75
_EDGES = (
    (1, 0, "front"),
    (1, -1, "back"),
    (2, 0, "right side"),
    (2, -1, "left side"),
)


def quality_flags(
    muscle: NDArray[np.uint8],
    confidence: dict[Muscle, float],
    inside: NDArray[np.bool_] | None = None,
) -> tuple[QualityFlag, ...]:
    """Find missing, cut and doubtful muscles.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Final muscle map on the scan's grid.
    confidence : dict
        Mean probability of each muscle's voxels, 0 to 1.
    inside : ndarray, shape (Y, X), bool, optional
        Pixels that hold image (some scanners pad the slices with zeros).

    Returns
    -------
    tuple of QualityFlag
        In the order of the muscles.
    """
    flags: list[QualityFlag] = []
    for m in MUSCLES:
        mask = muscle == int(m)
        if not mask.any():
            flags.append(QualityFlag(m, "not found", f"{m.display_name} was not found."))
            continue
        flags.extend(_cut(m, mask, inside))
        if confidence.get(m, 1.0) < _LOW_CONFIDENCE:
            flags.append(
                QualityFlag(
                    m,
                    "low confidence",
                    f"{m.display_name}: the network is unsure "
                    f"(mean probability {confidence[m]:.2f}); check its outline.",
                )
            )
    return tuple(flags)


def _cut(m: Muscle, mask: NDArray[np.bool_], inside: NDArray[np.bool_] | None) -> list[QualityFlag]:
    flags = []
    sides = [name for axis, index, name in _EDGES if np.take(mask, index, axis=axis).any()]
    if inside is not None and not inside.all():
        rim = inside & ~_shrink(inside)
        if not sides and (mask.any(axis=0) & rim).any():
            sides = ["image area"]
    if sides:
        flags.append(
            QualityFlag(
                m,
                "cut by field of view",
                f"{m.display_name} is cut by the edge of the image ({', '.join(sides)}).",
            )
        )
    ends = [name for i, name in ((0, "first"), (-1, "last")) if mask[i].any()]
    if ends:
        which = " and ".join(ends)
        plural = "slices" if len(ends) == 2 else "slice"
        flags.append(
            QualityFlag(
                m,
                "continues beyond the scan",
                f"{m.display_name} continues beyond the {which} {plural}.",
            )
        )
    return flags


def _shrink(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = inside.copy()
    out[1:] &= inside[:-1]
    out[:-1] &= inside[1:]
    out[:, 1:] &= inside[:, :-1]
    out[:, :-1] &= inside[:, 1:]
    return out

"""What a reader must know about a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle, Side
from napari_backfat.segment.backend import QualityFlag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.segment.quality import MuscleQuality

NOTHING_FOUND = QualityFlag(
    None,
    "no paraspinal muscles",
    "No paraspinal muscles were found: this does not look like a scan of the lower back.",
)
CUT = "cut by field of view"
_LOW_CONFIDENCE = 0.75  # for models without a quality estimate
_NEAR_EDGE_MM = 3.0  # the network's outline may stop a pixel or two before the image does
_BACK = (1, 2, 3, 4)  # multifidus and erector spinae run through every lumbar slice
_LARGE = 0.5  # of the usual cross-section
_SEVERAL = 4  # doubtful muscles that make a doubtful case


@dataclass(frozen=True, eq=False)
class ImageArea:
    """Where a scan holds image: some scanners pad slices, rows and columns with zeros.

    Attributes
    ----------
    first, last : ndarray, shape (Z, 2), int
        First and last row and column of each slice that are not empty; last < first for an
        empty slice.
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @property
    def slices(self) -> tuple[int, int]:
        """First and last slice that is not empty; (0, -1) for an empty scan."""
        filled = np.flatnonzero(self.last[:, 0] >= self.first[:, 0])
        return (int(filled[0]), int(filled[-1])) if filled.size else (0, -1)


def image_area(images: Sequence[NDArray[np.float32]]) -> ImageArea:
    """Find where any of the images, each of shape (Z, Y, X), is not zero."""
    depth = len(images[0])
    first = np.zeros((depth, 2), dtype=np.intp)
    last = np.full((depth, 2), -1, dtype=np.intp)
    for z in range(depth):
        filled = np.any([image[z] != 0 for image in images], axis=0)
        for axis, line in enumerate((filled.any(axis=1), filled.any(axis=0))):
            where = np.flatnonzero(line)
            if where.size:
                first[z, axis], last[z, axis] = where[0], where[-1]
    return ImageArea(first, last)


def quality_flags(
    muscle: NDArray[np.uint8],
    confidence: Mapping[Muscle, float],
    inside: ImageArea | NDArray[np.bool_] | None = None,
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    quality: Mapping[Muscle, MuscleQuality] | None = None,
) -> tuple[QualityFlag, ...]:
    """Find missing, cut, interrupted and doubtful muscles.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Final muscle map on the scan's grid.
    confidence : mapping
        Mean probability of each muscle's voxels, 0 to 1.
    inside : ImageArea or ndarray of bool, shape (Y, X), optional
        Where the scan holds image; everywhere when None.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    quality : mapping, optional
        Estimated quality of each outline; without it the mean probability decides.

    Returns
    -------
    tuple of QualityFlag
        The whole case first, then in the order of the muscles.
    """
    shape = muscle.shape
    if inside is None:
        inside = np.ones(shape[1:], dtype=np.bool_)
    if isinstance(inside, ImageArea):
        area = inside
    else:
        area = image_area([np.broadcast_to(inside, shape).astype(np.float32)])
    flags: list[QualityFlag] = []
    quality = quality or {}
    doubtful = [m for m in MUSCLES if m in quality and quality[m].doubtful]
    if len(doubtful) >= min(_SEVERAL, max(2, len(quality) // 2)):
        flags.append(
            QualityFlag(
                None,
                "doubtful case",
                f"{len(doubtful)} of {len(quality)} outlines are doubtful: "
                "check every slice before using a number of this scan.",
            )
        )
    flags.extend(_lost_ends(muscle, area))
    for m in MUSCLES:
        mask = muscle == int(m)
        if not mask.any():
            flags.append(_missing(m, muscle, area))
            continue
        flags.extend(_gaps(m, mask, area))
        flags.extend(_cut(m, mask, area, spacing_mm))
        if m in quality:
            if quality[m].doubtful:
                dice = quality[m].expected_dice
                probability = 1 - quality[m].evidence.unsure
                flags.append(
                    _doubt(
                        m,
                        f"mean probability {probability:.2f}"
                        if dice is None
                        else f"expected Dice about {dice:.2f}",
                    )
                )
        elif confidence.get(m, 1.0) < _LOW_CONFIDENCE:
            flags.append(_doubt(m, f"mean probability {confidence[m]:.2f}"))
    return tuple(flags)


def _lost_ends(muscle: NDArray[np.uint8], area: ImageArea) -> Iterator[QualityFlag]:
    """Say where all outlines stop within the scan although the muscles are as large as elsewhere.

    They taper towards the sacrum; where they do not, slices were lost, or the scan goes on above
    the levels that the network knows.
    """
    size = np.isin(muscle, _BACK).sum(axis=(1, 2))
    present = np.flatnonzero(size)
    if present.size == 0:
        return
    usual = float(np.percentile(size[present], 75))
    first, last = int(present[0]), int(present[-1])
    top, bottom = area.slices
    ends = []
    if first > top and size[first] >= _LARGE * usual:
        ends.append(f"begin at slice {first}")
    if last < bottom and size[last] >= _LARGE * usual:
        ends.append(f"end at slice {last}")
    if ends:
        yield QualityFlag(
            None,
            "ends within the scan",
            f"The outlines {' and '.join(ends)}, where the back muscles are as large as elsewhere: "
            "look at the slices beyond.",
        )


def _gaps(m: Muscle, mask: NDArray[np.bool_], area: ImageArea) -> Iterator[QualityFlag]:
    """Say which slices lack a muscle between slices that hold it."""
    present: NDArray[np.bool_] = np.asarray(mask.any(axis=(1, 2)))
    held = np.flatnonzero(present)
    filled = area.last[:, 0] >= area.first[:, 0]
    lacking = [z for z in range(held[0], held[-1]) if filled[z] and not present[z]]
    if lacking:
        which = f"slice {lacking[0]}"
        if len(lacking) > 1:
            which = f"{len(lacking)} slices from {lacking[0]} to {lacking[-1]}"
        yield QualityFlag(
            m,
            "missing in slices",
            f"{m.display_name} is missing in {which}, between slices that hold it.",
        )


def _doubt(m: Muscle, why: str) -> QualityFlag:
    return QualityFlag(
        m,
        "low confidence",
        f"{m.display_name}: the network is unsure ({why}); check its outline.",
    )


def _cut(
    m: Muscle, mask: NDArray[np.bool_], area: ImageArea, spacing_mm: tuple[float, float, float]
) -> Iterator[QualityFlag]:
    present = np.flatnonzero(mask.any(axis=(1, 2)))
    sides = []
    for axis, names in ((0, ("front", "back")), (1, ("right side", "left side"))):
        line: NDArray[np.bool_] = np.asarray(mask[present].any(axis=2 - axis))
        n = mask.shape[1 + axis]
        low, high = line.argmax(axis=1), n - 1 - line[:, ::-1].argmax(axis=1)
        near = _NEAR_EDGE_MM / spacing_mm[1 + axis]
        first, last = area.first[present, axis], area.last[present, axis]
        # A scan's own edge cuts a little before it; a rim of zeros is the muscle's own border only
        # if the muscle touches it.
        if (low <= np.where(first == 0, near, first)).any():
            sides.append(names[0])
        if (high >= np.where(last == n - 1, n - 1 - near, last)).any():
            sides.append(names[1])
    if sides:
        text = f"{m.display_name} is cut by the edge of the image ({', '.join(sides)})."
        yield QualityFlag(m, CUT, f"{text} Its true volume is larger.")
    top, bottom = area.slices
    ends = [name for z, name in ((top, "first"), (bottom, "last")) if mask[z].any()]
    if ends:
        which = " and ".join(ends)
        plural = "slices" if len(ends) == 2 else "slice"
        yield QualityFlag(
            m,
            "continues beyond the scan",
            f"{m.display_name} continues beyond the {which} {plural}.",
        )


def _missing(m: Muscle, muscle: NDArray[np.uint8], area: ImageArea) -> QualityFlag:
    """Say why a muscle has no voxels, where that can be seen from its other side."""
    name = m.display_name
    slices = np.flatnonzero((muscle == int(m.mirrored)).any(axis=(1, 2)))
    left, right = (np.isin(muscle, ids) for ids in ((1, 3, 5, 7), (2, 4, 6, 8)))
    both = np.flatnonzero(left.any(axis=(1, 2)) & right.any(axis=(1, 2)))
    if slices.size == 0 or both.size == 0:
        return QualityFlag(m, "not found", f"{name} was not found.")
    # The midline lies between the inner borders of the two sides.
    inner = [
        (np.flatnonzero(right[z].any(axis=0))[-1] + np.flatnonzero(left[z].any(axis=0))[0]) / 2
        for z in both
    ]
    middle = float(np.median(inner))
    outside = 0
    for z in slices:
        columns = np.flatnonzero((muscle[z] == int(m.mirrored)).any(axis=0))
        mirrored = 2 * middle - columns.mean()
        beyond = mirrored > area.last[z, 1] if m.side is Side.LEFT else mirrored < area.first[z, 1]
        outside += bool(beyond)
    if outside * 2 > slices.size:
        side = "left" if m.side is Side.LEFT else "right"
        return QualityFlag(m, CUT, f"{name} lies outside the image ({side} side): no volume.")
    return QualityFlag(m, "not found", f"{name} was not found, although its other side was.")

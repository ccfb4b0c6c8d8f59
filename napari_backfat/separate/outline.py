"""Voxels at a muscle's outline: the outer layer, and fat between the muscle and its fascia."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES, Muscle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Muscles that lie in one sheath: fat between multifidus and erector spinae lies between muscles,
# not between muscle and fascia, and always counts.
SHEATHS: tuple[tuple[Muscle, ...], ...] = tuple(
    tuple(m for m in MUSCLES if m.side is side and m.group in groups)
    for groups in (
        {Muscle.MULTIFIDUS_LEFT.group, Muscle.ERECTOR_SPINAE_LEFT.group},
        {Muscle.PSOAS_MAJOR_LEFT.group},
        {Muscle.QUADRATUS_LUMBORUM_LEFT.group},
    )
    for side in (Muscle.MULTIFIDUS_LEFT.side, Muscle.MULTIFIDUS_RIGHT.side)
)
_CROSS = ndimage.generate_binary_structure(2, 1)


def outer_layer(muscle: NDArray[np.uint8], layers: int) -> NDArray[np.bool_]:
    """Return the outer voxel layers of each muscle in a slice.

    Parameters
    ----------
    muscle : ndarray, shape (Y, X), uint8
        `Muscle` ids.
    layers : int
        How many layers; neighbours share an edge. The image's own border is no outline: a muscle
        that the field of view cuts keeps its voxels there.

    Returns
    -------
    ndarray, shape (Y, X), bool
    """
    outer = np.zeros(muscle.shape, bool)
    if layers == 0:
        return outer
    for box, labels in _boxes(muscle, tuple((m,) for m in MUSCLES), layers + 1):
        inside = muscle[box] == labels[0]
        core = ndimage.binary_erosion(inside, _CROSS, iterations=layers, border_value=1)
        outer[box] |= inside & ~core
    return outer


def epimuscular_fat(
    muscle: NDArray[np.uint8],
    fat: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    closing_mm: float = 5.0,
) -> NDArray[np.bool_]:
    """Return the fat of a slice that lies inside the masks but outside the lean tissue.

    The outline of the lean tissue is its morphological closing by a disc, with holes filled: fat
    streaks narrower than twice the radius, and fat wholly surrounded, lie inside it. What fat is
    left between this outline and the outline of the mask is called epimuscular. It is a working
    definition; nobody has drawn the fascia. Erector spinae and multifidus of a side lie in one
    sheath and are taken together.

    Parameters
    ----------
    muscle : ndarray, shape (Y, X), uint8
        `Muscle` ids.
    fat : ndarray, shape (Y, X), bool
        Which voxels are fat.
    spacing_mm : tuple of float
        Voxel size along (Y, X), mm.
    closing_mm : float
        Radius of the disc, mm.

    Returns
    -------
    ndarray, shape (Y, X), bool
        Only fat voxels inside muscles. In a sheath without any lean voxel there is no outline, and
        nothing is excluded.
    """
    found = np.zeros(muscle.shape, bool)
    for box, labels in _boxes(muscle, SHEATHS, 0):
        inside = np.isin(muscle[box], labels)
        lean = inside & ~fat[box]
        if not lean.any() or not (inside & fat[box]).any():
            continue
        margins = tuple(int(np.ceil(closing_mm / mm)) + 1 for mm in spacing_mm)
        padded = np.pad(lean, tuple((m, m) for m in margins))
        grown = ndimage.distance_transform_edt(~padded, sampling=spacing_mm) <= closing_mm
        closed = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > closing_mm
        body = ndimage.binary_fill_holes(closed | padded)
        core = body[margins[0] : -margins[0], margins[1] : -margins[1]]
        found[box] |= inside & fat[box] & ~core
    return found


def _boxes(
    muscle: NDArray[np.uint8], groups: tuple[tuple[Muscle, ...], ...], margin: int
) -> Iterator[tuple[tuple[slice, slice], tuple[Muscle, ...]]]:
    """Bounding box of each group of labels that is there, with a margin."""
    boxes = ndimage.find_objects(muscle, max_label=max(Muscle))
    for labels in groups:
        there = [b for b in (boxes[m - 1] for m in labels) if b is not None]
        if there:
            yield (
                (
                    slice(
                        max(0, min(b[0].start for b in there) - margin),
                        max(b[0].stop for b in there) + margin,
                    ),
                    slice(
                        max(0, min(b[1].start for b in there) - margin),
                        max(b[1].stop for b in there) + margin,
                    ),
                ),
                labels,
            )

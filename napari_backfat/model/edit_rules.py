"""What an edit of the two masks means, for the voxels that were written: pure array rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES, Muscle, TissueCode
from napari_backfat.model.ledger import joint_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

HAND = TissueCode.LEAN_BY_HAND  # codes from here on are hand-painted


@dataclass(frozen=True, eq=False)
class Written:
    """Voxels whose labels differ from the last known state; all arrays have shape (n,), uint8.

    Attributes
    ----------
    muscle, tissue : ndarray
        What stands in the arrays now.
    former : ndarray
        Joint code of the last known state.
    rule : ndarray
        What the fat map and the threshold say.
    remembered : ndarray
        Hand-painted code that the voxel had when it was last inside a muscle, 0 if none.
    """

    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    former: NDArray[np.uint8]
    rule: NDArray[np.uint8]
    remembered: NDArray[np.uint8]


def complete(
    written: Written, by_brush: bool, grow_into: Muscle | None
) -> tuple[NDArray[np.uint8], int, int]:
    """Turn what was written into what it means.

    Parameters
    ----------
    written : Written
        The voxels.
    by_brush : bool
        Whether a plain LEAN or FAT is a person's word, or one to be compared with the rule.
    grow_into : Muscle or None
        Muscle that tissue painted outside every muscle grows; None refuses such paint.

    Returns
    -------
    codes : ndarray, shape (n,), uint8
        Joint codes to be held.
    outside, bad : int
        Voxels of refused tissue paint, and of meaningless labels taken back.
    """
    old_muscle, old_tissue = np.divmod(written.former, np.uint8(N_TISSUE_CODES))
    invalid = (written.muscle >= N_MUSCLE_CODES) | (written.tissue >= N_TISSUE_CODES)
    muscle = np.where(invalid, old_muscle, written.muscle)
    tissue = np.where(invalid, old_tissue, written.tissue)
    changed = tissue != old_tissue
    plain = changed & ((tissue == TissueCode.LEAN) | (tissue == TissueCode.FAT))

    outside = (muscle == 0) & (old_muscle == 0) & (tissue != 0)
    refused = 0
    if grow_into is not None:
        muscle = np.where(outside, np.uint8(grow_into), muscle)
    else:
        refused = int(outside.sum())

    # A brush means what it writes. Code that writes a plain label, napari's own undo among it,
    # means a mark only where the rule would have said otherwise.
    marks = plain if by_brush else plain & (old_tissue < HAND) & (tissue != written.rule)
    tissue = np.where(marks, tissue + 2, tissue)
    tissue = np.where(plain & ~marks, written.rule, tissue)

    joined = (muscle != 0) & (old_muscle == 0) & (tissue == 0)
    returning = np.where(written.remembered != 0, written.remembered, written.rule)
    tissue = np.where(joined, returning, tissue)
    erased = (muscle != 0) & changed & (tissue == 0) & ~joined
    tissue = np.where(erased, written.rule, tissue)
    tissue = np.where(muscle == 0, 0, tissue)
    codes = joint_code(muscle.astype(np.uint8), tissue.astype(np.uint8))
    return codes, refused, int(invalid.sum())

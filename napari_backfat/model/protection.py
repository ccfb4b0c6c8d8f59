"""The protect list: what no edit of the masks may overwrite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES, Muscle, TissueCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Protection:
    """Muscles and tissues that edits leave as they are; undo, redo and a whole AI run may not care.

    Attributes
    ----------
    muscles : frozenset of Muscle
        A voxel of such a muscle keeps its muscle. BACKGROUND may be named too: then no muscle grows
        into it.
    tissues : frozenset of TissueCode
        A voxel of such tissue keeps its tissue, and therefore stays inside a muscle.
    """

    muscles: frozenset[Muscle] = frozenset()
    tissues: frozenset[TissueCode] = frozenset()

    @classmethod
    def of(cls, muscles: Iterable[Muscle] = (), tissues: Iterable[TissueCode] = ()) -> Protection:
        """Return the protection of these muscles and tissues."""
        return cls(frozenset(muscles), frozenset(tissues))

    @property
    def is_empty(self) -> bool:
        """Whether everything may be overwritten."""
        return not (self.muscles or self.tissues)

    def hold(
        self, former: NDArray[np.uint8], wanted: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], int]:
        """Take back what would overwrite something protected.

        Parameters
        ----------
        former, wanted : ndarray of uint8, shape (n,)
            Joint codes before and after an edit.

        Returns
        -------
        codes : ndarray of uint8, shape (n,)
            The former code where it is protected against this change, else the wanted one.
        held : int
            Number of voxels taken back.
        """
        if self.is_empty:
            return wanted, 0
        kept_muscle = np.zeros(N_MUSCLE_CODES, bool)
        kept_muscle[[int(m) for m in self.muscles]] = True
        kept_tissue = np.zeros(N_TISSUE_CODES, bool)
        kept_tissue[[int(t) for t in self.tissues if t is not TissueCode.NONE]] = True
        old_muscle, old_tissue = np.divmod(former, np.uint8(N_TISSUE_CODES))
        muscle, tissue = np.divmod(wanted, np.uint8(N_TISSUE_CODES))
        held = kept_muscle[old_muscle] & (muscle != old_muscle)
        held |= kept_tissue[old_tissue] & (tissue != old_tissue)
        return np.where(held, former, wanted), int(np.count_nonzero(held))

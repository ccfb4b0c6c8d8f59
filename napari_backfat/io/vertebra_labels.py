"""Label maps of vertebrae made by other programs, on whatever grid they have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.nifti import to_working_float32
from napari_backfat.io.nifti_file import load_nifti_file
from napari_backfat.io.nifti_grid import grid_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry

_THORACIC = [f"T{n}" for n in range(1, 13)]

VERTEBRA_IDS: dict[str, dict[int, str]] = {
    # github.com/wasserth/TotalSegmentator, class map of the CT task. In version 2, 25 is the sacrum
    # and 26 its first vertebra; a later version gives 26 to a sixth lumbar vertebra.
    "totalsegmentator": {
        25: "S1",
        26: "S1",
        **{27 + i: f"L{5 - i}" for i in range(5)},
        **{32 + i: f"T{12 - i}" for i in range(12)},
    },
    # The same program's task for vertebrae on MR: the sacrum first, then upwards.
    "vertebrae_mr": {
        1: "S1",
        **{2 + i: f"L{5 - i}" for i in range(5)},
        **{7 + i: f"T{12 - i}" for i in range(12)},
    },
    # VerSe challenge (Sekuboyina 2021, doi 10.1016/j.media.2021.102166).
    "verse": {
        **dict(enumerate(_THORACIC, start=8)),
        **{19 + n: f"L{n}" for n in range(1, 7)},
        26: "S1",
        28: "T13",
    },
    # github.com/neuropoly/totalspineseg, its own label numbers.
    "totalspineseg": {
        **dict(enumerate(_THORACIC, start=21)),
        **{40 + n: f"L{n}" for n in range(1, 7)},
        50: "S1",
    },
}
"""Numbering schemes by name."""


@dataclass(frozen=True, eq=False)
class VertebraLabels:
    """A label map of vertebrae.

    Attributes
    ----------
    array : ndarray, shape (Z, Y, X), int32
        Label numbers in the working order.
    geometry : Geometry
        Its own grid.
    names : dict of int to str
        Vertebra of each number.
    """

    array: NDArray[np.int32]
    geometry: Geometry
    names: dict[int, str]


def read_vertebra_labels(path: str | Path, scheme: str = "totalsegmentator") -> VertebraLabels:
    """Read a label map of vertebrae.

    Parameters
    ----------
    path : str or Path
        NIfTI file; its grid need not be that of the case.
    scheme : str
        Entry of `VERTEBRA_IDS`.

    Raises
    ------
    BackfatError
        If the scheme is unknown, or the file cannot be read, is no mask, or names no vertebra.
    """
    if scheme not in VERTEBRA_IDS:
        raise BackfatError(
            f"'{scheme}' is no known numbering of vertebrae; choose {', '.join(VERTEBRA_IDS)}."
        )
    file = load_nifti_file(path)
    name = Path(path).name
    grid, _ = grid_of(file.header, name)
    values: NDArray[Any] = to_working_float32(file, grid)
    if not np.isfinite(values).all() or not np.array_equal(np.rint(values), values):
        raise BackfatError(f"{name} is not a mask: it holds values that are not whole numbers.")
    array = values.astype(np.int32)
    names = VERTEBRA_IDS[scheme]
    if not np.isin(array, list(names)).any():
        raise BackfatError(
            f"{name} shows no vertebra in the numbering '{scheme}'; choose the right one of "
            f"{', '.join(VERTEBRA_IDS)}."
        )
    return VertebraLabels(array, grid.geometry, names)

"""Axis order and directions on the way into a model and back: permutations and flips only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORKING = "IPL"
"""Directions in which the working axes (Z, Y, X) grow: to the feet, the back, the left."""
_AXIS = {"I": 0, "S": 0, "P": 1, "A": 1, "L": 2, "R": 2}


def check_codes(codes: str) -> str:
    """Return orientation letters in capitals; raises ValueError if they are none.

    Parameters
    ----------
    codes : str
        Three letters, one of each pair R/L, A/P, S/I: the direction in which each axis grows.
    """
    upper = codes.upper()
    if len(upper) != 3 or sorted(_AXIS.get(c, -1) for c in upper) != [0, 1, 2]:
        raise ValueError(f"'{codes}' is no orientation; write three letters such as RAS or LPS")
    return upper


@dataclass(frozen=True)
class Turn:
    """From the working order (Z, Y, X) to a model's axes and back.

    Attributes
    ----------
    codes : str
        Directions in which the model's axes grow, such as "RAS".
    """

    codes: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", check_codes(self.codes))

    @property
    def axes(self) -> tuple[int, int, int]:
        """For each model axis the working axis it runs along."""
        a, b, c = (_AXIS[letter] for letter in self.codes)
        return a, b, c

    @property
    def _steps(self) -> tuple[slice, ...]:
        forward = (WORKING[_AXIS[c]] == c for c in self.codes)
        return tuple(slice(None, None, 1 if same else -1) for same in forward)

    @property
    def slice_axis(self) -> int:
        """Model axis that runs from head to foot."""
        return self.axes.index(0)

    def to_model(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a working array (Z, Y, X) as a view with the model's axes."""
        return np.transpose(array, self.axes)[self._steps]

    def to_working(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array with the model's axes as a view with axes (Z, Y, X)."""
        return np.transpose(array[self._steps], np.argsort(self.axes))

    def spacing(self, working: tuple[float, float, float]) -> tuple[float, float, float]:
        """Voxel size along the model's axes, from that along (Z, Y, X)."""
        a, b, c = (working[axis] for axis in self.axes)
        return a, b, c

    def affine(self, working_mm: tuple[float, float, float]) -> NDArray[np.float64]:
        """RAS affine of an upright grid with these axes; shape (4, 4).

        Obliqueness is left out on purpose: a network works on voxels, and some readers of other
        programs write rotated affines back wrongly.
        """
        matrix = np.zeros((4, 4))
        for column, letter in enumerate(self.codes):
            row = {0: 2, 1: 1, 2: 0}[_AXIS[letter]]
            sign = 1.0 if letter in "RAS" else -1.0
            matrix[row, column] = sign * self.spacing(working_mm)[column]
        matrix[3, 3] = 1.0
        return matrix

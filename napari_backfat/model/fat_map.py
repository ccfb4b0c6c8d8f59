"""The map that tells fat from lean, one number per voxel, and the rule that reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 60_000
UNDEFINED = 65_535


class FatMapKind(Enum):
    """What the numbers of a fat map mean."""

    FAT_FRACTION = "fat fraction"
    MIXTURE = "fat class probability"
    INTENSITY = "relative intensity"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class FatMap:
    """A value from 0 (lean) to 1 (fat) per voxel, held as integers.

    Integers make sums exact: numbers that follow a brush by additions and subtractions stay equal
    to a full recount to the last bit, which floating point cannot promise. The step, 1/60000, is
    far below the noise of any scanner.

    Attributes
    ----------
    codes : ndarray, shape (Z, Y, X), uint16, read-only
        `SCALE` times the value; `UNDEFINED` where there is none (signal too low, or no method).
    kind : FatMapKind
        Meaning of the value. Means are reported only for a fat fraction.
    method : str
        How it was made, in words a methods section can use.
    parameters : dict
        The method's parameters, JSON-serialisable.
    notes : tuple of str
        What limits its use.
    decision : ndarray, shape (Z, Y, X), uint16, read-only
        What the threshold is compared with. It is `codes` itself unless a method decides by
        something else, for example by a threshold of its own in every muscle; sums and means are
        always those of `codes`.
    basis : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids that the method was applied to, where the map depends on them beyond its
        parameters; kept so that a saved case gets the same map again.
    """

    codes: NDArray[np.uint16]
    kind: FatMapKind
    method: str
    parameters: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    decision: NDArray[np.uint16] = field(default=None)  # type: ignore[arg-type]
    basis: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        codes = np.ascontiguousarray(self.codes, dtype=np.uint16).view()
        codes.setflags(write=False)
        given: NDArray[np.uint16] | None = self.decision
        decision = codes
        if given is not None and given is not self.codes:
            if given.shape != codes.shape:
                raise ValueError(f"decision {given.shape} is not on {codes.shape}")
            decision = np.ascontiguousarray(given, dtype=np.uint16).view()
            decision.setflags(write=False)
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "decision", decision)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        size = self.codes.nbytes
        if self.decision is not self.codes:
            size += self.decision.nbytes
        return size + (0 if self.basis is None else self.basis.nbytes)

    @classmethod
    def from_values(
        cls,
        values: NDArray[np.floating[Any]],
        kind: FatMapKind,
        method: str,
        parameters: dict[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ) -> FatMap:
        """Quantise a float map (Z, Y, X); values are clipped to 0..1 and NaN becomes undefined."""
        codes = np.empty(values.shape, np.uint16)
        for z, plane in enumerate(values):  # by slice: no second full-size float array
            defined = np.isfinite(plane)
            scaled = np.rint(np.clip(np.where(defined, plane, 0), 0, 1) * SCALE)
            codes[z] = np.where(defined, scaled, UNDEFINED)
        return cls(codes, kind, method, parameters or {}, notes)

    @classmethod
    def undefined(cls, shape: tuple[int, int, int], reason: str) -> FatMap:
        """Return a map without any value: muscles can be measured, fat and lean cannot."""
        codes = np.full(shape, UNDEFINED, np.uint16)
        return cls(codes, FatMapKind.NONE, "none", {}, (reason,))

    def values(self) -> NDArray[np.float32]:
        """Return the map as float32 (Z, Y, X) with NaN where undefined."""
        values = self.codes.astype(np.float32)
        values /= SCALE
        values[self.codes == UNDEFINED] = np.nan
        return values


def threshold_code(threshold: float) -> int:
    """Return the smallest code that counts as fat.

    A voxel is fat if its value is at or above the threshold: the tie belongs to fat, everywhere.

    Raises
    ------
    BackfatError
        If the threshold is not between 0 and 1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise BackfatError(
            f"The fat threshold must lie between 0 and 1 (0 % and 100 %), not {threshold:g}."
        )
    return math.ceil(threshold * SCALE - 1e-6)


def apply_rule(codes: NDArray[np.uint16], code_at_threshold: int) -> NDArray[np.uint8]:
    """Return LEAN, FAT or (undefined) NONE for each code; any shape, uint8."""
    # All in single bytes: this runs over the whole volume while a slider moves.
    tissue = (codes >= code_at_threshold).astype(np.uint8)
    tissue += np.uint8(TissueCode.LEAN)  # FAT is LEAN + 1
    tissue *= codes != UNDEFINED
    return tissue

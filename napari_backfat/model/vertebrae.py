"""Where the discs cross the slice axis, and which vertebra lies between two of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.levels import LUMBAR_LEVELS, SpineRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry

VERTEBRAE: tuple[str, ...] = (
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
    *("S1", "S2"),
)
"""All names from head to foot; T13 and L6 exist in few people."""

PLAUSIBLE_HEIGHT_MM = (20.0, 52.0)
"""Distance of neighbouring discs that is taken without a question.

A convention that leaves room around adult anatomy: body plus disc is about 25 mm at T10 and about
40 mm at L4. Children, wedge fractures and block vertebrae fall outside, which is why it only warns.
"""


class LevelSource(Enum):
    """Who placed the lines first."""

    MANUAL = "manual"
    LABELS = "vertebra labels"
    PROFILE = "signal profile"
    LOCALISER = "sagittal localiser"


@lru_cache
def chain(t13: bool = False, l6: bool = False) -> tuple[str, ...]:
    """Return the vertebrae of one person from head to foot."""
    left_out = {name for name, there in (("T13", t13), ("L6", l6)) if not there}
    return tuple(name for name in VERTEBRAE if name not in left_out)


@dataclass(frozen=True)
class VertebralLevels:
    """Disc positions along the slice axis with the names of the vertebrae between them.

    A level reaches from the middle of the disc above its vertebral body to the middle of the disc
    below, as a slab across the slice axis. The vertebrae above the first and below the last disc
    have a name, but only one edge; they are no levels of a table.

    Attributes
    ----------
    discs : tuple of float
        Continuous working slice index Z of each disc's middle, from head to foot, at least one.
        Slice ``i`` reaches from ``i - 0.5`` to ``i + 0.5``. Positions outside the scan are
        allowed (a localiser may show discs that the axial slices do not reach).
    above : str
        Name of the vertebra above the first disc, for example "T12".
    t13, l6 : bool
        Whether this person has a thirteenth thoracic, a sixth lumbar vertebra.
    source : LevelSource
        Who placed the lines first.
    edited : bool
        Whether a person moved, added or removed a line since.
    numbering_stated : bool
        Whether the names are known (a person or a label map said so), not guessed. Only then a
        `SpineRange` is derived, because reference values hold for named levels.
    localiser : str
        The sagittal scan on which lines were placed or moved, and why it is taken to lie in the
        same patient space; empty if there was none.

    Raises
    ------
    ValueError
        If positions are not finite and strictly increasing, a name is unknown, or the names run
        out at the sacrum.
    """

    discs: tuple[float, ...]
    above: str
    t13: bool = False
    l6: bool = False
    source: LevelSource = LevelSource.MANUAL
    edited: bool = False
    numbering_stated: bool = True
    localiser: str = ""

    def __post_init__(self) -> None:
        discs = tuple(float(z) for z in self.discs)
        object.__setattr__(self, "discs", discs)
        if not discs or not all(math.isfinite(z) for z in discs):
            raise ValueError("disc positions must be finite numbers, and at least one")
        if any(low <= high for high, low in itertools.pairwise(discs)):
            raise ValueError("discs must be in order from head to foot, each below the former")
        names = chain(self.t13, self.l6)
        if self.above not in names:
            raise ValueError(f"{self.above} is no vertebra of this numbering")
        if names.index(self.above) + len(discs) >= len(names):
            raise ValueError(f"{len(discs)} discs below {self.above} reach beyond {names[-1]}")

    # ------------------------------------------------------------------ names

    @property
    def vertebrae(self) -> tuple[str, ...]:
        """Names of the ``len(discs) + 1`` vertebrae around the discs, from head to foot."""
        names = chain(self.t13, self.l6)
        first = names.index(self.above)
        return names[first : first + len(self.discs) + 1]

    @property
    def disc_names(self) -> tuple[str, ...]:
        """Names of the discs, for example "L4/L5"."""
        return tuple(f"{upper}/{lower}" for upper, lower in itertools.pairwise(self.vertebrae))

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the vertebrae that have a disc on both sides."""
        return self.vertebrae[1:-1]

    def bounds(self, level: str) -> tuple[float, float]:
        """Return the upper and lower edge of a level as continuous slice indices Z.

        Raises
        ------
        KeyError
            If the level does not have a disc on both sides.
        """
        if level not in self.levels:
            raise KeyError(level)
        at = self.levels.index(level)
        return self.discs[at], self.discs[at + 1]

    def level_at(self, z: float) -> str | None:
        """Return the level that holds a continuous slice index; None above and below all discs."""
        at = int(np.searchsorted(self.discs, z, side="right"))
        return self.vertebrae[at] if 0 < at < len(self.discs) else None

    # ------------------------------------------------------------------ edits: each a new record

    def moved(self, index: int, z: float) -> VertebralLevels:
        """Return a copy with one disc elsewhere; raises ValueError if it would pass another."""
        discs = list(self.discs)
        discs[index] = float(z)
        return replace(self, discs=tuple(discs), edited=True)

    def with_disc(self, z: float) -> VertebralLevels:
        """Return a copy with one disc more; names above the new line stay as they are.

        A line above all others leaves the names below it as they are.
        """
        discs = tuple(sorted((*self.discs, float(z))))
        names = chain(self.t13, self.l6)
        first = names.index(self.above)
        if z < self.discs[0]:
            if first == 0:
                raise ValueError(f"there is no vertebra above {self.above}")
            first -= 1
        return replace(self, discs=discs, above=names[first], edited=True)

    def without_disc(self, index: int) -> VertebralLevels:
        """Return a copy with one disc less; the names of the other end vertebrae stay.

        Raises
        ------
        ValueError
            If it is the only disc.
        """
        index %= len(self.discs)
        discs = self.discs[:index] + self.discs[index + 1 :]
        above = self.vertebrae[1] if index == 0 else self.above
        return replace(self, discs=discs, above=above, edited=True)

    def shifted(self, by: int) -> VertebralLevels:
        """Return a copy whose names are moved by so many vertebrae (1: T12 becomes L1).

        Raises
        ------
        ValueError
            If the names would run out.
        """
        names = chain(self.t13, self.l6)
        first = names.index(self.above) + by
        if not 0 <= first < len(names):
            raise ValueError("the numbering cannot be moved that far")
        return replace(self, above=names[first], numbering_stated=True)

    def with_extra(self, *, t13: bool | None = None, l6: bool | None = None) -> VertebralLevels:
        """Return a copy with or without T13 and L6; the first vertebra keeps its name if it can."""
        t13 = self.t13 if t13 is None else t13
        l6 = self.l6 if l6 is None else l6
        above = self.above
        if above not in chain(t13, l6):
            above = {"T13": "T12", "L6": "L5"}[above]
        return replace(self, above=above, t13=t13, l6=l6, numbering_stated=True)

    def confirmed(self) -> VertebralLevels:
        """Return a copy whose names a person has agreed to."""
        return replace(self, numbering_stated=True)

    # ------------------------------------------------------------------ against a scan

    def spine_range(self, n_slices: int) -> SpineRange | None:
        """Return the lumbar levels that lie wholly inside the scan, with their slices.

        Parameters
        ----------
        n_slices : int
            Slices of the scan.

        Returns
        -------
        SpineRange or None
            The first to the last of L1 to L5 whose both discs lie within the scan; a slice belongs
            to the range if its centre does. None if there is no such level, or if the numbering is
            only a guess.
        """
        if not self.numbering_stated:
            return None
        whole = [
            level
            for level in self.levels
            if level in LUMBAR_LEVELS and coverage(*self.bounds(level), n_slices) == 1.0
        ]
        if not whole:
            return None
        upper, lower = self.bounds(whole[0])[0], self.bounds(whole[-1])[1]
        first, last = max(0, math.ceil(upper)), min(n_slices, math.ceil(lower)) - 1
        if first > last:
            return None
        return SpineRange(whole[0], whole[-1], first, last)

    def positions_mm(self, geometry: Geometry) -> tuple[float, ...]:
        """Return each disc's distance from the middle of the first slice along Z, in mm."""
        return tuple(z * geometry.spacing_mm[0] for z in self.discs)

    def concerns(self, geometry: Geometry) -> tuple[str, ...]:
        """Return sentences on what looks unlikely; nothing is refused for it."""
        step = geometry.spacing_mm[0]
        low, high = PLAUSIBLE_HEIGHT_MM
        found = []
        for level in self.levels:
            upper, lower = self.bounds(level)
            height = (lower - upper) * step
            if not low <= height <= high:
                found.append(
                    f"{level} would be {height:.0f} mm high from disc to disc; {low:.0f} to "
                    f"{high:.0f} mm is usual: is a disc missing, or one too many?"
                )
        if not self.numbering_stated:
            found.append("The names of the vertebrae are a guess; confirm or shift them.")
        if "L6" in self.vertebrae:
            found.append("With a sixth lumbar vertebra, L1 to L5 is not the whole lumbar spine.")
        return tuple(found)

    # ------------------------------------------------------------------ files

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "discs": list(self.discs),
            "above": self.above,
            "t13": self.t13,
            "l6": self.l6,
            "source": self.source.value,
            "edited": self.edited,
            "numbering_stated": self.numbering_stated,
        } | ({"localiser": self.localiser} if self.localiser else {})

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> VertebralLevels:
        """Return what `to_dict` wrote; raises KeyError, TypeError or ValueError if damaged."""
        return cls(
            discs=tuple(float(z) for z in record["discs"]),
            above=str(record["above"]),
            t13=bool(record.get("t13", False)),
            l6=bool(record.get("l6", False)),
            source=LevelSource(record.get("source", "manual")),
            edited=bool(record.get("edited", False)),
            numbering_stated=bool(record.get("numbering_stated", True)),
            localiser=str(record.get("localiser", "")),
        )


def coverage(upper: float, lower: float, n_slices: int) -> float:
    """Return the share 0..1 of an interval of Z that a scan of so many slices holds."""
    inside = min(lower, n_slices - 0.5) - max(upper, -0.5)
    return float(max(0.0, inside) / (lower - upper)) if lower > upper else 0.0


def slice_weights(upper: float, lower: float, n_slices: int) -> NDArray[np.float64]:
    """Return which share 0..1 of each slice lies within an interval of Z; shape (Z,)."""
    edges = np.arange(n_slices + 1) - 0.5
    inside = np.minimum(edges[1:], lower) - np.maximum(edges[:-1], upper)
    weights: NDArray[np.float64] = np.clip(inside, 0.0, 1.0)
    return weights


def z_of_point(geometry: Geometry, ras_mm: Sequence[float]) -> float:
    """Return the continuous slice index Z of a point in space.

    This is how a disc marked on another image of the same session, for example a sagittal
    localiser, finds its place among the axial slices.

    Parameters
    ----------
    geometry : Geometry
        Grid of the case.
    ras_mm : sequence of float, length 3
        Point in RAS+ millimetres.
    """
    point = np.append(np.asarray(ras_mm, dtype=np.float64), 1.0)
    return float(np.linalg.solve(geometry.affine, point)[0])

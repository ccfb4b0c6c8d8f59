"""Which part of the spine a case's numbers stand for, as the reader stated it."""

from __future__ import annotations

from dataclasses import dataclass

LUMBAR_LEVELS = ("L1", "L2", "L3", "L4", "L5")


@dataclass(frozen=True)
class SpineRange:
    """Vertebral levels and the slices that hold them, both ends included.

    Attributes
    ----------
    first_level, last_level : str
        Uppermost and lowest vertebra measured with its whole height, "L1" to "L5".
    first_slice, last_slice : int
        Working slices Z (0 = most cranial) of the upper edge of the first and the lower edge of
        the last vertebra.

    Raises
    ------
    ValueError
        If a level is unknown, or levels or slices are in the wrong order.
    """

    first_level: str
    last_level: str
    first_slice: int
    last_slice: int

    def __post_init__(self) -> None:
        for level in (self.first_level, self.last_level):
            if level not in LUMBAR_LEVELS:
                raise ValueError(f"{level} is no lumbar level (L1 to L5)")
        order = LUMBAR_LEVELS.index
        if order(self.first_level) > order(self.last_level):
            raise ValueError(f"{self.first_level} lies below {self.last_level}")
        if not 0 <= self.first_slice <= self.last_slice:
            raise ValueError(f"slices {self.first_slice} to {self.last_slice} are no range")

    @property
    def slices(self) -> slice:
        """The slices as a Python slice of the Z axis."""
        return slice(self.first_slice, self.last_slice + 1)

    def to_dict(self) -> dict[str, str | int]:
        """Return plain values for JSON."""
        return {
            "first_level": self.first_level,
            "last_level": self.last_level,
            "first_slice": self.first_slice,
            "last_slice": self.last_slice,
        }

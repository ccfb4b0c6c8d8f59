"""Who edits the masks, and what an edit did."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Author(Enum):
    """Who wrote into the arrays; it decides what a plain LEAN or FAT value means."""

    BRUSH = "brush"
    SCRIPT = "script"


@dataclass(frozen=True)
class Change:
    """What one `Masks` operation did.

    Attributes
    ----------
    voxels : int
        Voxels whose muscle or tissue is now another.
    refused_outside : int
        Voxels of tissue paint that lay outside every muscle and were taken back.
    refused_label : int
        Voxels with a label number that has no meaning, taken back.
    refused_protected : int
        Voxels of the protect list that would have been overwritten, taken back.
    adjusted : bool
        Whether values other than the writer's were written, so that a view must be redrawn.
    slices : tuple of int, or None
        First and last slice (working index Z) that may look different; None: anywhere.
    muscles : bool
        Whether the muscle map may look different, and not the tissue alone.
    """

    voxels: int
    refused_outside: int = 0
    refused_label: int = 0
    refused_protected: int = 0
    adjusted: bool = False
    slices: tuple[int, int] | None = field(default=None, compare=False)
    muscles: bool = field(default=True, compare=False)

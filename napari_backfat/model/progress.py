"""How a long job says how far it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report of a long job.

    Attributes
    ----------
    fraction : float
        Part of the work that is done, 0..1.
    text : str
        The stage, for people.
    """

    fraction: float
    text: str

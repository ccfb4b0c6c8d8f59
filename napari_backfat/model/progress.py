"""How a long job says how far it is, and how it is run without a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


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


def run_to_end(job: Generator[Progress, None, T]) -> T:
    """Run a job without a window and return its result."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return cast("T", stop.value)

"""What a person vouched for: muscles drawn whole in a slice, and slices called right."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_backfat.model.history import Step


class HandMarks:
    """Marks that hang on undo steps, so that they go and come with them.

    Attributes
    ----------
    loaded : set of int
        Slices that were called right when the case folder was saved.
    """

    def __init__(self) -> None:
        self.loaded: set[int] = set()
        self._drawn: WeakKeyDictionary[Step, tuple[int, frozenset[int]]] = WeakKeyDictionary()
        self._right: WeakKeyDictionary[Step, set[int]] = WeakKeyDictionary()

    def note_drawn(self, step: Step, z: int, muscles: Iterable[int]) -> None:
        """Note that a step drew whole muscles of slice `z`, whatever voxels it changed."""
        self._drawn[step] = z, frozenset(muscles)

    def drawn(self, step: Step) -> tuple[int, frozenset[int]] | None:
        """Return the slice and the muscles that a step drew whole; None for other steps."""
        return self._drawn.get(step)

    def right(self, origin: Step | None) -> set[int]:
        """Return the slices called right; change the set to mark and unmark.

        Parameters
        ----------
        origin : Step or None
            The step that made the present masks (AI run, file); None if they came with the case.
            Marks are of these masks only.
        """
        return self.loaded if origin is None else self._right.setdefault(origin, set())

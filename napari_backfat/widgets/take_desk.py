"""Keys that take another reading's word, for a consensus on the open case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.edits import Reach
from napari_backfat.review.take import take_muscle, take_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.widgets.compare_control import CompareControl


class TakeDesk:
    """Takes what the reading says that the present masks are compared with.

    Parameters
    ----------
    viewer : napari.Viewer
        Tells where the mouse is.
    compare : CompareControl
        Knows the reading.
    tell : callable
        Shows one sentence.
    """

    def __init__(
        self, viewer: Viewer, compare: CompareControl, tell: Callable[[str], None]
    ) -> None:
        self._viewer, self._compare, self._tell = viewer, compare, tell
        self._case: Case | None = None
        self._layers: CaseLayers | None = None

    @property
    def keys(self) -> dict[str, Callable[[], object]]:
        """Key -> action, for binding."""
        return {"Shift-T": self.take_place, "Shift-M": self.take_muscle}

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._case, self._layers = case, layers

    def detach(self) -> None:
        """Let go of the case."""
        self._case = self._layers = None

    def take_place(self) -> None:
        """Take the other reading's word in the place under the mouse."""
        reading = self._compare.reading
        if self._case is None or self._layers is None or not self._may():
            return
        assert reading is not None
        point = self._layers.muscle.world_to_data(self._viewer.cursor.position)
        z, y, x = (round(float(v)) for v in point[-3:])
        try:
            self._say(take_place(self._case, reading, (z, y, x)))
        except BackfatError as error:
            self._tell(str(error))

    def take_muscle(self) -> None:
        """Make the chosen muscle what the other reading says, in all slices."""
        reading = self._compare.reading
        if self._case is None or self._layers is None or not self._may():
            return
        assert reading is not None
        if self._viewer.layers.selection.active != self._layers.muscle:
            self._tell("Choose the muscle first (keys 1 to 8).")
            return
        muscle = Muscle(int(self._layers.muscle.selected_label))
        everywhere = Reach(0, self._case.masks.geometry.shape[0] - 1, False)
        self._say(take_muscle(self._case, reading, muscle, everywhere))

    def _may(self) -> bool:
        if self._compare.reading is None:
            self._tell("Choose what to compare with first: the AI's masks or another reading.")
            return False
        if self._viewer.dims.ndisplay != 2:
            self._tell("Places are taken on a slice; leave the 3D display first.")
            return False
        return True

    def _say(self, change: Change | None) -> None:
        assert self._compare.reading is not None
        name = self._compare.reading.name
        if change is None:
            self._tell(f"{name} says the same.")
            return
        held = f", {change.refused_protected} protected" if change.refused_protected else ""
        self._tell(f"{change.voxels} voxels taken over from {name}{held}.")

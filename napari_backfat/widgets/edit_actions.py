"""Does the actions of the palette: what works at once on a muscle, and not with the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_backfat.layers.preview import Preview
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.ai_here import take_ai
from napari_backfat.review.by_hand import LEARN, SPREAD, call_right, called_right
from napari_backfat.review.edits import Edits, Extent, Reach
from napari_backfat.review.learn import learning, take_learnt
from napari_backfat.review.proposal import Proposal, Proposed
from napari_backfat.review.spread import spreading, still_true
from napari_backfat.review.stroke import image_names
from napari_backfat.review.suggest import next_slice
from napari_backfat.widgets.tool_table import BY_NAME

if TYPE_CHECKING:
    from napari import Viewer

    from napari_backfat.edit.patch import Patch
    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.learn import Learning, Learnt
    from napari_backfat.review.session import Segmented
    from napari_backfat.review.spread import Spreading
    from napari_backfat.widgets.edit_panel import EditPanel

_NOTHING = {
    "gaps": "{muscle}: no gap between slices.",
    "copy": "The next slice already looks the same.",
    "mirror": "The other side already is the mirror image.",
    "smooth": "There was nothing to smooth.",
    "islands": "There are no islands of that size.",
    "holes": "There are no holes.",
    "grow": "There is no free background around {muscle}.",
    "shrink": "{muscle} is not in these slices.",
    "spread": "Nothing is left to spread: the other slices follow the corrected ones already.",
    "learn": "Nothing changes: what was learnt from the corrected slices stands there already.",
    "ai_here": "The AI's result here is what stands there already.",
}


class EditActions:
    """Runs actions on the slice on display with the options of the panel.

    Parameters
    ----------
    viewer : napari.Viewer
        Tells the slice, and shows previews.
    panel : EditPanel
        Tells the options.

    Attributes
    ----------
    said : Signal(str)
        A sentence about what was done or why not.
    done : Signal()
        An undo step was closed.
    ai_wanted : Signal()
        The AI must run before "AI here" can go on; see `accept_ai`.
    spread_wanted : Signal(Spreading)
        To be computed beside the work; its result goes to `propose_spread`.
    learn_wanted : Signal(Learning)
        To be done beside the work; its result goes to `propose_learnt`.
    """

    said = Signal(str)
    done = Signal()
    ai_wanted = Signal()
    spread_wanted = Signal(object)
    learn_wanted = Signal(object)

    def __init__(self, viewer: Viewer, panel: EditPanel) -> None:
        self._viewer, self._panel = viewer, panel
        self._case: Case | None = None
        self._layers: CaseLayers | None = None
        self._edits: Edits | None = None
        self._preview = Preview(viewer)
        self._proposed: tuple[str, str, Muscle | None] = ("", "", None)
        self._ai_reach: Reach | None = None
        self._spreading: Spreading | None = None
        self._learning: Learning | None = None
        self._learnt: Learnt | None = None
        self._shown: Proposed | None = None
        self._seen: list[int] = []  # suggested slices that were left as they are

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Work on this case."""
        self._case, self._layers, self._edits = case, layers, Edits(case)

    def detach(self) -> None:
        """Let go of the case."""
        self._preview.clear()
        self._case = self._layers = self._edits = self._spreading = self._shown = None
        self._learning = self._learnt = None
        self._seen = []

    @property
    def z(self) -> int:
        """The axial slice that the slider of the head-foot axis stands on."""
        return int(self._viewer.dims.current_step[-3])

    @property
    def image(self) -> str:
        """Name of the image on display, or the first one."""
        assert self._case is not None
        assert self._layers is not None
        names = image_names(self._case)
        shown = [n for n in names if n in self._layers.images and self._layers.images[n].visible]
        return (shown or names)[0]

    def run(self, name: str, muscle: Muscle | None) -> None:
        """Do an action of `tool_table` on the chosen muscle (None: a tissue is chosen)."""
        if self._edits is None:
            return
        if name == self._proposed[0] and self.accept_preview():
            return
        self.cancel()
        edits = self._pen(name)
        try:
            change = self._change(name, muscle, edits)
        except BackfatError as error:
            self.said.emit(str(error))
            return
        if name in ("gaps", "ai_here", "spread", "learn", "next", "right"):
            return  # it goes on when the person, or the AI, has answered
        if not self._show_made(name, muscle, edits):
            self._tell(name, muscle, change)

    def _pen(self, name: str) -> Edits:
        """Return what writes, or what only says what it would write."""
        assert self._edits is not None
        first = self._panel.shows_first("copy" if name == "copy_back" else name)
        return Proposal(self._edits.case) if first else self._edits

    def _change(self, name: str, muscle: Muscle | None, edits: Edits) -> Change | None:
        panel = self._panel
        who = [muscle] if muscle is not None and panel.who.currentIndex() == 0 else list(MUSCLES)
        reach = edits.reach(panel.extent_of(name), self.z, panel.slab.value())
        if name == "next":
            self._suggest(edits.case)
            return None
        if name == "right":
            self._call_right(edits.case)
            return None
        if name == "islands":
            return edits.remove_islands(who, panel.amount_of(name), reach)
        if name == "holes":
            return edits.fill_holes(who, reach)
        if name == "ai_here":
            self._ai_reach = edits.reach(Extent.SLAB, self.z, panel.slab.value())
            self.ai_wanted.emit()
            return None
        if name == "spread":
            self.spread_wanted.emit(spreading(edits.case, reach, panel.amount_of(name)))
            return None
        if name == "learn":
            self._learning = learning(edits.case, reach)
            self.learn_wanted.emit(self._learning)
            return None
        joint = panel.kind.currentIndex() == 0
        if name == "smooth" and (joint or muscle is not None):
            return edits.smooth(muscle or MUSCLES[0], panel.amount_of(name), reach, joint=joint)
        if muscle is None:
            raise BackfatError("Choose the muscle first (keys 1 to 8).")
        if name == "gaps":
            self._propose(muscle, who)
            return None
        if name in ("copy", "copy_back"):
            step = 1 if name == "copy" else -1
            change = edits.copy(who, self.z, self.z + step, self.image)
            self._go(step)
            return change
        if name == "mirror":
            return edits.mirror(muscle, reach, self.image)
        by = panel.amount_of(name)
        return edits.resize(muscle, by if name == "grow" else -by, reach)

    def _tell(self, name: str, muscle: Muscle | None, change: Change | None) -> None:
        name = "copy" if name == "copy_back" else name
        if change is None:
            who = muscle.display_name if muscle is not None else "The muscle"
            self.said.emit(_NOTHING[name].format(muscle=who))
            return
        assert self._case is not None
        held = f", {change.refused_protected} protected" if change.refused_protected else ""
        ml = change.voxels * self._case.masks.geometry.voxel_ml
        where = ""
        if change.slices is not None:
            first, last = change.slices
            where = f" in slice {first}" if first == last else f" in slices {first} to {last}"
        self.said.emit(f"{change.voxels} voxels ({ml:.2g} ml) changed{where}{held}.")
        self.done.emit()

    def _go(self, step: int) -> None:
        dims = self._viewer.dims
        steps = list(dims.current_step)
        steps[-3] += step
        dims.current_step = tuple(steps)

    # ------------------------------------------------------------------ which slice next

    def _suggest(self, case: Case) -> None:
        """Go to the slice that should be corrected next, and say how much is left."""
        found = next_slice(case, self._seen)
        if found.z in self._seen:
            self._seen.clear()  # once round
        self._seen.append(found.z)
        self._go(found.z - self.z)
        unsure = "" if found.unsure_ml is None else f", about {found.unsure_ml:.2g} ml unsure"
        self.said.emit(
            f"Slice {found.z}: it can speak for {100 * found.share:.0f} % of what is open. "
            f"{found.left} slices not corrected{unsure}. Shift+R calls a slice right."
        )

    def _call_right(self, case: Case) -> None:
        if not case.masks.muscle[self.z].any():
            raise BackfatError("This slice has no muscles; nothing in it can be called right.")
        marked = call_right(case, self.z)
        count = len(called_right(case))
        what = "is called right" if marked else "is no longer called right"
        self.said.emit(f"Slice {self.z} {what}; {count} slice{'' if count == 1 else 's'} so far.")

    # ------------------------------------------------------------------ preview

    def _propose(self, muscle: Muscle, who: list[Muscle]) -> None:
        assert self._edits is not None
        patch = self._edits.interpolations(who)
        name = muscle.display_name if len(who) == 1 else "All muscles"
        if patch is None or not patch.voxels:
            self.said.emit(_NOTHING["gaps"].format(muscle=name))
            return
        slices = int(patch.where.any(axis=(1, 2)).sum())
        self._show(
            ("gaps", "interpolation", muscle),
            patch,
            f"{name}: {slices} slices proposed. Enter or I accepts, Esc refuses.",
        )

    def _show(self, what: tuple[str, str, Muscle | None], patch: Patch, said: str) -> None:
        assert self._case is not None
        masks = self._case.masks
        self._proposed, self._shown = what, Proposed.of(patch, masks)
        self._preview.show(patch, self._shown.kinds, masks.geometry.spacing_mm)
        self.said.emit(said)

    def _show_made(self, name: str, muscle: Muscle | None, edits: Edits) -> bool:
        """Show what an operation would write, if it was only proposed and would do something."""
        if not isinstance(edits, Proposal) or edits.made is None:
            return False
        patch, label = edits.made
        spec = BY_NAME["copy" if name == "copy_back" else name]
        key = "Shift+N" if name == "copy_back" else spec.shown_key
        says = Proposed.of(patch, edits.case.masks).text
        text = f"{spec.label}: {says}. Enter or {key} accepts, Esc refuses."
        self._show((name, label, muscle), patch, text)
        return True

    def accept_preview(self) -> bool:
        """Write what is proposed; False if nothing is."""
        patch = self._preview.clear()
        if patch is None or self._edits is None:
            return False
        name, label, muscle = self._proposed
        if name == "learn" and self._learning is not None and self._learnt is not None:
            case = self._edits.case
            patch = still_true(patch, self._learning.present, case.masks.muscle)
            self._tell(name, muscle, take_learnt(case, self._learnt, patch))
            return True
        if name == "spread" and self._spreading is not None:
            patch = self._spreading.still_true(patch, self._edits.case.masks.muscle)
        elif self._shown is not None:
            patch = self._shown.still_true(self._edits.case.masks.muscle)
        self._tell(name, muscle, self._edits.apply(patch, label))
        return True

    def cancel(self) -> bool:
        """Refuse what is proposed; False if nothing is."""
        if self._preview.clear() is None:
            return False
        self.said.emit("Refused; nothing was changed.")
        return True

    # ------------------------------------------------------------------ spread

    def propose_spread(self, spread: Spreading, patch: Patch) -> None:
        """Show what the corrected slices say about the others."""
        if self._case is None or not np.array_equal(
            spread.present.shape, self._case.masks.muscle.shape
        ):
            return  # another case was opened meanwhile
        if not patch.voxels:
            self.said.emit(_NOTHING["spread"])
            return
        self._spreading = spread
        slices = int(patch.where.any(axis=(1, 2)).sum())
        self._show(
            ("spread", SPREAD, None),
            patch,
            f"{slices} slices follow {int(spread.corrected.sum())} corrected ones. Enter or 9 "
            "accepts, Esc refuses.",
        )

    def propose_learnt(self, asked: Learning, learnt: Learnt) -> None:
        """Show what a network that learnt from the corrected slices says about the others."""
        if self._case is None or asked is not self._learning:
            return  # another case was opened meanwhile
        patch = still_true(learnt.patch, asked.present, self._case.masks.muscle)
        if not patch.voxels:
            self.said.emit(_NOTHING["learn"])
            return
        self._learnt = learnt
        says = Proposed.of(patch, self._case.masks).text
        self._show(
            ("learn", LEARN, None),
            patch,
            f"Learnt from {int(asked.corrected.any(axis=1).sum())} slices in "
            f"{learnt.about['seconds']:.0f} s: {says}. Enter or Shift+Y accepts, Esc refuses.",
        )

    # ------------------------------------------------------------------ AI

    def accept_ai(self, result: Segmented) -> None:
        """Take the AI's result in the slab that was asked for."""
        if self._case is None or self._ai_reach is None:
            return
        reach, self._ai_reach = self._ai_reach, None
        try:
            edits = self._pen("ai_here")
            spread_mm = self._panel.amount_of("ai_here")
            change = take_ai(self._case, result, reach, spread_mm, edits)
        except BackfatError as error:
            self.said.emit(str(error))
            return
        if not self._show_made("ai_here", None, edits):
            self._tell("ai_here", None, change)


def value_ranges(case: Case) -> dict[str, tuple[float, float]]:
    """Return the images of a case with the range of values that a window can have."""
    ranges: dict[str, tuple[float, float]] = {}
    for name in image_names(case):
        volume: Any = next((v for v in case.scan.images if v.contrast.value == name), None)
        if volume is None:
            ranges[name] = (0.0, 1.0)
            continue
        step = max(1, int(np.cbrt(volume.voxels.size / 300_000)))
        sample = volume.voxels[::step, ::step, ::step]
        ranges[name] = (0.0, max(float(np.percentile(sample, 99.8)), 1.0))
    return ranges

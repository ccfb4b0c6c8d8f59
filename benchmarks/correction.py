"""From a damaged mask back to a Dice above 0.98: our tools against napari's plain brush.

Run as ``python -m benchmarks.correction``; it prints the table of ``docs/correction.md``. An action
is one press-drag-release, or one key that changes the masks. The person is an oracle with a steady
hand in both cases: a brush stroke covers, with one width, everything wrong in one connected place
of one slice that a disc of this width can reach without spoiling anything; widths are tried from
24 to 1 mm, so a stroke never needs a second try. In both sessions only muscles whose Dice is not
good enough yet are worked on.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from napari.components import ViewerModel
from rich.console import Console
from scipy import ndimage
from skimage.measure import find_contours

from benchmarks.correction_damage import drifted, mistakes
from benchmarks.real_case import expert_muscles, open_case
from benchmarks.record import Record, compared
from napari_backfat.edit.patch import tight_box, wider
from napari_backfat.io.sample import sample_paths
from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.review.ai_here import SPREAD
from napari_backfat.review.edits import Edits, Extent, Reach
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.review.spread import spreading
from napari_backfat.review.stroke import Brush
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

GOAL = 0.98
_KEYS_MM = 24.0
_WIDTHS_MM = (24.0, 16.0, 10.0, 6.0, 4.0, 2.5, 1.0)
_PIXELS = (19, 13, 9, 7, 5, 3, 1)  # napari's brush has whole pixels


@dataclass
class Tally:
    """What a session took."""

    actions: int = 0
    keys: int = 0
    seconds: float = 0.0
    parts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, actions: int = 1, keys: int = 0) -> None:
        """Count actions under a name, and keys that only choose something."""
        self.actions += actions
        self.keys += keys
        self.parts[name] = self.parts.get(name, 0) + actions


class Oracle:
    """Knows what is wrong, and repairs it stroke by stroke, the most useful stroke first.

    Parameters
    ----------
    true : ndarray, shape (Z, Y, X), uint8
        The right muscles.
    spacing : tuple of float
        Voxel size (Z, Y, X) in mm.
    paint : callable
        Paints centres (n, 2) of one slice with a label (0 erases) and a width in mm.
    widths : sequence of float
        Widths that the brush can have, mm.
    """

    def __init__(
        self,
        true: NDArray[np.uint8],
        spacing: tuple[float, float, float],
        paint: Callable[[int, NDArray[np.intp], int, float], None],
        widths: Sequence[float],
    ) -> None:
        self.true, self._paint, self._widths = true, paint, widths
        self._plane = (spacing[1], spacing[2])
        tight = tight_box(true > 0)
        assert tight is not None
        _, self._rows, self._columns = wider(tight, 40.0, spacing, true.shape)
        self._depths: dict[tuple[int, int], NDArray[np.float64]] = {}

    def _depth(self, z: int, label: int) -> NDArray[np.float64]:
        """Return how far each voxel of a label lies from everything else in its slice, mm."""
        if (z, label) not in self._depths:
            where = self.true[z, self._rows, self._columns] == label
            self._depths[z, label] = ndimage.distance_transform_edt(where, sampling=self._plane)
        return self._depths[z, label]

    def best(
        self, plane: NDArray[np.uint8], z: int, lacking: NDArray[np.bool_]
    ) -> tuple[int, int, float, object] | None:
        """Return (gain, label, width, centres) of the most useful stroke for lacking muscles."""
        true = self.true[z, self._rows, self._columns]
        found_here = plane[self._rows, self._columns]
        wrong = (found_here != true) & (lacking[true] | lacking[found_here])
        found: tuple[int, int, float, object] | None = None
        for label in np.unique(true[wrong]):
            everything = wrong & (true == label)
            tight = tight_box(everything[None])
            assert tight is not None
            near_by = wider(tight, max(self._widths), (1.0, *self._plane), (1, *true.shape))[1:]
            todo = everything[near_by]
            depth = self._depth(z, int(label))[near_by]
            for width in self._widths:
                centres = depth > width / 2 * (1 + 1e-6)  # a disc of this width spoils nothing
                radius = width / 2 * (1 - 1e-6)
                if not centres.any():
                    continue
                away = ndimage.distance_transform_edt(~centres, sampling=self._plane)
                reached = todo & (away <= radius)
                if not reached.any() or (found and reached.sum() <= found[0]):
                    continue
                near = ndimage.distance_transform_edt(~reached, sampling=self._plane) <= radius
                ways, count = ndimage.label(centres & near, np.ones((3, 3)))
                for way in range(1, count + 1):
                    path = ways == way
                    covered = ndimage.distance_transform_edt(~path, sampling=self._plane) <= radius
                    gain = int((covered & todo).sum())
                    if found is None or gain > found[0]:
                        offset = (
                            self._rows.start + near_by[0].start,
                            self._columns.start + near_by[1].start,
                        )
                        found = gain, int(label), width, np.argwhere(path) + offset
        return found

    def repair(
        self,
        muscle: NDArray[np.uint8],
        tally: Tally,
        name: str = "brush strokes",
    ) -> None:
        """Paint until every muscle's Dice is above the goal."""
        chosen = range(len(self.true))
        score = Score(muscle, self.true)
        lacking = np.zeros(0, bool)
        plans: dict[int, tuple[int, int, float, object] | None] = {}
        while score.worst <= GOAL:
            if not np.array_equal(score.lacking, lacking):
                lacking = score.lacking
                plans = {z: self.best(muscle[z], z, lacking) for z in chosen}
            z = max(chosen, key=lambda c: plans[c][0] if plans[c] else 0)  # type: ignore[index]
            plan = plans[z]
            if plan is None:
                return
            before = int((muscle[z] != self.true[z]).sum())
            self._paint(z, plan[3], plan[1], plan[2])  # type: ignore[arg-type]
            tally.add(name)
            assert int((muscle[z] != self.true[z]).sum()) < before, "a stroke that helped nothing"
            score.look_again(muscle, z)
            plans[z] = self.best(muscle[z], z, lacking)


class Score:
    """The lowest Dice of all muscles, kept slice by slice."""

    def __init__(self, muscle: NDArray[np.uint8], true: NDArray[np.uint8]) -> None:
        self._true = true
        self._counts = np.zeros((len(true), 3, 9))
        for z in range(len(true)):
            self.look_again(muscle, z)

    def look_again(self, muscle: NDArray[np.uint8], z: int) -> None:
        """Count one slice anew."""
        found, true = muscle[z], self._true[z]
        both = np.bincount(true[true == found], minlength=9)
        self._counts[z] = (
            both,
            np.bincount(found.ravel(), minlength=9),
            np.bincount(true.ravel(), minlength=9),
        )

    @property
    def _dice(self) -> NDArray[np.float64]:
        """Dice by label; 1 for background and for what is not in the true map."""
        both, found, true = self._counts.sum(axis=0)
        dice = np.ones(9)
        there = true > 0
        there[0] = False
        dice[there] = 2 * both[there] / (found[there] + true[there])
        return dice

    @property
    def lacking(self) -> NDArray[np.bool_]:
        """Return which labels are not good enough yet."""
        return np.asarray(self._dice <= GOAL)

    @property
    def worst(self) -> float:
        """Return the lowest Dice of the muscles that are in the true map."""
        return float(self._dice.min())


def worst_dice(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Return the lowest Dice of the muscles that are in the true map."""
    return Score(found, true).worst


def napari_brush(case: Case, layers: CaseLayers) -> Callable[..., None]:
    """Return napari's own brush as a painter."""
    spacing = case.masks.geometry.spacing_mm

    def paint(z: int, centres: NDArray[np.intp], label: int, width: float) -> None:
        layers.muscle.brush_size = round(width / min(spacing[1:]))
        with layers.muscle.block_history():
            for y, x in centres:
                layers.muscle.paint((z, int(y), int(x)), label, refresh=False)
        case.masks.sync()
        case.masks.finish_step("brush stroke")

    return paint


def our_brush(case: Case) -> Callable[..., None]:
    """Return our brush as a painter."""

    def paint(z: int, centres: NDArray[np.intp], label: int, width: float) -> None:
        target = Muscle(label) if label else MUSCLES[0]
        stroke = Edits(case).stroke(Brush(target, width, (1, 2), erase=label == 0))
        for y, x in centres:
            # Each centre by itself: the ways between them lie inside as well, but need not be.
            stroke._last = None
            stroke.to((z, float(y), float(x)))
        stroke.end("brush")

    return paint


def plain_session(case: Case, true: NDArray[np.uint8]) -> Tally:
    """Repair with napari's brush alone."""
    tally = Tally()
    layers = CaseLayers(ViewerModel(), case.scan, case.masks)
    layers.binding.disconnect()  # counted at the end of each stroke instead, which is faster
    began = time.perf_counter()
    spacing = case.masks.geometry.spacing_mm
    widths = [n * min(spacing[1:]) for n in _PIXELS]
    oracle = Oracle(true, spacing, napari_brush(case, layers), widths)
    oracle.repair(case.masks.muscle, tally)
    tally.seconds = time.perf_counter() - began
    return tally


def session_of_mistakes(case: Case, true: NDArray[np.uint8]) -> Tally:
    """Repair the separate mistakes with our tools, then finish with our brush."""
    tally, edits = Tally(), Edits(case)
    masks = case.masks
    depth = true.shape[0]
    everywhere = Reach(0, depth - 1, True)
    solid = Reach(0, depth - 1, False)
    z = np.flatnonzero((true == 3).any(axis=(1, 2)) & (true == 1).any(axis=(1, 2)))
    middle = int(z[len(z) // 2])
    drawn = middle - 7  # the middle of the seven slices
    line = _true_border(true[drawn])

    def gap(muscle: Muscle) -> None:
        patch = edits.interpolation(muscle)
        assert patch is not None
        edits.apply(patch, "interpolation")

    # (name, actions, keys that choose, work); an interpolation is proposed and accepted.
    work: list[tuple[str, int, int, Callable[[], object]]] = [
        # Islands first: growing and interpolating would take them along.
        ("islands", 1, 0, lambda: edits.remove_islands(MUSCLES, 3.0, solid)),
        ("holes", 1, 0, lambda: edits.fill_holes(MUSCLES, everywhere)),
        ("grow", 1, 1, lambda: edits.resize(Muscle.ERECTOR_SPINAE_RIGHT, 3.0, everywhere)),
        ("interpolation", 2, 1, lambda: gap(Muscle.ERECTOR_SPINAE_LEFT)),
        ("interpolation", 2, 1, lambda: gap(Muscle.MULTIFIDUS_RIGHT)),
        (
            "border",
            1,
            3,
            lambda: edits.draw_border(
                (1, 2), range(drawn - 3, drawn + 4), drawn, line, Muscle.MULTIFIDUS_LEFT
            ),
        ),
    ]
    began = time.perf_counter()
    for name, actions, keys, act in work:
        if worst_dice(masks.muscle, true) > GOAL:
            break  # as with the other brush: nothing is done that the goal does not ask for
        act()
        tally.add(name, actions, keys)
    Oracle(true, masks.geometry.spacing_mm, our_brush(case), _WIDTHS_MM).repair(masks.muscle, tally)
    tally.seconds = time.perf_counter() - began
    return tally


def _true_border(plane: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the border between muscles 1 and 3 as a line of at most eight corners."""
    near = ndimage.binary_dilation(plane == 1, np.ones((3, 3))) & (plane == 3)
    rows, columns = np.nonzero(near)
    corners = []
    for part in np.array_split(np.argsort(rows, kind="stable"), 8):
        if part.size:
            corners.append((rows[part].mean(), columns[part].mean() - 0.5))
    return np.array(corners)


def session_of_drift(case: Case, true: NDArray[np.uint8]) -> Tally:
    """Draw a slice anew every 24 mm with the lasso, spread that, then finish with the brush."""
    tally = Tally()
    masks = case.masks
    spacing = masks.geometry.spacing_mm
    drawn = np.flatnonzero((true > 0).any(axis=(1, 2)))
    length_mm = (drawn[-1] - drawn[0]) * spacing[0]
    count = max(2, round(length_mm / _KEYS_MM) + 1)
    keys = sorted({round(z) for z in np.linspace(drawn[0], drawn[-1], count)})
    began = time.perf_counter()
    for z in keys:
        tally.add("lassos", actions=_drawn_anew(Edits(case), true[z], z), keys=8)
    edits = Edits(case)
    spread = spreading(case, edits.reach(Extent.ALL, 0, 0.0), 1.5 * _KEYS_MM)
    edits.apply(spread.compute(), SPREAD)
    tally.add("spread", actions=2)  # propose and accept
    oracle = Oracle(true, spacing, our_brush(case), _WIDTHS_MM)
    oracle.repair(masks.muscle, tally, name="strokes afterwards")
    tally.seconds = time.perf_counter() - began
    return tally


def _drawn_anew(edits: Edits, plane: NDArray[np.uint8], z: int) -> int:
    """Erase a slice with one lasso and draw each muscle with one (per part); return how many."""
    height, width = plane.shape
    around = np.array([[-1, -1], [-1, width], [height, width], [height, -1]], float)
    edits.area(MUSCLES[0], (1, 2), z, around, erase=True, label="lasso")
    drawn = 1
    for label in np.unique(plane[plane > 0]):
        for outline in find_contours(np.pad(plane == label, 1).astype(float), 0.5):
            if len(outline) > 8:
                edits.area(Muscle(int(label)), (1, 2), z, outline - 1, label="lasso")
                drawn += 1
    return drawn


def sample_case() -> tuple[ReviewSession, NDArray[np.uint8]]:
    """Open the sample phantom with its true muscles."""
    session, paths = ReviewSession(), sample_paths()
    session.accept_loaded(run_to_end(session.load_job([paths.water, paths.fat])))
    assert session.case is not None
    grid = session.case.scan.reference.file_grid
    labels = grid.to_working(np.asarray(nib.load(paths.true_muscles).dataobj))
    return session, np.ascontiguousarray(labels, np.uint8)


def sessions(
    name: str,
    session: ReviewSession,
    true: NDArray[np.uint8],
    left_by_ai: NDArray[np.uint8] | None = None,
) -> Iterator[tuple[str, float, Tally, Tally]]:
    """Yield (what, worst Dice at the start, plain brush, our tools) of each kind of damage."""
    assert session.case is not None
    case = session.case
    spacing = case.masks.geometry.spacing_mm
    kinds: list[tuple[str, NDArray[np.uint8], Callable[..., Tally]]] = [
        ("separate mistakes", mistakes(true, spacing), session_of_mistakes),
        ("all borders drifted", drifted(true, spacing), session_of_drift),
    ]
    if left_by_ai is not None:
        kinds.append(("what the AI left", left_by_ai, session_of_drift))
    for what, damaged, ours in kinds:
        results = []
        for work in (plain_session, ours):
            session.accept_muscles(damaged)
            results.append(work(case, true))
            assert worst_dice(case.masks.muscle, true) > GOAL, (what, work)
            assert case.masks.ledger.equals(case.masks.recount())
        yield f"{name}, {what}", worst_dice(damaged, true), results[0], results[1]


def ai_muscles(session: ReviewSession, true: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the network finds; muscles that the expert did not draw are left out."""
    found = run_to_end(session.segment_job(device="cpu")).segmentation.muscle
    return np.where(np.isin(found, np.unique(true)), found, 0).astype(np.uint8)


def records() -> Iterator[Record]:
    """Actions on the sample phantom, for the table of all benchmarks."""
    session, true = sample_case()
    for what, _, plain, ours in sessions("sample phantom", session, true):
        yield compared(
            f"Correction to Dice > {GOAL}, {what}: actions", ours.actions, "actions",
            "napari's brush", plain.actions,
        )  # fmt: skip


def main() -> int:
    """Print the sessions as a Markdown table."""
    console = Console(width=220, soft_wrap=True)
    console.print(
        "| case and damage | lowest Dice | plain brush: actions | our tools: actions (keys that "
        "choose) | ratio | of these | computing, plain / ours |"
    )
    console.print("|---" * 7 + "|")
    cases: list[tuple[Any, ...]] = [("sample phantom", *sample_case())]
    real = real_dixon_case()
    if not real.absent:
        session = open_case(real)
        true = expert_muscles(real, session)
        cases.append(("real case TUM01", session, true, ai_muscles(session, true)))
    for case in cases:
        for what, start, plain, ours in sessions(*case):
            parts = ", ".join(f"{n} {c}" for n, c in ours.parts.items())
            console.print(
                f"| {what} | {start:.2f} | {plain.actions} | {ours.actions} ({ours.keys}) | "
                f"{plain.actions / ours.actions:.1f} | {parts} | {plain.seconds:.0f} s / "
                f"{ours.seconds:.0f} s |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

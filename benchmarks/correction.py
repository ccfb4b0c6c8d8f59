"""From a damaged mask back to a Dice above 0.98: our tools against napari's plain brush.

Run as ``python -m benchmarks.correction [WEIGHTS ...] [WORD ...]``; it prints the table of
``docs/correction.md``. Folders of network weights add a row of what they left on the real case
each; words choose the rows whose name holds one of them.

An action is one press-drag-release, or one key that changes the masks or asks for a change. The
person is an oracle with a steady hand in both cases, which always takes the action that puts most
right. A brush stroke covers, with one width, everything wrong in one connected place of one slice
that a disc of this width can reach without spoiling anything; widths are tried from 24 to 1 mm, so
a stroke never needs a second try. With our tools the oracle may also take the lasso or redraw, see
`correction_tools`. In both sessions only muscles whose Dice is not good enough yet are worked on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from napari.components import ViewerModel
from rich.console import Console
from scipy import ndimage

from benchmarks.correction_damage import drifted, mistakes
from benchmarks.correction_oracle import GOAL, Oracle, Score, Tally, worst_dice
from benchmarks.correction_tools import PAIRS, OurOracle
from benchmarks.finetuning import shifted
from benchmarks.real_case import expert_muscles, open_case
from benchmarks.record import Record, compared
from napari_backfat.io.sample import sample_paths
from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.review.by_hand import SPREAD
from napari_backfat.review.edits import Edits, Extent, Reach
from napari_backfat.review.learn import learning, take_learnt
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.review.spread import spreading
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.segment.weights import BUNDLED, find_weights
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case

_KEYS_MM = 24.0
_PIXELS = (19, 13, 9, 7, 5, 3, 1)  # napari's brush has whole pixels


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

    def gaps() -> None:
        patch = edits.interpolations(MUSCLES)
        assert patch is not None
        edits.apply(patch, "interpolation")

    # (name, actions, keys that choose, work); an interpolation is proposed and accepted.
    work: list[tuple[str, int, int, Callable[[], object]]] = [
        # Islands first: growing and interpolating would take them along.
        ("islands", 1, 0, lambda: edits.remove_islands(MUSCLES, 3.0, solid)),
        ("holes", 1, 0, lambda: edits.fill_holes(MUSCLES, everywhere)),
        ("grow", 1, 1, lambda: edits.resize(Muscle.ERECTOR_SPINAE_RIGHT, 3.0, everywhere)),
        ("interpolation", 2, 1, gaps),  # of all muscles, which is one choice
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
    OurOracle(true, case).repair(masks.muscle, tally)
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
    """Redraw a slice every 24 mm, spread that, then finish with all tools."""

    def spread(tally: Tally) -> None:
        edits = Edits(case)
        found = spreading(case, edits.reach(Extent.ALL, 0, 0.0), 1.5 * _KEYS_MM)
        edits.apply(found.compute(), SPREAD)
        tally.add("spread", actions=2)  # propose and accept

    return _session_of_keys(case, true, spread)


def session_of_learning(weights: Path) -> Callable[[Case, NDArray[np.uint8]], Tally]:
    """Redraw a slice every 24 mm, let the network learn from them, then finish with all tools."""

    def learn(case: Case, tally: Tally) -> None:
        prepared = learning(case, Edits(case).reach(Extent.ALL, 0, 0.0))
        began = time.perf_counter(), time.process_time()
        learnt = run_to_end(prepared.job(weights, "cpu"))
        tally.learning_s = time.perf_counter() - began[0]
        tally.learning_cpu_s = time.process_time() - began[1]
        take_learnt(case, learnt, learnt.patch)
        tally.add("learn", actions=2)  # ask and accept

    return lambda case, true: _session_of_keys(case, true, lambda tally: learn(case, tally))


def _session_of_keys(case: Case, true: NDArray[np.uint8], others: Callable[[Tally], None]) -> Tally:
    tally = Tally()
    masks = case.masks
    oracle = OurOracle(true, case)
    began = time.perf_counter()
    for z in key_slices(true, masks.geometry.spacing_mm[0]):
        oracle.draw_slice(z, tally, "in key slices")
    tally.left.append(int((masks.muscle != true).sum()))
    others(tally)
    tally.left.append(int((masks.muscle != true).sum()))
    oracle.repair(masks.muscle, tally, name="brush strokes")
    tally.seconds = time.perf_counter() - began
    return tally


def key_slices(true: NDArray[np.uint8], step_mm: float) -> list[int]:
    """Return the slices that are drawn first, about every 24 mm from end to end."""
    drawn = np.flatnonzero((true > 0).any(axis=(1, 2)))
    count = max(2, round((drawn[-1] - drawn[0]) * step_mm / _KEYS_MM) + 1)
    return sorted({round(z) for z in np.linspace(drawn[0], drawn[-1], count)})


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
    weights: tuple[Path, ...] = (),
    words: tuple[str, ...] = (),
) -> Iterator[tuple[str, NDArray[np.uint8], Tally, Tally]]:
    """Yield (what, damaged mask, plain brush, our tools) of each kind of damage.

    Parameters
    ----------
    name : str
        Of the case.
    session : ReviewSession
        The case is open in it.
    true : ndarray, shape (Z, Y, X), uint8
        The right muscles.
    weights : tuple of Path
        What these networks leave is repaired too.
    words : tuple of str
        Only rows whose name holds one of them; all if empty.
    """
    assert session.case is not None
    case = session.case
    spacing = case.masks.geometry.spacing_mm
    kinds: list[tuple[str, Callable[[], NDArray[np.uint8]], Callable[..., Tally]]] = [
        ("separate mistakes", lambda: mistakes(true, spacing), session_of_mistakes),
        ("all borders drifted", lambda: drifted(true, spacing), session_of_drift),
    ]
    for folder in weights:
        kinds.append(
            (
                f"what {find_weights(folder).name} left",
                lambda folder=folder: ai_muscles(session, true, folder),  # type: ignore[misc]
                session_of_learning(folder),
            )
        )
    for what, damage, ours in kinds:
        row = f"{name}, {what}"
        if words and not any(word in row for word in words):
            continue
        results, damaged = [], damage()
        for work in (plain_session, ours):
            session.accept_muscles(damaged)
            results.append(work(case, true))
            assert worst_dice(case.masks.muscle, true) > GOAL, (what, work)
            assert case.masks.ledger.equals(case.masks.recount())
        yield row, damaged, results[0], results[1]


def ai_muscles(
    session: ReviewSession, true: NDArray[np.uint8], folder: Path = BUNDLED
) -> NDArray[np.uint8]:
    """Return what the network finds; muscles that the expert did not draw are left out."""
    assert session.case is not None
    found = run_to_end(TorchBackend(folder).run(session.case.scan, "cpu")).muscle
    return np.where(np.isin(found, np.unique(true)), found, 0).astype(np.uint8)


def one_by_one(damaged: NDArray[np.uint8], true: NDArray[np.uint8]) -> tuple[int, int]:
    """Count what it would take to draw anew all that is wrong, without any help from slices.

    Returns
    -------
    (int, int)
        Outlines of muscles that are not good enough as a whole, in slices in which they are wrong;
        and lines, if two neighbours of a side take one together.
    """
    lacking = set(np.flatnonzero(Score(damaged, true).lacking))
    outlines = lines = 0
    for found, right in zip(damaged, true, strict=True):
        wrong = {m for m in lacking if not np.array_equal(found == m, right == m)}
        outlines += len(wrong)
        lines += sum(bool(wrong & set(pair)) for pair in PAIRS)
    return outlines, lines


def _places(plain: Tally, ours: Tally) -> str:
    """Table of actions by muscle, and by slice; a line around two counts for the first."""
    both = [*plain.places, *ours.places]
    muscles = sorted({m for _, m in both})
    slices = sorted({z for z, _ in both})

    def row(name: str, tally: Tally, which: int, keys: list[int]) -> str:
        counts = [sum(n for place, n in tally.places.items() if place[which] == k) for k in keys]
        return f"| {name} | " + " | ".join(str(c or "") for c in counts) + " |"

    text = []
    for title, which, keys in (("muscle", 1, muscles), ("slice", 0, slices)):
        heads = [(Muscle(k).display_name if k else "erased") if which else str(k) for k in keys]
        text.append(f"| {title} | " + " | ".join(heads) + " |")
        text.append("|---" * (len(keys) + 1) + "|")
        text += [row("napari's brush", plain, which, keys), row("our tools", ours, which, keys), ""]
    return "\n".join(text)


def records() -> Iterator[Record]:
    """Actions on the sample phantom, for the table of all benchmarks."""
    session, true = sample_case()
    for what, _, plain, ours in sessions("sample phantom", session, true):
        yield compared(
            f"Correction to Dice > {GOAL}, {what}: actions", ours.actions, "actions",
            "napari's brush", plain.actions,
        )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the sessions as a Markdown table."""
    folders = tuple(Path(a) for a in arguments if Path(a).is_dir())
    words = tuple(a for a in arguments if not Path(a).is_dir())
    console = Console(width=240, soft_wrap=True)
    console.print(
        "| case and damage | lowest Dice | wrong voxels: at first, after key slices, after what "
        "follows from them | plain brush: actions | our tools: actions (keys that choose) | ratio "
        "| of these | if every wrong outline took one, every line around two one | drawn, m: plain "
        "/ ours | learning: wall, processor | computing, plain / ours |"
    )
    console.print("|---" * 11 + "|")
    where: list[tuple[str, Tally, Tally]] = []
    session, true = sample_case()
    assert session.case is not None
    moved = shifted(true, session.case.masks.geometry.spacing_mm)
    cases: list[tuple[Any, ...]] = [
        ("sample phantom", session, true),
        ("sample phantom in another convention", session, moved, (BUNDLED,), ("what",)),
    ]
    real = real_dixon_case()
    if not real.absent:
        opened = open_case(real)
        expert = expert_muscles(real, opened)
        cases.append(("real case TUM01", opened, expert, (*folders, BUNDLED)))
    for name, *rest in cases:
        if len(rest) > 3 and words and not any(word in name for word in words):
            continue
        given = rest if len(rest) > 3 else [*rest, *[()] * (3 - len(rest)), words]
        for what, damaged, plain, ours in sessions(name, *given):
            parts = ", ".join(f"{n} {c}" for n, c in ours.parts.items())
            wrong = [int((damaged != rest[1]).sum()), *ours.left]
            one, two = one_by_one(damaged, rest[1])
            console.print(
                f"| {what} | {worst_dice(damaged, rest[1]):.2f} | {wrong} | {plain.actions} | "
                f"{ours.actions} ({ours.keys}) | {plain.actions / ours.actions:.1f} | {parts} | "
                f"{one}, {two} ({plain.actions / two:.1f}) | "
                f"{plain.drawn_mm / 1000:.1f} / {ours.drawn_mm / 1000:.1f} | "
                f"{ours.learning_s:.0f} s, {ours.learning_cpu_s:.0f} s | {plain.seconds:.0f} s / "
                f"{ours.seconds:.0f} s |"
            )
            where.append((what, plain, ours))
    for what, plain, ours in where:
        console.print(f"\n{what}: where the actions went, napari's brush / our tools\n")
        console.print(_places(plain, ours))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The real Dixon case end to end: the AI's numbers beside those of the expert's labels.

Run as ``python -m benchmarks.real_case``; it prints the table of ``docs/real-case.md``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from rich.console import Console

from napari_backfat.measure.table import MEASURES, value_of
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.train import real_slices
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.results import Measurement
    from tests.shared_data import RealDixon


def open_case(case: RealDixon) -> ReviewSession:
    """Open the pair; its positions disagree, which is accepted here as a reader would."""
    session = ReviewSession()
    job = session.load_job([case.water, case.fat], [Contrast.WATER, Contrast.FAT], True)
    session.accept_loaded(run_to_end(job))
    return session


def expert_muscles(case: RealDixon, session: ReviewSession) -> NDArray[np.uint8]:
    """Return the expert's labels on the working grid with `Muscle` ids."""
    assert session.case is not None
    labels = np.asarray(nib.load(case.labels).dataobj)
    return real_slices.expert_muscles(session.case.scan.reference.file_grid.to_working(labels))


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return twice the overlap over the sum of both sizes."""
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def main() -> int:
    """Print the comparison as a Markdown table; 1 without the real case."""
    console = Console(width=200, soft_wrap=True)
    case = real_dixon_case()
    if case.absent:
        console.print("The real case is not here; set BACKFAT_DATA to its folder.")
        return 1
    session = open_case(case)
    expert = expert_muscles(case, session)
    session.accept_muscles(expert)
    assert session.case is not None
    by_expert = session.case.measurement
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    by_ai = session.case.measurement
    assert by_expert is not None
    assert by_ai is not None
    found = session.case.masks.muscle
    _print_table(console, by_expert, by_ai, expert, found)
    assert session.case.ai is not None
    about = session.case.ai.provenance
    console.print(f"\nweights {about['weights_sha256'][:16]}, {about['seconds']} s on the CPU")
    return 0


def _print_table(
    console: Console,
    by_expert: Measurement,
    by_ai: Measurement,
    expert: NDArray[np.uint8],
    found: NDArray[np.uint8],
) -> None:
    heads = [f"{m.label} ({m.unit})" for m in MEASURES]
    console.print("| muscle | Dice | " + " | ".join(f"{h}: expert / AI" for h in heads) + " |")
    console.print("|---" * (2 + len(heads)) + "|")
    for muscle in sorted(real_slices.EXPERT):
        overlap = dice(expert == muscle, found == muscle)
        cells = []
        for measure in MEASURES:
            values = (value_of(measure, result.muscles[muscle]) for result in (by_expert, by_ai))
            cells.append(
                " / ".join("-" if v is None else f"{v:.{measure.decimals}f}" for v in values)
            )
        console.print(f"| {muscle.display_name} | {overlap:.3f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(main())

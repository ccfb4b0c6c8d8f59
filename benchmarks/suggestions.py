"""Do suggested slices lead to what is wrong? Learning from them, against even distances.

Run as ``python -m benchmarks.suggestions [WEIGHTS ...] [even|suggested]``; it prints Markdown for
the real case, whose expert masks say what is wrong. A person who follows the suggestions corrects
as many slices, wholly, as one who takes slices in even distances; then both let the network learn.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from scipy import stats

from benchmarks.correction import ai_muscles, key_slices
from benchmarks.correction_oracle import Tally
from benchmarks.correction_tools import OurOracle
from benchmarks.real_case import expert_muscles, open_case
from napari_backfat.review.by_hand import call_right, corrected_slices
from napari_backfat.review.edits import Edits, Extent
from napari_backfat.review.learn import learning, take_learnt
from napari_backfat.review.session import run_to_end
from napari_backfat.review.suggest import next_slice
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.segment.weights import BUNDLED, find_weights
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.case import Case


def agreement(case: Case, true: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Compare the last answer's doubt with what is wrong, in slices that nobody corrected.

    Returns
    -------
    (float, float, float)
        Spearman's correlation by slice; unsure and wrong volume, ml.
    """
    muscle, open_ones = case.masks.muscle, ~corrected_slices(case)
    area = (muscle > 0).sum(axis=(1, 2))
    record = case.adapted[-1] if case.adapted else {"slice_uncertainty": _DOUBT[id(case)]}
    unsure = (area * np.array(record["slice_uncertainty"]))[open_ones]
    wrong = (muscle != true).sum(axis=(1, 2))[open_ones]
    ml = case.masks.geometry.voxel_ml
    return float(stats.spearmanr(unsure, wrong).statistic), unsure.sum() * ml, wrong.sum() * ml


_WAYS = ("even", "suggested")
_DOUBT: dict[int, list[float]] = {}


def main(arguments: list[str]) -> int:
    """Print what was found; 1 without the real case."""
    console = Console(width=200, soft_wrap=True)
    real = real_dixon_case()
    if real.absent:
        console.print("The real case is not here; set BACKFAT_DATA to its folder.")
        return 1
    session = open_case(real)
    case = session.case
    assert case is not None
    true = expert_muscles(real, session)
    console.print(
        "| weights | slices | which | wrong voxels after correcting them, after learning | doubt "
        "against what is wrong, by slice: Spearman before, after learning | unsure / wrong, ml, "
        "before and after |\n|---|---|---|---|---|---|"
    )
    folders = [Path(a) for a in arguments if Path(a).is_dir()]
    ways = [a for a in arguments if a in _WAYS] or _WAYS
    for folder in folders or [BUNDLED]:
        run = run_to_end(TorchBackend(folder).run(case.scan, "cpu"))
        damaged = ai_muscles(session, true, folder)
        even = key_slices(true, case.masks.geometry.spacing_mm[0])
        for which in ways:
            session.accept_muscles(damaged)
            _DOUBT[id(case)] = [float(v) for v in run.slice_uncertainty]
            before = agreement(case, true)
            # The suggestion reads the doubt of the run where the case keeps it.
            case.adapted = ({"slice_uncertainty": _DOUBT[id(case)]},)
            oracle, slices = OurOracle(true, case), []
            for number in range(len(even)):
                z = even[number] if which == "even" else next_slice(case).z
                oracle.draw_slice(z, Tally(), "")
                call_right(case, z)
                slices.append(z)
            fixed = int((case.masks.muscle != true).sum())
            case.adapted = ()
            learnt = run_to_end(
                learning(case, Edits(case).reach(Extent.ALL, 0, 0.0)).job(folder, "cpu")
            )
            take_learnt(case, learnt, learnt.patch)
            left = int((case.masks.muscle != true).sum())
            after = agreement(case, true)
            console.print(
                f"| {find_weights(folder).name} | {', '.join(map(str, slices))} | {which} | "
                f"{fixed}, {left} | {before[0]:.2f}, {after[0]:.2f} | {before[1]:.1f} / "
                f"{before[2]:.1f}, {after[1]:.1f} / {after[2]:.1f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

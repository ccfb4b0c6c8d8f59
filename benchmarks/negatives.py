"""What is no lumbar back gets no muscles, and what is one gets them.

``python -m benchmarks.negatives`` prints the table of ``docs/ai-trust.md``: real scans of heads
and a thorax, drawn limbs, heads and pelves, noise; and, so that "nothing" is no cheap answer, real
and drawn scans that do show back muscles.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Scan
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.train.evaluate import run
from napari_backfat.train.sources import scan_of
from napari_backfat.train.trials import phantom_trial
from tests.anatomy import NOT_A_BACK, draw
from tests.shared_data import shared_data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADS = ("siemens", "ge", "philips", "hyperfine", "siemens_multiframe", "philips_enhanced")
_SEEDS = 6


def real_scans(root: Path) -> Iterator[tuple[str, str, Scan | str]]:
    """Yield (what, expected, scan or why it did not open) of real scans."""
    for name in _HEADS:
        folder = root / "dicom" / name
        if folder.is_dir():
            # One row for each series that opens as a volume.
            for kind, scan in _open(folder):
                yield f"real head, {name}{kind}", "nothing", scan
    maps = root / "label_maps"
    for file, what, expected in (
        (
            "totalseg_ct_example_image.nii.gz",
            "real CT, thorax to abdomen (no MR)",
            "back or nothing",
        ),
        ("totalseg_mr_example_image.nii.gz", "real MR, T11 to L2", "back"),
    ):
        if (maps / file).is_file():
            for _, scan in _open(maps / file):
                yield what, expected, scan
    folder = root / "dicom" / "philips_enhanced_abdomen"
    if folder.is_dir():
        for kind, scan in _open(folder):
            yield f"real abdominal localiser{kind}", "back", scan


def _open(path: Path) -> Iterator[tuple[str, Scan | str]]:
    for number in range(1, 7):
        source = f"{path}#{number}" if path.is_dir() else str(path)
        try:
            job = ReviewSession.load_job([source], [Contrast.UNKNOWN])
            yield (f", series {number}" if path.is_dir() else ""), run_to_end(job).scan
        except BackfatError as error:
            if number == 1:
                yield "", str(error)
            if not path.is_dir() or number > 1:
                return
        if not path.is_dir():
            return


def drawn_scans() -> Iterator[tuple[str, str, Scan]]:
    """Yield drawn anatomy without a back, noise, and phantom backs."""
    affine = np.diag([-1.2, -1.2, -5.0, 1.0])
    for what in NOT_A_BACK:
        for seed in range(_SEEDS):
            image = draw(what, seed)
            depth, height, width = image.shape
            grid = FileGrid.from_affine((width, height, depth), affine)
            yield f"drawn {what}", "nothing", scan_of({Contrast.UNKNOWN: image}, grid, what)
    for seed in range(_SEEDS):
        yield "phantom person", "back", phantom_trial(50001 + seed, "clean").scan


def main(console: Console | None = None) -> int:
    """Print the table; 1 if muscles were found where none are."""
    console = console or Console(width=200, soft_wrap=True)
    console.print("| scan | is | answers | muscle found |")
    console.print("|---|---|---|---|")
    rows: dict[tuple[str, str], list[tuple[str, float]]] = {}
    backend, wrong = TorchBackend(), 0
    for what, expected, scan in (*real_scans(shared_data_folder()), *drawn_scans()):
        if isinstance(scan, str):
            rows.setdefault((what, expected), []).append((f"not opened: {scan[:60]}", 0.0))
            continue
        made = run(backend, scan)
        if made.found:
            muscles = sum(bool((made.muscle == m).any()) for m in MUSCLES)
            doubtful = sum(f.kind in ("low confidence", "doubtful case") for f in made.flags)
            answer = f"{muscles} muscles, {doubtful} warnings"
            wrong += expected == "nothing"
        else:
            answer = "no paraspinal muscles found"
        volume = float((made.muscle > 0).sum() * scan.geometry.voxel_ml)
        rows.setdefault((what, expected), []).append((answer, volume))
    for (what, expected), answers in rows.items():
        said = [a for a, _ in answers]
        counted = ", ".join(
            f"{said.count(a)} x {a}" if len(said) > 1 else a for a in dict.fromkeys(said)
        )
        most = max(v for _, v in answers)
        console.print(f"| {what} | {expected} | {counted} | up to {most:.0f} ml |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

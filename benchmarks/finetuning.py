"""What fine-tuning does: half of the real case for the other half, and a shifted convention.

Run as ``python -m benchmarks.finetuning real`` or ``... phantoms``; it prints Markdown. Weights go
into a temporary folder. Options follow as ``name=value``: minutes, steps, threads, seed, parent (a
folder with weights to start from; the bundled ones have learned from the real case).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from rich.console import Console
from scipy import ndimage

from benchmarks.real_case import expert_muscles, open_case
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import CaseFiles, save_case
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.segment.weights import BUNDLED
from napari_backfat.train.evaluate import run as segment
from napari_backfat.train.finetune import TuneOptions, finetune, run
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import draw_params
from napari_backfat.train.phantom_signal import make_images
from napari_backfat.train.sources import scan_of
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan

    Masks = NDArray[np.uint8]

console = Console(width=200, soft_wrap=True)


def dice(first: Masks, second: Masks, muscle: int) -> float:
    """Dice of one label; NaN if neither map has it."""
    a, b = first == muscle, second == muscle
    total = int(a.sum() + b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def save(folder: Path, scan: Scan, muscles: Masks) -> None:
    """Save masks as a case whose muscles were drawn elsewhere."""
    tissue = (muscles > 0).astype(np.uint8)
    save_case(folder, CaseFiles(muscles=muscles, tissue=tissue, threshold=0.5), scan)


def tuned(cases: Path, out: Path, options: TuneOptions, parent: Path) -> tuple[Path, str]:
    """Fine-tune and tell how long it took; the weights are written even if they are worse."""
    began, busy = time.perf_counter(), time.process_time()
    done = run(finetune(cases, out, options, parent))
    wall, busy = (time.perf_counter() - began) / 60, (time.process_time() - busy) / 60
    record = done.record
    text = (
        f"{record['steps']} steps (best: {record['best_step']}), {record['minutes']:.1f} minutes "
        f"of learning, {wall:.1f} in all, of which the processor worked {busy:.1f}; "
        f"{record['threads']} thread(s); judged worse: "
        f"{list(done.verdict.worse) or 'no'}"
    )
    return out, text


def single_inputs(scan: Scan) -> dict[str, Scan]:
    """Give the scan as it is and each of its images alone."""
    grid = scan.reference.file_grid
    given = {"water+fat": scan}
    for image in scan.images:
        contrast = image.contrast
        given[contrast.value] = scan_of({contrast: image.voxels}, grid, contrast.value)
    return given


def real(options: TuneOptions, parent: Path) -> None:
    """Learn from every second block of slices of the real case, measure on the others."""
    case = real_dixon_case()
    if case.absent:
        console.print("The real case is not here; set BACKFAT_DATA to its folder.")
        return
    session = open_case(case)
    assert session.case is not None
    scan = session.case.scan
    expert = expert_muscles(case, session)
    depth = len(expert)
    for half in (0, 1):
        learned = np.arange(depth) * 4 // depth % 2 == half
        given = np.where(learned[:, None, None], expert, np.uint8(0))
        # Neighbours of slices that were learned from look nearly the same: they do not count.
        near = np.convolve(learned, np.ones(3), mode="same") > 0
        with tempfile.TemporaryDirectory() as place:
            save(Path(place) / "cases" / "half", scan, given)
            weights, text = tuned(Path(place) / "cases", Path(place) / "weights", options, parent)
            console.print(
                f"\nReal case, learned from {int(learned.sum())} slices, measured on "
                f"{int((~near).sum())} others of the same person. {text}\n"
            )
            rows(single_inputs(scan), expert, ~near, (parent, weights), labelled=(1, 2, 3, 4))


def rows(
    inputs: dict[str, Scan],
    truth: Masks,
    slices: NDArray[np.bool_],
    weights: tuple[Path, Path],
    labelled: tuple[int, ...],
) -> None:
    """Print Dice before and after for each way of giving a scan."""
    console.print("| input | muscle | before | after |\n| --- | --- | --- | --- |")
    for name, scan in inputs.items():
        old, new = (segment(TorchBackend(f), scan).muscle for f in weights)
        for muscle in MUSCLES:
            if muscle in labelled:
                first, second = (dice(m[slices], truth[slices], muscle) for m in (old, new))
                cells = f"{first:.3f} | {second:.3f}"
            else:
                kept = dice(old[slices], new[slices], muscle)
                cells = f"not labelled | agrees with the mask before: {kept:.3f}"
            console.print(f"| {name} | {muscle.display_name} | {cells} |")


def shifted(muscles: Masks, spacing: tuple[float, float, float], reach_mm: float = 4.0) -> Masks:
    """Annotate as a reader would who gives the multifidus a rim of the erector spinae."""
    out = muscles.copy()
    for side in (0, 1):
        mf, es = Muscle(1 + side), Muscle(3 + side)
        inner = muscles == mf
        for z in range(len(muscles)):
            if inner[z].any():
                far = ndimage.distance_transform_edt(~inner[z], spacing[1:])
                out[z][(muscles[z] == es) & (far <= reach_mm)] = mf
    return out


def person(seed: int) -> tuple[Scan, Masks, tuple[float, float, float]]:
    """Make a phantom person, 16 slices of 6 mm."""
    spacing = (6.0, 1.4, 1.4)
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -1.4, -1.4, -6.0, 1.0
    affine[:3, 3] = (150 * 1.4, 140 * 1.4, 36.0)
    grid = FileGrid.from_affine((300, 230, 16), affine[:, [2, 1, 0, 3]])
    made = make_anatomy(draw_params(np.random.default_rng([seed, 7])), grid.geometry)
    wanted = (Contrast.WATER, Contrast.FAT)
    images = make_images(made, wanted, np.random.default_rng([seed, 8]))
    return scan_of(dict(images), grid, f"phantom-{seed}"), made.muscles, spacing


def on_disk(scan: Scan, folder: Path) -> Scan:
    """Write the images of a scan, so that a case can name them."""
    folder.mkdir(parents=True)
    grid, paths, kinds = scan.reference.file_grid, [], []
    for image in scan.images:
        path = folder / f"{image.contrast.value}.nii.gz"
        array = np.ascontiguousarray(grid.to_file(image.voxels))
        nib.Nifti1Image(array, grid.affine).to_filename(path)
        paths.append(path)
        kinds.append(image.contrast)
    return open_scan(paths, kinds)


def phantoms(options: TuneOptions, parent: Path) -> None:
    """Learn another convention from four phantom persons, measure on two new ones."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for seed in range(7001, 7005):
            scan, muscles, spacing = person(seed)
            images = on_disk(scan, root / "images" / str(seed))
            save(root / "cases" / str(seed), images, shifted(muscles, spacing))
        weights, text = tuned(root / "cases", root / "weights", options, parent)
        console.print(
            "\nPhantoms annotated with the multifidus 4 mm wider at the cost of the erector "
            f"spinae; four cases, two new persons measured. {text}\n"
        )
        collected: dict[str, list[tuple[float, float, float]]] = {}
        for seed in (7101, 7102):
            scan, muscles, spacing = person(seed)
            truth = shifted(muscles, spacing)
            masks = [segment(TorchBackend(f), scan).muscle for f in (parent, weights)]
            for m in MUSCLES:
                values = (*(dice(a, truth, m) for a in masks), dice(muscles, truth, m))
                collected.setdefault(m.display_name, []).append(values)
        console.print("| muscle | before | after | old convention itself |\n" + "| --- " * 4 + "|")
        for name, values in collected.items():
            cells = " | ".join(f"{v:.3f}" for v in np.nanmean(values, axis=0))
            console.print(f"| {name} | {cells} |")


MEASURED: dict[str, Callable[[TuneOptions, Path], None]] = {"real": real, "phantoms": phantoms}


def main(arguments: list[str]) -> int:
    """Run one of the measurements; 2 for an unknown one."""
    if not arguments or arguments[0] not in MEASURED:
        console.print(f"choose one of: {', '.join(MEASURED)}")
        return 2
    kinds: dict[str, Any] = {"minutes": float, "steps": int, "threads": int, "seed": int}
    given = dict(a.split("=", 1) for a in arguments[1:])
    parent = Path(given.pop("parent", BUNDLED))
    chosen = {name: kinds[name](value) for name, value in given.items()}
    MEASURED[arguments[0]](TuneOptions(device="cpu", force=True, **chosen), parent)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

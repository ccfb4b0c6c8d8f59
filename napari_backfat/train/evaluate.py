"""Measure the shipped weights: on real scans with expert labels, and on held-out synthesis."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.train.scores import score
from napari_backfat.train.sources import read_working

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.geometry import FileGrid
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.segment.torch_backend import TorchBackend

logger = logging.getLogger(__name__)

# The expert labels of the real Dixon case, sides from its affine.
_EXPERT = {
    Muscle.ERECTOR_SPINAE_RIGHT: 1,
    Muscle.MULTIFIDUS_RIGHT: 2,
    Muscle.MULTIFIDUS_LEFT: 3,
    Muscle.ERECTOR_SPINAE_LEFT: 4,
}


def scan_of(images: dict[Contrast, NDArray[Any]], grid: FileGrid, name: str) -> Scan:
    """Make a scan of working arrays (Z, Y, X) on one grid."""
    volumes = tuple(
        Volume(np.asarray(a, dtype=np.float32), grid, Source(name, ""), contrast)
        for contrast, a in images.items()
    )
    return Scan(volumes, volumes[0])


def run(backend: TorchBackend, scan: Scan, device: str = "cpu") -> Segmentation:
    """Run a backend to its end."""
    steps = backend.run(scan, device)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Segmentation = stop.value
            return result


def evaluate_real_dixon(backend: TorchBackend, root: Path, device: str = "cpu") -> dict[str, Any]:
    """Score the real Dixon case for each way of giving it to the network.

    Parameters
    ----------
    backend : TorchBackend
        What to measure.
    root : Path
        Data folder.
    device : str
        torch device.

    Returns
    -------
    dict
        Input name -> muscle name -> score.
    """
    folder = root / "real_dixon"
    fat, grid = read_working(folder / "TUM01_fat.nii.gz")
    water, _ = read_working(folder / "TUM01_water.nii.gz")
    labels, _ = read_working(folder / "TUM01_dseg.nii.gz")
    water, fat = water.astype(np.float32), fat.astype(np.float32)
    total = water + fat
    fraction = np.where(
        total > 0.02 * np.percentile(total, 99), fat / np.maximum(total, 1e-6), np.nan
    )
    inputs = {
        "water+fat": {Contrast.WATER: water, Contrast.FAT: fat},
        "water": {Contrast.WATER: water},
        "fat": {Contrast.FAT: fat},
        "in phase (water + fat summed)": {Contrast.IN_PHASE: total},
        "opposed phase (difference)": {Contrast.OPPOSED_PHASE: np.abs(water - fat)},
    }
    results: dict[str, Any] = {}
    for name, images in inputs.items():
        made = run(backend, scan_of(images, grid, name), device)
        results[name] = {
            muscle.display_name: score(
                made.muscle == int(muscle),
                labels == value,
                grid.geometry.spacing_mm,
                fraction.astype(np.float32),
            ).as_dict()
            for muscle, value in _EXPERT.items()
        }
        results[name]["seconds"] = round(made.seconds, 2)
        results[name]["flags"] = [f.text for f in made.flags]
        results[name]["volumes_ml"] = {
            m.display_name: round(float((made.muscle == m).sum() * grid.geometry.voxel_ml), 1)
            for m in Muscle
            if m
        }
    return results


def evaluate_totalseg_mr(backend: TorchBackend, root: Path, device: str = "cpu") -> dict[str, Any]:
    """Score the real abdominal MR example against its combined classes, per side."""
    folder = root / "label_maps"
    image, grid = read_working(folder / "totalseg_mr_example_image.nii.gz")
    labels, _ = read_working(folder / "totalseg_mr_example.nii.gz")
    made = run(backend, scan_of({Contrast.UNKNOWN: image}, grid, "totalseg_mr_example"), device)
    groups = {
        "autochthon L": ((1, 3), 46),
        "autochthon R": ((2, 4), 47),
        "iliopsoas L": ((5,), 48),
        "iliopsoas R": ((6,), 49),
    }
    return {
        name: score(
            np.isin(made.muscle, ours), labels == theirs, grid.geometry.spacing_mm
        ).as_dict()
        for name, (ours, theirs) in groups.items()
    } | {"seconds": round(made.seconds, 2), "flags": [f.text for f in made.flags]}


def write_report(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON."""
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

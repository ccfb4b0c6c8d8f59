"""Measure the shipped weights: on real scans with expert labels, and on held-out synthesis."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import draw_params
from napari_backfat.train.phantom_signal import make_images
from napari_backfat.train.real_slices import EXPERT, real_case
from napari_backfat.train.scores import score
from napari_backfat.train.sources import read_working, scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.segment.torch_backend import TorchBackend

logger = logging.getLogger(__name__)


def run(backend: TorchBackend, scan: Scan, device: str = "cpu") -> Segmentation:
    """Run a backend to its end."""
    steps = backend.run(scan, device)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Segmentation = stop.value
            return result


def evaluate_real_dixon(
    backend: TorchBackend,
    root: Path,
    device: str = "cpu",
    measured: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """Score the real Dixon case for each way of giving it to the network.

    Parameters
    ----------
    backend : TorchBackend
        What to measure.
    root : Path
        Data folder.
    device : str
        torch device.
    measured : tuple of int, optional
        Slices (working grid) that are scored; all by default. The network always sees them all.

    Returns
    -------
    dict
        Input name -> muscle name -> score.
    """
    case = real_case(root, "TUM01")
    grid = case.scan.reference.file_grid
    water, fat = (volume.voxels for volume in case.scan.images)
    scored = np.arange(len(case.muscles)) if measured is None else np.array(measured)
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
                made.muscle[scored] == int(muscle),
                case.muscles[scored] == int(muscle),
                grid.geometry.spacing_mm,
                fraction[scored].astype(np.float32),
            ).as_dict()
            for muscle in EXPERT
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


_PHANTOM_INPUTS = (
    (Contrast.WATER, Contrast.FAT),
    (Contrast.WATER,),
    (Contrast.FAT,),
    (Contrast.IN_PHASE,),
    (Contrast.OPPOSED_PHASE,),
    (Contrast.T1W,),
    (Contrast.T2W,),
)


def evaluate_phantoms(
    backend: TorchBackend, seeds: tuple[int, ...], device: str = "cpu"
) -> dict[str, Any]:
    """Score phantom persons that no training ever saw, imaged by the phantom's own signal model.

    Parameters
    ----------
    backend : TorchBackend
        What to measure.
    seeds : tuple of int
        One person each; 26 slices of 6 mm from T12 to S1, 1.4 mm in plane.
    device : str
        torch device.

    Returns
    -------
    dict
        Input name -> muscle name -> mean score over the persons.
    """
    shape, spacing = (26, 230, 300), (6.0, 1.4, 1.4)
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -1.4, -1.4, -6.0, 1.0
    affine[:3, 3] = (150 * 1.4, 140 * 1.4, 78.0)
    grid = FileGrid.from_affine((300, 230, 26), affine[:, [2, 1, 0, 3]])
    collected: dict[str, dict[str, list[dict[str, float]]]] = {}
    for seed in seeds:
        person = make_anatomy(draw_params(np.random.default_rng([seed, 7])), grid.geometry)
        for contrasts in _PHANTOM_INPUTS:
            name = "+".join(c.value for c in contrasts)
            images = make_images(person, contrasts, np.random.default_rng([seed, 8]))
            made = run(backend, scan_of(images, grid, name), device)
            for muscle in MUSCLES:
                found = score(
                    made.muscle == muscle, person.muscles == muscle, spacing, person.fat_fraction
                )
                collected.setdefault(name, {}).setdefault(muscle.display_name, []).append(
                    found.as_dict()
                )
        logger.info("phantom %d of %d, shape %s", seeds.index(seed) + 1, len(seeds), shape)
    return {
        name: {
            muscle: {k: round(float(np.nanmean([f[k] for f in found])), 4) for k in found[0]}
            for muscle, found in muscles.items()
        }
        for name, muscles in collected.items()
    }


def write_report(results: dict[str, Any], path: Path) -> None:
    """Write results as JSON."""
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

"""How often exchanged water and fat are noticed, and how often there is a false alarm.

Run ``python -m benchmarks.swap [PEOPLE [EXCHANGED [FIRST]]]``: looks for false alarms in PEOPLE
phantoms (default 64) and makes every exchange in the first EXCHANGED of them (default 12), starting
at person FIRST; prints the table of ``docs/dixon.md`` and writes ``out/swap-FIRST.json``.
``python -m benchmarks.swap real`` does it with the real Dixon case.
``python -m benchmarks.swap sweep [PEOPLE [EXCHANGED [FIRST]]]`` counts what lower thresholds of the
border would find and what they would raise for nothing.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_backfat.model.geometry import Geometry
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.swap import SwapKind, SwapReport, find_swaps
from napari_backfat.train.phantom import draw_acquisition, draw_params, make_anatomy, make_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

OUT = Path("out")
GROUPS = ("drawn", "very fatty muscles", "thin", "no skin in the picture")
RADII_MM = (8, 12, 18, 25, 40)


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """Return an axial working grid around the spine, spacing in mm."""
    matrix = np.zeros((3, 3))
    matrix[0, 2], matrix[1, 1], matrix[2, 0] = (-s for s in spacing[::-1])
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = np.array((0.0, 20.0, -20.0)) - matrix @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


def people(
    number: int, first: int = 0
) -> Iterator[tuple[str, dict[str, NDArray[np.float32]], tuple[float, ...]]]:
    """Yield phantom people of the four groups in turn: group, images and muscles, voxel size."""
    spacing = (8.0, 2.0, 2.0)
    for index in range(first, number):
        rng = np.random.default_rng([99, index])
        person, group = draw_params(rng), GROUPS[index % 4]
        shape = (10, 132, 200)
        if group == "very fatty muscles":
            es = 0.5 + 0.1 * (index % 8 > 3)
            person = replace(
                person, mf_fat=0.6, es_fat=es, psoas_fat=0.35, ql_fat=0.4, caudal_gain=1.2
            )
        elif group == "thin":
            mm = 4.0 + index % 3
            person = replace(person, subcutaneous_mm=mm, belly_mm=0.0, visceral_fat=0.05)
        # No scanner is sharper than a point spread of about half a voxel's deviation.
        setting = replace(draw_acquisition(rng), blur_voxels=float(rng.uniform(0.5, 0.9)))
        anatomy = make_anatomy(person, grid(shape, spacing), oversample=(1, 2))
        made = make_images(anatomy, (Contrast.WATER, Contrast.FAT), rng, setting)
        images = {
            "water": made[Contrast.WATER],
            "fat": made[Contrast.FAT],
            "muscle": anatomy.muscles,
        }
        if group == "no skin in the picture":  # the muscles and what lies before them
            _, y, x = (int(v) for v in np.argwhere(anatomy.muscles > 0).mean(axis=0))
            box = (slice(None), slice(y - 28, y + 12), slice(x - 33, x + 33))
            images = {name: np.ascontiguousarray(image[box]) for name, image in images.items()}
        yield group, images, spacing


def ball(
    body: NDArray[np.bool_], spacing: tuple[float, ...], radius: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a ball around a random voxel of the body, at least 80 % of it in the body."""
    places = np.argwhere(body)
    axes = np.indices(body.shape) * np.array(spacing)[:, None, None, None]
    for _ in range(50):
        centre = places[rng.integers(len(places))] * np.array(spacing)
        region = ((axes - centre[:, None, None, None]) ** 2).sum(axis=0) < radius**2
        if (region & body).sum() >= 0.8 * region.sum():
            break
    return np.asarray(region)


def exchanges(
    body: NDArray[np.bool_], spacing: tuple[float, ...], rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the regions to exchange."""
    everything = np.ones(body.shape, bool)
    yield "whole", everything
    yield "whole, muscles known", everything
    half = np.zeros(body.shape, bool)
    half[rng.integers(3, 8) :] = True
    yield "half of the slices", half
    one = np.zeros(body.shape, bool)
    one[rng.integers(1, 9)] = True
    yield "one slice", one
    left = np.zeros(body.shape, bool)
    left[:, :, : int(body.shape[2] * rng.uniform(0.4, 0.6))] = True
    yield "left or right half", left
    y, x = np.mgrid[: body.shape[1], : body.shape[2]]
    angle = np.deg2rad(rng.uniform(20, 70))
    turned = (y - body.shape[1] / 2) * np.sin(angle) + (x - body.shape[2] / 2) * np.cos(angle) > 0
    yield "oblique half", np.broadcast_to(turned, body.shape).copy()
    for radius in RADII_MM:
        yield f"ball, radius {radius} mm", ball(body, spacing, radius, rng)


def overlap(report: SwapReport, region: NDArray[np.bool_], body: NDArray[np.bool_]) -> float:
    """Return the best Dice overlap of an alarm with the region, in the body; 0 without alarm."""
    inside = region & body
    return max(
        (
            float(2 * (a.region & inside).sum() / ((a.region & body).sum() + inside.sum()))
            for a in report.alarms
        ),
        default=0.0,
    )


def judge(
    water: NDArray[np.float32],
    fat: NDArray[np.float32],
    muscle: NDArray[np.uint8] | None,
    spacing: tuple[float, ...],
    rng: np.random.Generator | None,
) -> dict[str, float]:
    """Return overlaps by exchange; "none" is the number of false alarms; no rng: only that."""
    z, y, x = spacing
    total = water + fat
    body = total > 0.08 * np.percentile(total, 99)
    results = {"none": float(len(find_swaps(water, fat, (z, y, x), muscle).alarms))}
    if rng is None:
        return results
    for name, region in exchanges(body, spacing, rng):
        known = muscle if "muscles" in name else None
        w, f = np.where(region, fat, water), np.where(region, water, fat)
        report = find_swaps(w, f, (z, y, x), known)
        hit = overlap(report, region, body)
        if name.startswith("whole"):
            hit = float(any(a.kind is SwapKind.WHOLE for a in report.alarms))
        results[name] = hit
    return results


def main(number: int = 64, exchanged: int = 12, first: int = 0) -> None:
    """Measure and print."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for index, (group, images, spacing) in enumerate(people(number, first), first):
        rng = np.random.default_rng([7, index]) if index < exchanged else None
        result = judge(images["water"], images["fat"], images["muscle"], spacing, rng)  # type: ignore[arg-type]
        for name, value in result.items():
            found[group][name].append(value)
        OUT.mkdir(exist_ok=True)
        record = json.dumps({"from": first, "people": index + 1, "found": found}, indent=1)
        (OUT / f"swap-{first}.json").write_text(record)
    console = Console(width=150)
    table = Table("exchange", *GROUPS)
    for name in next(iter(found.values())):
        cells = []
        for group in GROUPS:
            values = np.array(found[group][name])
            if name == "none":
                cells.append(f"false alarms in {int((values > 0).sum())} of {len(values)}")
            else:
                hits = values > 0.5
                dice = f", Dice {np.median(values[hits]):.2f}" if hits.any() else ""
                cells.append(f"{int(hits.sum())} of {len(values)}{dice}")
        table.add_row(name, *cells)
    console.print(table)


def sweep(number: int = 100, exchanged: int = 24, first: int = 200) -> None:
    """Print hits and false alarms of regions by the least border that is reported."""
    shares = (0.72, 0.66, 0.60, 0.50)
    false = np.zeros(len(shares), int)
    hits: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    for index, (_, images, (z, y, x)) in enumerate(people(first + number, first), first):
        water, fat, muscle = (images[name] for name in ("water", "fat", "muscle"))
        body = water + fat > 0.08 * np.percentile(water + fat, 99)
        report = find_swaps(water, fat, (z, y, x), muscle, min(shares))  # type: ignore[arg-type]
        false += [any(a.border >= share for a in report.alarms) for share in shares]
        if index - first >= exchanged:
            continue
        for name, region in exchanges(body, (z, y, x), np.random.default_rng([7, index])):
            if not name.startswith(("ball", "oblique")):
                continue
            w, f = np.where(region, fat, water), np.where(region, water, fat)
            alarms = find_swaps(w, f, (z, y, x), None, min(shares)).alarms
            found = [
                any(a.border >= s and overlap(SwapReport((a,)), region, body) > 0.5 for a in alarms)
                for s in shares
            ]
            hits[name.split(",")[0]].append(np.array(found))
    for place, share in enumerate(shares):
        words = [f"{n} {sum(h[place] for h in part)} of {len(part)}" for n, part in hits.items()]
        Console().print(f"{share}: {', '.join(words)}; false alarms {false[place]} of {number}")


def real() -> None:
    """Exchange parts of the real case by rule, and look for them; prints a line each."""
    from napari_backfat.io.scan import open_scan
    from tests.shared_data import real_dixon_case

    case = real_dixon_case()
    scan = open_scan([case.water, case.fat], accept_mismatch=True)
    water, fat = (v.voxels for v in scan.images)
    spacing = scan.geometry.spacing_mm
    total = water + fat
    body = total > 0.08 * np.percentile(total, 99)
    z, y, x = np.indices(water.shape, dtype=np.float32)
    regions = {
        "as it is": np.zeros(water.shape, bool),
        "whole": np.ones(water.shape, bool),
        "slices 12-28": z >= 12,
        "one slice": z == 7,
        "one side": x < 190,
        "oblique side": 0.6 * y + 0.8 * x > 270,
    }
    for radius in RADII_MM:
        far = ((z - 15) * spacing[0]) ** 2 + ((y - 235) * spacing[1]) ** 2
        regions[f"ball, {radius} mm"] = far + ((x - 160) * spacing[2]) ** 2 < radius**2
    console = Console(width=150)
    for name, region in regions.items():
        w, f = np.where(region, fat, water), np.where(region, water, fat)
        report = find_swaps(w, f, spacing)
        kinds = ", ".join(f"{a.kind} {a.volume_ml:.0f} ml" for a in report.alarms) or "no alarm"
        console.print(f"{name}: {kinds}; Dice {overlap(report, region, body):.3f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["real"]:
        real()
    elif sys.argv[1:2] == ["sweep"]:
        sweep(*(int(word) for word in sys.argv[2:]))
    else:
        main(*(int(word) for word in sys.argv[1:]))

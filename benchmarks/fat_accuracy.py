"""Volume and fat fraction on phantoms whose truth is known, and their repeatability.

Part of ``python -m benchmarks``; run as ``python -m benchmarks.fat_accuracy`` it also writes the
plots of ``docs/fat-methods.md`` and prints its tables.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from benchmarks.record import Record, compared
from napari_backfat.measure.quantify import BACK
from napari_backfat.measure.table import CORRECTED_KEY, tidy_rows
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.fat_agreement import agreement_job
from napari_backfat.review.session import Loaded, ReviewSession, run_to_end
from napari_backfat.separate.recipe import NoiseModel, Recipe
from napari_backfat.train.phantom import (
    Acquisition,
    Anatomy,
    PhantomParams,
    make_anatomy,
    make_images,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.review.fat_agreement import MethodResult

IMAGES = Path("docs/images")
_FIELD_MM = (48.0, 170.0, 200.0)  # head-foot, front-back, right-left
_CENTRE_MM = (0.0, -30.0, -20.0)  # RAS from the canal at L3
_FINE_MM = (2.0, 0.8, 0.8)
_REPEATS = 6
_PLAIN = (Recipe("dixon", threshold=0.5),)
_RECIPES = (
    *_PLAIN,
    replace(_PLAIN[0], noise_floor=True, noise_model=NoiseModel.MUSCLE),
    replace(_PLAIN[0], eroded_layers=1),
    _PLAIN[0].least_biased,
    replace(_PLAIN[0].least_biased, noise_model=NoiseModel.VOXEL),
    Recipe("ratio"),
)
_GOAL_VOLUME, _GOAL_FRACTION, _GOAL_REPEAT = 1.0, 0.5, 1.5


@dataclass(frozen=True)
class Setting:
    """One phantom person in one scanner."""

    name: str
    fat: float
    spacing: tuple[float, float, float]
    tilt_deg: float = 0.0
    flips: tuple[int, int, int] = (1, 1, 1)
    snr: float = 45.0
    seed: int = 1

    @property
    def params(self) -> PhantomParams:
        """The person: fat as wanted, everything else by the seed."""
        return PhantomParams(
            seed=self.seed,
            mf_fat=self.fat * 1.2,
            es_fat=self.fat,
            psoas_fat=0.25 * self.fat + 0.02,
            ql_fat=0.5 * self.fat + 0.02,
            streakiness=0.5 + 0.1 * (self.seed % 5),
            subcutaneous_mm=12.0 + 2 * self.seed,
        )


SETTINGS = (
    Setting("lean", 0.04, (4.0, 1.2, 1.2)),
    Setting("usual", 0.13, (4.0, 1.2, 1.2), seed=2),
    Setting("usual, thin slices", 0.13, (2.0, 1.2, 1.2), seed=3),
    Setting("usual, thick slices", 0.13, (6.0, 0.8, 0.8), seed=4),
    Setting("usual, coarse", 0.13, (3.0, 1.6, 1.6), seed=5),
    Setting("usual, oblique", 0.13, (4.0, 1.2, 1.2), tilt_deg=12.0, seed=6),
    Setting("usual, axes flipped", 0.13, (4.0, 1.2, 1.2), flips=(-1, -1, -1), seed=7),
    Setting("usual, noisy", 0.13, (4.0, 1.2, 1.2), snr=25.0, seed=8),
    Setting("usual, very noisy", 0.13, (4.0, 1.2, 1.2), snr=20.0, seed=8),
    Setting("lean, very noisy", 0.04, (4.0, 1.2, 1.2), snr=20.0),
    Setting("usual, little noise", 0.13, (4.0, 1.2, 1.2), snr=100.0, seed=2),
    Setting("fatty, very noisy", 0.28, (4.0, 1.2, 1.2), snr=20.0, seed=9),
    Setting("fatty", 0.28, (4.0, 1.2, 1.2), seed=9),
    Setting("very fatty", 0.50, (4.0, 1.2, 1.2), seed=10),
)


def grid_of(spacing: tuple[float, float, float], setting: Setting) -> FileGrid:
    """Return a grid over the same body region, whatever its spacing and direction."""
    shape = [round(mm / step) for mm, step in zip(_FIELD_MM, spacing, strict=True)][::-1]
    step = np.array(spacing[::-1]) * np.array([-1, -1, 1]) * np.array(setting.flips)
    angle = np.deg2rad(setting.tilt_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(step)
    middle = (np.array(shape) - 1) / 2
    affine[:3, 3] = np.array(_CENTRE_MM) - affine[:3, :3] @ middle
    return FileGrid.from_affine((shape[0], shape[1], shape[2]), affine)


def scan_of(
    anatomy: Anatomy,
    grid: FileGrid,
    setting: Setting,
    noise_seed: int,
    contrasts: tuple[Contrast, ...] = (Contrast.WATER, Contrast.FAT),
) -> Scan:
    """Image a phantom: coil shading, blur and Rician noise."""
    acquisition = Acquisition(snr=setting.snr, blur_voxels=0.45, shading=0.7)
    made = make_images(anatomy, contrasts, np.random.default_rng([setting.seed, 0]), acquisition)
    if noise_seed:  # the same coil, other noise
        rng = np.random.default_rng([setting.seed, noise_seed])
        clean = make_images(
            anatomy,
            contrasts,
            np.random.default_rng([setting.seed, 0]),
            replace(acquisition, snr=1e9),
        )
        sigma = 0.8 / setting.snr * acquisition.scale
        made = {
            c: np.hypot(
                image + rng.normal(0, sigma, image.shape), rng.normal(0, sigma, image.shape)
            ).astype(np.float32)
            for c, image in clean.items()
        }
    images = tuple(Volume(made[c], grid, Source(c.value, "0" * 64), c) for c in contrasts)
    return Scan(images, images[0])


def session_of(scan: Scan, anatomy: Anatomy) -> ReviewSession:
    """Open a scan with its true muscles, as the command `measure` does."""
    session = ReviewSession()
    session.accept_loaded(Loaded(scan, fat_map_of(scan, None)))
    session.accept_muscles(anatomy.muscles)
    return session


@dataclass(frozen=True)
class Point:
    """One muscle of one setting: truth and measurement.

    `true_fraction` and `true_eroded` are of the same voxels as the measurement, with everything
    that lies in them; `true_tissue` is of the muscle itself, inside its sheath, on the fine grid.
    `shown`, `low` and `high` are the corrected mean that every case folder holds, read from its
    rows without touching a setting; NaN where it is blank. `true_seen` is what the same scanner
    would show of its voxels without noise.
    """

    setting: str
    muscle: Muscle
    true_ml: float
    ml: float
    true_fraction: float
    fraction: float
    fraction_noiseless: float
    fraction_floor: float
    fraction_eroded: float
    fraction_corrected: float
    fraction_by_voxel: float
    true_eroded: float
    true_tissue: float
    ratio: float
    true_ratio: float
    shown: float
    low: float
    high: float
    true_seen: float


def points_of(setting: Setting) -> tuple[list[Point], Anatomy, FileGrid]:
    """Measure one setting through the same functions as the application."""
    grid = grid_of(setting.spacing, setting)
    anatomy = make_anatomy(setting.params, grid.geometry)
    fine_grid = grid_of(_FINE_MM, setting)
    fine = make_anatomy(setting.params, fine_grid.geometry, (1, 1))
    session = session_of(scan_of(anatomy, grid, setting, 0), anatomy)
    case = session.case
    assert case is not None
    assert case.measurement is not None
    plain, floor, eroded, corrected, by_voxel, ratio = _results(session)
    written = _written(session)
    clear = replace(setting, snr=1e9)
    silent = session_of(scan_of(anatomy, grid, clear, 0), anatomy)
    (noiseless,) = _results(silent, _PLAIN)
    assert silent.case is not None
    seen = silent.case.masks.fat_map.values()
    points = []
    for muscle in MUSCLES:
        inside = anatomy.muscles == muscle
        true_ml = _true_ml(fine, fine_grid.geometry, muscle)
        if not inside.any() or true_ml < 5:
            continue
        here = case.measurement.muscles[muscle]
        core = _core(anatomy.muscles, muscle)
        fat, water = anatomy.fat[inside].sum(), anatomy.water[inside].sum()
        points.append(
            Point(
                setting.name,
                muscle,
                true_ml,
                here.volume_ml,
                float(anatomy.fat_fraction[inside].mean()),
                _of(plain, muscle),
                _of(noiseless, muscle),
                _of(floor, muscle),
                _of(eroded, muscle),
                _of(corrected, muscle),
                _of(by_voxel, muscle),
                float(anatomy.fat_fraction[core].mean()),
                float(fine.fat_fraction[fine.muscles == muscle].mean()),
                _of(ratio, muscle),
                float(fat / (fat + water)),
                *written[muscle],
                float(np.nanmean(seen[core])),
            )
        )
    return points, anatomy, grid


def _results(
    session: ReviewSession, recipes: tuple[Recipe, ...] | None = None
) -> list[MethodResult]:
    assert session.case is not None
    return run_to_end(agreement_job(session.case, session.risk_model, recipes or _RECIPES))


def _written(session: ReviewSession) -> dict[Muscle, tuple[float, float, float]]:
    """Value and interval of the corrected means as ``measurements.csv`` has them, as fractions."""
    case = session.case
    assert case is not None
    assert case.measurement is not None
    session.include_corrected()
    rows = [
        row
        for row in tidy_rows(case.measurement, None, case.corrected)
        if row["measure"] == CORRECTED_KEY and row["muscle"] != "all muscles"
    ]
    return {
        muscle: tuple(  # type: ignore[misc]
            np.nan if row[k] is None else row[k] / 100 for k in ("value", "low", "high")
        )
        for muscle, row in zip(MUSCLES, rows, strict=True)
    }


def _of(result: MethodResult, muscle: Muscle | None) -> float:
    row = next(r for r in result.rows if r.muscle is muscle)
    assert row.mean_fat_fraction is not None
    return row.mean_fat_fraction


def _core(muscles: np.ndarray, muscle: Muscle) -> np.ndarray:
    from scipy.ndimage import binary_erosion

    return np.stack([binary_erosion(plane == muscle, border_value=1) for plane in muscles])


def _true_ml(fine: Anatomy, geometry: Geometry, muscle: Muscle) -> float:
    return float((fine.muscles == muscle).sum() * geometry.voxel_ml)


def repeats_of(
    setting: Setting, anatomy: Anatomy, grid: FileGrid, corrected: dict[Muscle, list[float]]
) -> dict[Muscle, list[float]]:
    """Mean fat fraction of each muscle on noisy acquisitions of one person and coil.

    Parameters
    ----------
    setting, anatomy, grid
        Scanner and person.
    corrected : dict
        Receives the corrected means.
    """
    found: dict[Muscle, list[float]] = {m: [] for m in MUSCLES}
    for number in range(1, _REPEATS + 1):
        session = session_of(scan_of(anatomy, grid, setting, number), anatomy)
        case = session.case
        assert case is not None
        assert case.measurement is not None
        for muscle, numbers in _written(session).items():
            if np.isfinite(numbers[0]):
                corrected.setdefault(muscle, []).append(numbers[0])
        for muscle, of in case.measurement.muscles.items():
            if of.mean_fat_fraction is not None and of.volume_ml >= 5:
                found[muscle].append(of.mean_fat_fraction)
    return {m: values for m, values in found.items() if values}


def measure_all() -> tuple[list[Point], dict[str, dict[Muscle, list[float]]]]:
    """Every setting, and the repeatability of four of them."""
    points: list[Point] = []
    repeats = {}
    for setting in SETTINGS:
        found, anatomy, grid = points_of(setting)
        points += found
        if setting.name in ("lean", "usual", "usual, noisy", "very fatty"):
            corrected: dict[Muscle, list[float]] = {}
            repeats[setting.name] = repeats_of(setting, anatomy, grid, corrected)
            repeats[f"{setting.name}, corrected"] = corrected
    return points, repeats


def errors(points: list[Point]) -> dict[str, np.ndarray]:
    """Errors of all points: volume in %, fat fractions in percentage points."""
    return {
        "volume": np.array([100 * (p.ml / p.true_ml - 1) for p in points]),
        "fraction": np.array([100 * (p.fraction - p.true_fraction) for p in points]),
        "fraction, corrected, as shipped": np.array(
            [100 * (p.shown - p.true_eroded) for p in points]
        ),
        "fraction, corrected, against the scanner without noise": np.array(
            [100 * (p.shown - p.true_seen) for p in points]
        ),
        "fraction, corrected, against the muscle itself": np.array(
            [100 * (p.shown - p.true_tissue) for p in points]
        ),
        "fraction, images without noise": np.array(
            [100 * (p.fraction_noiseless - p.true_fraction) for p in points]
        ),
        "fraction, noise floor off": np.array(
            [100 * (p.fraction_floor - p.true_fraction) for p in points]
        ),
        "fraction, outer layer left out": np.array(
            [100 * (p.fraction_eroded - p.true_eroded) for p in points]
        ),
        "fraction, least biased": np.array(
            [100 * (p.fraction_corrected - p.true_eroded) for p in points]
        ),
        "fraction, least biased by voxel, as before": np.array(
            [100 * (p.fraction_by_voxel - p.true_eroded) for p in points]
        ),
        "fraction, least biased, against the muscle itself": np.array(
            [100 * (p.fraction_corrected - p.true_tissue) for p in points]
        ),
        "fraction, against the muscle itself": np.array(
            [100 * (p.fraction - p.true_tissue) for p in points]
        ),
        "ratio of sums": np.array([100 * (p.ratio - p.true_ratio) for p in points]),
    }


def records() -> Iterator[Record]:
    """Bias and limits of agreement, and repeatability, beside the goals."""
    points, repeats = measure_all()
    found = errors(points)
    for name, unit, goal in (
        ("volume", "%", _GOAL_VOLUME),
        ("fraction", "points", _GOAL_FRACTION),
        ("fraction, corrected, as shipped", "points", _GOAL_FRACTION),
        ("fraction, least biased", "points", _GOAL_FRACTION),
    ):
        values = found[name][np.isfinite(found[name])]
        yield compared(f"phantoms, {name}: bias", abs(float(values.mean())), unit, "goal", goal)
        yield compared(
            f"phantoms, {name}: 1.96 SD", float(1.96 * values.std(ddof=1)), unit, "goal", goal
        )
    shown = [p for p in points if np.isfinite(p.shown)]
    largest = max(abs(100 * (p.shown - p.true_eroded)) for p in shown)
    yield compared(
        "phantoms, corrected fraction: largest error", largest, "points", "goal", _GOAL_FRACTION
    )
    held = 100 * float(np.mean([p.low <= p.true_seen <= p.high for p in shown]))
    yield compared("phantoms, corrected fraction: coverage of the interval", held, "%", "goal", 95)
    worst = max(_repeatability(v) for part in repeats.values() for v in part.values())
    yield compared(
        "phantoms, fat fraction: repeatability coefficient, worst muscle",
        worst,
        "points",
        "goal",
        _GOAL_REPEAT,
    )


def _repeatability(values: list[float]) -> float:
    """Return 1.96 sqrt(2) SD in percentage points: two repeats differ by less in 95 %."""
    return float(100 * 1.96 * np.sqrt(2) * np.std(values, ddof=1))


def plots(points: list[Point], repeats: dict[str, dict[Muscle, list[float]]]) -> None:
    """Write the plots of docs/fat-methods.md."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    IMAGES.mkdir(parents=True, exist_ok=True)
    found = errors(points)
    back = np.array([p.muscle in BACK for p in points])
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), constrained_layout=True)
    truth = {
        "volume": (np.array([p.true_ml for p in points]), "true volume (ml)", "error (%)"),
        "fraction": (
            np.array([100 * p.true_fraction for p in points]),
            "true mean fat fraction (%)",
            "error (percentage points)",
        ),
        "fraction, corrected, as shipped": (
            np.array([100 * p.true_eroded for p in points]),
            "true mean fat fraction without outer layer (%)",
            "error (percentage points)",
        ),
    }
    titles = {
        "volume": "volume",
        "fraction": "plain mean fat fraction, as shipped",
        "fraction, corrected, as shipped": "corrected mean fat fraction, as shipped",
    }
    goals = dict.fromkeys(truth, _GOAL_FRACTION) | {"volume": _GOAL_VOLUME}
    for axis, (name, (x, label, unit)) in zip(axes, truth.items(), strict=True):
        values = found[name]
        bias, spread = np.nanmean(values), 1.96 * np.nanstd(values, ddof=1)
        if name.startswith("fraction, corrected"):
            ends = [
                [100 * (p.shown - p.low) for p in points],
                [100 * (p.high - p.shown) for p in points],
            ]
            axis.errorbar(x, values, ends, fmt="none", color="#999999", lw=0.7, zorder=1)
        axis.axhspan(-goals[name], goals[name], color="#DDDDDD", zorder=0, label="goal")
        axis.plot(x[back], values[back], "o", color="#0072B2", ms=4, label="ES, MF")
        axis.plot(x[~back], values[~back], "^", color="#D55E00", ms=4, label="psoas, QL")
        for level, style in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
            axis.axhline(level, color="black", lw=1, ls=style)
        axis.set_title(
            f"{titles[name]}\nbias {bias:+.2f}, limits {bias - spread:+.2f} to "
            f"{bias + spread:+.2f}",
            fontsize=10,
        )
        axis.set_xlabel(label)
        axis.set_ylabel(unit)
    axes[0].legend(fontsize=8)
    figure.savefig(IMAGES / "fat-agreement.png", dpi=110)
    plt.close(figure)
    figure, axis = plt.subplots(figsize=(11, 3.4), constrained_layout=True)
    for number, part in enumerate(repeats.values()):
        for values in part.values():
            centred = 100 * (np.array(values) - np.mean(values))
            jitter = np.linspace(-0.25, 0.25, len(values))
            axis.plot(number + jitter, centred, "o", ms=3, color="#0072B2", alpha=0.6)
        worst = max(_repeatability(v) for v in part.values())
        axis.text(number, 0.33, f"RC {worst:.2f}", ha="center", fontsize=9)
    names = [name.replace(", corrected", "\ncorrected") for name in repeats]
    axis.set_xticks(range(len(repeats)), names)
    axis.set_ylim(-0.4, 0.4)
    axis.set_ylabel("minus the mean of the repeats\n(percentage points)")
    axis.set_title(f"mean fat fraction, {_REPEATS} repeats, every muscle; goal RC 1.5")
    figure.savefig(IMAGES / "fat-repeatability.png", dpi=110)
    plt.close(figure)


def main() -> int:
    """Print the tables as Markdown and write the plots."""
    console = Console(width=200, soft_wrap=True)
    points, repeats = measure_all()
    names = list(errors(points))
    console.print("| setting | muscles | " + " | ".join(names) + " |")
    console.print("|---" * (len(names) + 2) + "|")
    for setting in SETTINGS:
        part = [p for p in points if p.setting == setting.name]
        cells = [
            f"{np.nanmean(v):+.2f} ({np.nanmin(v):+.2f} to {np.nanmax(v):+.2f})"
            for v in errors(part).values()
        ]
        console.print(f"| {setting.name} | {len(part)} | " + " | ".join(cells) + " |")
    for name, all_values in errors(points).items():
        values = all_values[np.isfinite(all_values)]
        spread = 1.96 * values.std(ddof=1)
        console.print(
            f"{name}: n {values.size}, bias {values.mean():+.3f}, limits of agreement "
            f"{values.mean() - spread:+.3f} to {values.mean() + spread:+.3f}, largest "
            f"{np.abs(values).max():.3f}"
        )
    shown = [p for p in points if np.isfinite(p.shown)]
    held = sum(p.low <= p.true_seen <= p.high for p in shown)
    also = sum(p.low <= p.true_eroded <= p.high for p in shown)
    wide = np.array([100 * (p.high - p.low) for p in shown])
    console.print(
        f"corrected: {len(points) - len(shown)} of {len(points)} blank; interval holds the "
        f"scanner's own truth in {held}, the anatomy's in {also} of {len(shown)}; median width "
        f"{np.median(wide):.2f}, largest {wide.max():.2f} points"
    )
    for name, found in repeats.items():
        worst = max(_repeatability(v) for v in found.values())
        console.print(f"repeatability, {name}: worst muscle {worst:.3f} points")
    plots(points, repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())

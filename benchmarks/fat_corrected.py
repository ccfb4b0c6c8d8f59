"""The corrected mean where it is hardest: real tissue with added noise, slices, interpolation.

Run as ``python -m benchmarks.fat_corrected``; it prints tables of ``docs/fat-methods.md`` and
``docs/real-case.md``. The parts with real tissue need the real case (BACKFAT_DATA).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.fat_accuracy import SETTINGS, Setting, grid_of, scan_of
from benchmarks.real_case import expert_muscles, open_case
from napari_backfat.model.anatomy import BACK, MUSCLES
from napari_backfat.model.progress import run_to_end
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.corrected import CorrectedMeans, together
from napari_backfat.separate.floor_tally import reference_of, tally
from napari_backfat.separate.noise_level import noise_level
from napari_backfat.separate.outline import outer_layer
from napari_backfat.train.phantom import make_anatomy
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.model.results import CorrectedMean

Noise = Callable[[np.random.Generator], NDArray[np.float64]]
"""Draws noise of unit deviation."""
_MARGIN = 40
_AIR = 60  # rows of empty air beside the real tissue, where its own background is masked


@dataclass(frozen=True, eq=False)
class Signal:
    """Water and fat without noise, (Z, Y, X), with muscles and the signal of lean muscle."""

    water: NDArray[np.float64]
    fat: NDArray[np.float64]
    muscle: NDArray[np.uint8]
    lean: float


@dataclass(frozen=True)
class Errors:
    """Errors in percentage points, whether the interval holds the truth, widths, and blanks."""

    off: NDArray[np.float64]
    held: NDArray[np.bool_]
    width: NDArray[np.float64]
    blank: int

    def __str__(self) -> str:
        if not self.off.size:
            return f"- | - | - | {self.blank}"
        return (
            f"{self.off.mean():+.2f} ({self.off.min():+.2f} to {self.off.max():+.2f}) | "
            f"{100 * self.held.mean():.0f} % of {self.off.size} | {np.median(self.width):.2f} | "
            f"{self.blank}"
        )


def phantom(setting: Setting) -> Signal:
    """Return what a scanner without noise shows of a phantom person."""
    grid = grid_of(setting.spacing, setting)
    anatomy = make_anatomy(setting.params, grid.geometry)
    scan = scan_of(anatomy, grid, replace(setting, snr=1e9), 0)
    images = [scan.image(c) for c in (Contrast.WATER, Contrast.FAT)]
    water, fat = (image.voxels.astype(np.float64) for image in images if image is not None)
    return Signal(water, fat, anatomy.muscles, 800.0)


def real_tissue(share: float) -> Signal | None:
    """Return the real case with its fat fractions times `share`; None where it is not here."""
    case = real_dixon_case()
    if case.absent:
        return None
    session = open_case(case)
    muscle = expert_muscles(case, session)
    assert session.case is not None
    images = [session.case.scan.image(c) for c in (Contrast.WATER, Contrast.FAT)]
    rows, columns = (np.flatnonzero(muscle.any(axis=a)) for a in ((0, 2), (0, 1)))
    box = tuple(slice(max(0, n[0] - _MARGIN), n[-1] + _MARGIN) for n in (rows, columns))
    water, fat = (v.voxels[:, *box].astype(np.float64) for v in images if v is not None)
    muscle = muscle[:, *box]
    total = water + fat
    fraction = share * np.divide(fat, total, out=np.zeros_like(fat), where=total > 0)
    outside = ((0, 0), (0, _AIR), (0, 0))
    made = (np.pad(v, outside) for v in (total * (1 - fraction), total * fraction))
    return Signal(*made, np.pad(muscle, outside), float(np.median(total[muscle > 0])))


def noisy(
    signal: Signal,
    snr: float,
    seed: int,
    noise: Callable[[np.random.Generator], NDArray[np.float64]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image a signal with one coil."""
    rng, sd = np.random.default_rng([seed, int(snr)]), signal.lean / snr
    water, fat = (
        np.hypot(v + sd * noise(rng), sd * noise(rng)).astype(np.float32)
        for v in (signal.water, signal.fat)
    )
    return water, fat


def corrected(
    water: NDArray[np.float32], fat: NDArray[np.float32], muscle: NDArray[np.uint8]
) -> tuple[CorrectedMeans, NDArray[np.bool_]]:
    """Return the corrected means of a pair, and which voxels they are of."""
    reference = reference_of(water, fat)
    used = water + fat >= 0.05 * reference
    tallies = [tally(*planes, reference) for planes in zip(water, fat, muscle, used, strict=True)]
    inner = np.stack([~outer_layer(plane, 1) for plane in muscle]) & used & (muscle > 0)
    return CorrectedMeans(tallies, noise_level(water, fat, muscle), reference), inner


def compared(
    signal: Signal, means: CorrectedMeans, inner: NDArray[np.bool_], slices: bool = False
) -> Errors:
    """Compare with the signal's own mean over the same voxels, by muscle or by muscle and slice."""
    total = signal.water + signal.fat
    truth = np.divide(signal.fat, total, out=np.zeros_like(total), where=total > 0)
    pairs: list[tuple[CorrectedMean, float]] = []
    depth = len(inner)
    for muscle in MUSCLES:
        here = (signal.muscle == muscle) & inner
        if not slices:
            if here.any():
                pairs.append((means.of(muscle), float(truth[here].mean())))
            continue
        for z in np.flatnonzero(here.sum(axis=(1, 2)) >= 200):
            weights = (np.arange(depth) == z).astype(np.float64)
            pairs.append((means.of(muscle, weights), float(truth[z][here[z]].mean())))
    known = [(m, t) for m, t in pairs if m.value is not None]
    return Errors(
        np.array([100 * ((m.value or 0) - t) for m, t in known]),
        np.array([(m.low or 0) <= t <= (m.high or 0) for m, t in known], bool),
        np.array([100 * ((m.high or 0) - (m.low or 0)) for m, _ in known]),
        len(pairs) - len(known),
    )


def white(shape: tuple[int, ...]) -> Noise:
    """Return a source of noise that every voxel has for itself."""
    return lambda rng: rng.normal(size=shape)


def band(shape: tuple[int, ...], share: float) -> Noise:
    """Return a source of noise as zero-filling leaves it: only the middle of k-space is there."""

    def draw(rng: np.random.Generator) -> NDArray[np.float64]:
        space = np.fft.fft2(rng.normal(size=shape), axes=(1, 2))
        for axis in (1, 2):
            far = np.abs(np.fft.fftfreq(shape[axis])) > share / 2
            space[(slice(None),) * axis + (far,)] = 0
        found = np.fft.ifft2(space, axes=(1, 2)).real
        return np.asarray(found / found.std())

    return draw


def rows() -> Iterator[str]:
    """Yield the rows of the table."""
    names = ("lean", "usual", "usual, noisy", "lean, very noisy", "fatty, very noisy")
    for setting in (s for s in SETTINGS if s.name in names):
        signal = phantom(setting)
        shape = signal.water.shape
        for label, noise in (("", white(shape)), (", zero-filled to twice", band(shape, 0.5))):
            water, fat = noisy(signal, setting.snr, 7, noise)
            means, inner = corrected(water, fat, signal.muscle)
            yield f"| phantom, {setting.name}{label} | {compared(signal, means, inner)} |"
            if not label:
                found = compared(signal, means, inner, slices=True)
                yield f"| the same, single slices | {found} |"
    for share, name in ((1.0, "13 %"), (0.3, "4 %"), (0.15, "2 %")):
        made = real_tissue(share)
        if made is None:
            return
        for snr in (20.0, 25.0, 45.0, 100.0):
            images = noisy(made, snr, 3, white(made.water.shape))
            means, inner = corrected(*images, made.muscle)
            yield f"| real tissue, {name} fat, SNR {snr:.0f} | {compared(made, means, inner)} |"


def real_rows() -> Iterator[str]:
    """Yield plain and corrected mean of the real case."""
    case = real_dixon_case()
    if case.absent:
        return
    session = open_case(case)
    session.accept_muscles(expert_muscles(case, session))
    assert session.corrected is not None
    session.corrected.take(run_to_end(session.corrected.job()))
    assert session.case is not None
    numbers, means = session.case.measurement, session.case.corrected
    assert numbers is not None
    assert means is not None
    targets = [(m.display_name, numbers.muscles[m], means.muscles[m]) for m in BACK]
    targets.append(("together", numbers.back, together(means.muscles, BACK)))
    for name, plain, mean in targets:
        shown = mean.why or " to ".join(f"{100 * (v or 0):.2f}" for v in (mean.low, mean.high))
        value = "-" if mean.value is None else f"{100 * mean.value:.2f}"
        yield f"| {name} | {100 * (plain.mean_fat_fraction or 0):.2f} | {value} | {shown} |"
    yield f"noise: {session.corrected.means.noise if session.corrected.means else None}"


def main() -> int:
    """Print the tables as Markdown."""
    console = Console(width=200, soft_wrap=True)
    console.print(
        "| | error, points | interval holds the truth | width | blank |\n|---|---|---|---|---|"
    )
    for row in rows():
        console.print(row)
    console.print("\n| muscle | plain, % | corrected, % | 95 % interval |\n|---|---|---|---|")
    for row in real_rows():
        console.print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How far proposed disc lines lie from the true ones: ``python -m benchmarks.levels [N]``.

Phantom persons are drawn as for training (lordosis, scoliosis, marrow fat 20 to 65 %), sampled on
slices of 3 to 5 mm with different ends, and given the noise of a drawn acquisition. The truth is
the middle of each disc in the phantom's own label map. Writes one line per person and a summary.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy import ndimage

from napari_backfat.measure.level_labels import propose_from_labels
from napari_backfat.measure.level_profile import propose_from_signal
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.vertebrae import chain
from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom import (
    Anatomy,
    TissueClass,
    draw_params,
    make_anatomy,
    make_images,
)

_IN_PLANE_MM = 1.8
_SHAPE = (110, 150)
_SAME_DISC_MM = 12.0  # farther away is another disc, or none
_NUMBERS = {10 + n: name for n, name in enumerate(chain()[11:18])}  # T12 .. L5, S1


def _grid(step_mm: float, n_slices: int, top_mm: float) -> Geometry:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -step_mm, -_IN_PLANE_MM, -1.8, 1
    affine[:3, 3] = [_SHAPE[1] / 2 * _IN_PLANE_MM, 95, top_mm]
    return Geometry((n_slices, *_SHAPE), affine)


def true_discs(person: Anatomy) -> list[float]:
    """Return the slice index of each disc's middle whose whole height is in the scan."""
    dz, dy, dx = person.geometry.spacing_mm
    disc = np.isin(person.labels, (TissueClass.ANNULUS, TissueClass.NUCLEUS))
    found, n = ndimage.label(ndimage.binary_opening(disc, np.ones((1, 3, 3))))
    middles = []
    for number in range(1, n + 1):
        z, y, _ = np.nonzero(found == number)
        if z.size * dz * dy * dx < 2500 or z.min() == 0 or z.max() == disc.shape[0] - 1:
            continue
        middles.append(float(z[np.abs(y - y.mean()) * dy < 6].mean()))
    return sorted(middles)


def vertebra_labels(person: Anatomy, lordosis_deg: float, height_mm: float) -> np.ndarray:
    """Bone of the phantom numbered by the vertebra whose height it lies at."""
    bone = np.isin(person.labels, (TissueClass.CORTICAL_BONE, TissueClass.MARROW))
    rows = person.geometry.affine[1, 3] + person.geometry.affine[1, 1] * np.arange(_SHAPE[0])
    tilt = lordosis_deg * (np.clip(person.levels, -1, 7) - 2.75) / 5.0
    slope = np.tan(np.radians(tilt)) / height_mm
    back = -rows  # millimetres behind the canal
    local = person.levels[:, None] + (np.clip(back, -60, -5)[None, :] + 16) * slope[:, None]
    sideways = person.geometry.affine[0, 3] - _IN_PLANE_MM * np.arange(_SHAPE[1])
    bone &= (np.abs(sideways) < 55)[None, None, :] & (back > -70)[None, :, None]  # no rib, no hip
    return np.where(bone, np.round(local).astype(int)[:, :, None] + 10, 0)


def main(persons: int = 24) -> None:
    """Measure and print."""
    say = sys.stdout.write
    off: dict[str, list[float]] = {"signal": [], "labels": []}
    missed = dict.fromkeys(off, 0)
    extra = dict.fromkeys(off, 0)
    silent, names_right, seconds = 0, 0, []
    for seed in range(persons):
        rng = np.random.default_rng([seed, 4])
        params = draw_params(rng)
        dz = float(rng.choice([3.0, 4.0, 5.0]))
        grid = _grid(dz, int(rng.uniform(140, 220) / dz), float(rng.uniform(60, 110)))
        person = make_anatomy(params, grid, (2, 1))
        images = make_images(person, (Contrast.WATER, Contrast.FAT), rng)
        water, fat = images[Contrast.WATER], images[Contrast.FAT]
        total = water + fat
        known = total > 0.1 * np.percentile(total, 95)
        fraction = np.where(known, fat / np.maximum(total, 1e-6), np.nan)
        start = time.perf_counter()
        signal = propose_from_signal(fraction, person.muscles, grid)
        seconds.append(time.perf_counter() - start)
        numbered = vertebra_labels(person, params.lordosis_deg, params.level_height_mm)
        labels = propose_from_labels(numbered, _NUMBERS, grid, grid)
        truth = np.array(true_discs(person))
        silent += signal.levels is None
        for key, proposal in (("signal", signal), ("labels", labels)):
            if proposal.levels is None:
                say(f"{seed} {key}: none: {proposal.evidence}\n")
                continue
            lines = np.array(proposal.levels.discs)
            distance = (lines[:, None] - truth[None, :]) * dz
            nearest = distance[np.abs(distance).argmin(axis=0), np.arange(truth.size)]
            hit = np.abs(nearest) < _SAME_DISC_MM
            off[key] += nearest[hit].tolist()
            missed[key] += int((~hit).sum())
            inner = (lines > truth.min() - 1) & (lines < truth.max() + 1)
            extra[key] += int((np.abs(distance[inner]).min(axis=1) >= _SAME_DISC_MM).sum())
            say(f"{seed} {key} dz {dz:g} marrow {params.marrow_fat:.2f}: {np.round(nearest, 1)}\n")
        if signal.levels is not None:
            at = np.interp(signal.levels.discs, np.arange(grid.shape[0]), person.levels)
            owner = [chain()[int(np.floor(level)) + 11] for level in at]
            names_right += owner == [n.split("/")[0] for n in signal.levels.disc_names]
    for key, values in off.items():
        size = np.abs(values)
        say(
            f"{key}: {size.size} discs, median {np.median(size):.1f} mm, 95 % within "
            f"{np.percentile(size, 95):.1f} mm, largest {size.max():.1f} mm, mean "
            f"{np.mean(values):+.1f} mm; missed {missed[key]}, extra {extra[key]}\n"
        )
    say(
        f"signal: no proposal for {silent} of {persons}; all names guessed right for "
        f"{names_right} of {persons - silent}; median {np.median(seconds):.2f} s\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)

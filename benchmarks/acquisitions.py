"""The real case as other scanners and protocols would have shown it.

``python -m benchmarks.acquisitions`` segments one person's scan in the ways in which such scans
come: cut to the field of view of a spine scan, by a surface coil, behind a saturation band, noisy,
as one slice, in thick or sagittal slices, of a patient who lay rolled, or whose muscles are fatter;
and prints the table of ``docs/ai-trust.md``. The anatomy and the expert's borders stay the same, so
what changes between the rows is the acquisition, or the fat. It is computed from one scan, and no
acquisition.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from scipy import ndimage
from skimage.measure import block_reduce

from benchmarks.real_case import expert_muscles, open_case
from napari_backfat.model.anatomy import MuscleGroup
from napari_backfat.model.geometry import FileGrid, Geometry
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.train.evaluate import run
from napari_backfat.train.real_slices import EXPERT
from napari_backfat.train.sources import scan_of
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_GROUPS = (MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE)
_PIXEL_MM = 0.5  # of the fine matrix
_LOST = 0.5  # Dice below which muscles, or slices of them, were not found


@dataclass(frozen=True)
class Body:
    """What is known of the person: images (Z, Y, X), expert muscles, grid, middle (y, x)."""

    images: dict[Contrast, Array]
    muscles: NDArray[np.uint8]
    grid: Geometry
    middle: tuple[int, int]

    @property
    def pixel_mm(self) -> float:
        """Pixel size; the case has square pixels."""
        return self.grid.spacing_mm[1]

    def behind_mm(self) -> Array:
        """How far each row lies behind the middle of the back muscles, shape (Y, 1)."""
        rows = np.arange(self.grid.shape[1], dtype=np.float32)[:, None]
        return (rows - self.middle[0]) * np.float32(self.pixel_mm)

    def weighted(self, gain: Array) -> Body:
        """Multiply the images."""
        images = {c: (a * gain).astype(np.float32) for c, a in self.images.items()}
        return replace(self, images=images)

    def part(self, z: slice, y: slice, x: slice, step: tuple[int, int, int] = (1, 1, 1)) -> Body:
        """Cut a box out, and average that many voxels (Z, Y, X) to one."""
        shape = self.muscles[z, y, x].shape
        whole = tuple(slice(0, n - n % s) for n, s in zip(shape, step, strict=True))
        images = {
            c: block_reduce(a[z, y, x][whole], step, np.mean).astype(np.float32)
            for c, a in self.images.items()
        }
        middle = tuple(slice(s // 2, None, s) for s in step)
        muscles = np.ascontiguousarray(self.muscles[z, y, x][whole][middle])
        start = np.array([s.start or 0 for s in (z, y, x)]) + (np.array(step) - 1) / 2
        affine = self.grid.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        affine[:3, :3] *= np.array(step)
        return Body(images, muscles, Geometry(muscles.shape, affine), self.middle)

    def field(self, width_mm: float) -> Body:
        """Cut to a square field of view around the back, a little more to the front."""
        half = int(width_mm / 2 / self.pixel_mm)
        y, x = self.middle[0] - round(15 / self.pixel_mm), self.middle[1]
        rows, columns = (slice(max(0, c - half), c + half) for c in (y, x))
        return self.part(slice(0, None), rows, columns)

    def rolled(self, degrees: float) -> Body:
        """Roll the patient; the header says nothing of it."""

        def turn(a: NDArray[np.generic], order: int) -> Array:
            turned = ndimage.rotate(a, degrees, (1, 2), reshape=False, order=order)
            return np.asarray(np.clip(turned, 0, None), dtype=np.float32)

        images = {c: turn(a, 1) for c, a in self.images.items()}
        return Body(images, turn(self.muscles, 0).astype(np.uint8), self.grid, self.middle)

    def finer(self) -> Body:
        """Interpolate to small pixels, as scanners show them."""
        factor = round(self.pixel_mm / _PIXEL_MM)
        part = self.field(240)
        images = {
            c: ndimage.zoom(a, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
            for c, a in part.images.items()
        }
        muscles = part.muscles.repeat(factor, axis=1).repeat(factor, axis=2)
        affine = part.grid.affine.copy()
        shift = np.array([0, (1 - factor) / 2 / factor, (1 - factor) / 2 / factor])
        affine[:3, 3] += affine[:3, :3] @ shift
        affine[:3, 1:3] /= factor
        return Body(images, muscles, Geometry(muscles.shape, affine), part.middle)


def coil(body: Body, length_mm: float) -> Body:
    """Show it through a surface coil under the back: the signal falls to 1/e over this length."""
    return body.weighted(np.exp(body.behind_mm() / np.float32(length_mm)))


def band(body: Body) -> Body:
    """Saturate what lies more than 4.5 cm in front of the middle of the back muscles."""
    gain = 0.06 + 0.94 / (1 + np.exp(-(body.behind_mm() + 45) / 4))
    return body.weighted(gain.astype(np.float32))


def noisy(body: Body, share: float) -> Body:
    """Add Rician noise of this share of the back muscles' water signal."""
    draw = np.random.default_rng(0)
    level = share * float(np.median(body.images[Contrast.WATER][body.muscles > 0]))
    images = {}
    for contrast, a in body.images.items():
        real, imaginary = (draw.normal(0, level, a.shape).astype(np.float32) for _ in range(2))
        images[contrast] = np.hypot(a + real, imaginary).astype(np.float32)
    return replace(body, images=images)


def fatty(body: Body, multifidus: float, erector: float) -> Body:
    """Replace parts of the muscles by fat, unevenly: a sicker person of the same shape."""
    fat = body.images[Contrast.FAT]
    pure = (fat > 0.6 * np.percentile(fat, 99.5)) & (body.muscles == 0)
    draw = np.random.default_rng(0)
    noise = np.zeros(fat.shape, dtype=np.float32)
    for width, weight in (((1, 3, 3), 0.35), ((0.5, 1, 1), 0.25)):
        field = ndimage.gaussian_filter(draw.standard_normal(fat.shape), width)
        noise += np.float32(weight / field.std()) * field.astype(np.float32)
    mean = np.zeros(9, dtype=np.float32)
    for muscle in EXPERT:
        mean[muscle] = multifidus if muscle.group is MuscleGroup.MULTIFIDUS else erector
    share = np.clip(mean[body.muscles] * (1 + noise), 0, 0.95)
    share = ndimage.gaussian_filter(share, (0, 0.5, 0.5))
    images = {
        c: (a * (1 - share) + np.median(a[pure]) * share).astype(np.float32)
        for c, a in body.images.items()
    }
    return replace(body, images=images)


def _slices(body: Body) -> Iterator[Body]:
    for share in (0.1, 0.5, 0.9):
        z = int(share * len(body.muscles))
        yield body.part(slice(z, z + 1), slice(0, None), slice(0, None))


def _sagittal(body: Body) -> Body:
    """Make slices from side to side, 4 mm thick, over the middle 8 cm."""
    step, half = round(4 / body.pixel_mm), int(40 / body.pixel_mm)
    columns = slice(body.middle[1] - half, body.middle[1] + half)
    return body.part(slice(0, None), slice(0, None), columns, (1, 1, step))


VARIANTS: dict[str, Callable[[Body], list[Body]]] = {
    "as it was scanned": lambda b: [b],
    "field of view 20 cm": lambda b: [b.field(200)],
    "field of view 16 cm": lambda b: [b.field(160)],
    "surface coil (1/e over 6 cm)": lambda b: [coil(b, 60)],
    "20 cm, surface coil, saturation band": lambda b: [band(coil(b, 60)).field(200)],
    "noise, a tenth of the muscle's signal": lambda b: [noisy(b, 0.1)],
    "multifidus 40 % fat, erector 15 %": lambda b: [fatty(b, 0.4, 0.15)],
    "multifidus 80 % fat, erector 40 %": lambda b: [fatty(b, 0.8, 0.4)],
    "pixels of 0.5 mm": lambda b: [b.finer()],
    "slices of 8 mm": lambda b: [b.part(slice(0, None), slice(0, None), slice(0, None), (2, 1, 1))],
    "one slice (three, one by one)": lambda b: list(_slices(b)),
    "sagittal slices of 4 mm, 8 cm wide": lambda b: [_sagittal(b)],
    "rolled by 20 degrees": lambda b: [b.rolled(20)],
    "rolled by -45 degrees": lambda b: [b.rolled(-45)],
}


def inputs(images: dict[Contrast, Array]) -> dict[str, dict[Contrast, Array]]:
    """List the ways in which the images can be given."""
    water, fat = images[Contrast.WATER], images[Contrast.FAT]
    return {
        "water+fat": images,
        "water": {Contrast.WATER: water},
        "fat": {Contrast.FAT: fat},
        "in phase": {Contrast.IN_PHASE: water + fat},
    }


def agreement(bodies: list[Body], name: str, backend: TorchBackend) -> dict[MuscleGroup, float]:
    """Dice with the expert, voxels of all parts together, mean of left and right."""
    same = dict.fromkeys(EXPERT, 0.0)
    total = dict.fromkeys(EXPERT, 0.0)
    for body in bodies:
        shape, affine = body.grid.shape[::-1], body.grid.affine[:, [2, 1, 0, 3]]
        grid = FileGrid.from_affine((shape[0], shape[1], shape[2]), affine)
        made = run(backend, scan_of(inputs(body.images)[name], grid, name)).muscle
        for m in EXPERT:
            same[m] += 2 * float(((made == m) & (body.muscles == m)).sum())
            total[m] += float((made == m).sum() + (body.muscles == m).sum())
    return {
        group: float(np.mean([same[m] / max(total[m], 1.0) for m in EXPERT if m.group is group]))
        for group in _GROUPS
    }


def main(console: Console | None = None) -> int:
    """Print the table; 1 if the muscles were not found in one of them."""
    console = console or Console(width=200, soft_wrap=True)
    case = real_dixon_case()
    if case.absent:
        console.print(case.absent)
        return 0
    session = open_case(case)
    assert session.case is not None
    scan, muscles = session.case.scan, expert_muscles(case, session)
    rows, columns = np.nonzero(muscles.any(axis=0))
    body = Body(
        {v.contrast: v.voxels for v in scan.images},
        muscles,
        scan.geometry,
        (int(rows.mean()), int(columns.mean())),
    )
    names = list(inputs(body.images))
    console.print("| multifidus, erector spinae | " + " | ".join(names) + " |")
    console.print("|---" * (len(names) + 1) + "|")
    backend, lost = TorchBackend(), 0
    for variant, make in VARIANTS.items():
        bodies, cells = make(body), []
        for name in names:
            found = agreement(bodies, name, backend)
            lost += min(found.values()) < _LOST
            cells.append(", ".join(f"{found[g]:.3f}" for g in _GROUPS))
        console.print(f"| {variant} | " + " | ".join(cells) + " |")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

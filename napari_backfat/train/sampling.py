"""Patches for training: random crops, zooms, turns and mirror images of pool slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.contrast import network_input, render
from napari_backfat.train.fields import displacement
from napari_backfat.train.tissues import IGNORE, MIRROR, label_of_class

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_LABEL = torch.from_numpy(label_of_class().astype(np.int64))


@dataclass(frozen=True)
class PatchPlan:
    """Size and variation of training patches.

    Attributes
    ----------
    patch : tuple of int
        Height and width in pixels.
    spacing_mm : float
        Pixel size.
    jitter_mm : float
        Largest offset of the patch centre.
    zoom : float
        Standard deviation of the log zoom.
    centre_on_muscle : bool
        Centre on the muscles (fine network) or on the canvas (coarse network).
    supersample : int
        Render this much finer and average, so that large pixels show partial volume.
    turn : float
        Standard deviation of the rotation in radian.
    small_view : float
        Chance of the field of view of a scan of the spine.
    sagittal : float
        Share of these that is as narrow as a stack of sagittal slices.
    thick_mm : tuple of float or None
        Thickness of such slices, drawn between these; None: no thicker than the pixels.
    elements : float
        Chance that the receiving coil lies under the back, see `contrast.render`.
    """

    patch: tuple[int, int]
    spacing_mm: float
    jitter_mm: float
    zoom: float
    centre_on_muscle: bool
    supersample: int = 1
    turn: float = 0.05
    small_view: float = 0.0
    sagittal: float = 0.25
    thick_mm: tuple[float, float] | None = None
    elements: float = 0.0


@dataclass(frozen=True, eq=False)
class Cut:
    """A deformed patch of a pool slice.

    Attributes
    ----------
    classes, fraction : ndarray, shape (Y, X), uint8
        Tissue classes, and fat fraction times 250.
    view : ndarray, shape (Y, X), bool
        Which pixels lie inside the field of view.
    thick_mm : float
        Extent of each pixel from side to side where sagittal slices are thicker; else 0.
    """

    classes: NDArray[np.uint8]
    fraction: NDArray[np.uint8]
    view: NDArray[np.bool_]
    thick_mm: float = 0.0


def sample_patch(
    rng: np.random.Generator,
    classes: NDArray[np.uint8],
    fraction: NDArray[np.uint8],
    plan: PatchPlan,
) -> Cut:
    """Cut a deformed patch of `plan.patch` pixels, supersampled, from a pool slice."""
    height, width = (n * plan.supersample for n in plan.patch)
    centre = np.array([SHAPE[0] / 2, SHAPE[1] / 2])
    if plan.centre_on_muscle:
        rows, columns = np.nonzero((classes >= 1) & (classes <= 8))
        if len(rows):
            centre = np.array([(rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2])
    centre = centre + rng.uniform(-plan.jitter_mm, plan.jitter_mm, 2) * (0.7, 1.0)
    zoom = float(np.exp(rng.normal(0, plan.zoom)))
    step = np.array([np.exp(rng.normal(0, 0.03)), np.exp(rng.normal(0, 0.03))])
    step *= plan.spacing_mm / plan.supersample / zoom
    angle = float(rng.normal(0, plan.turn))
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    y, x = (yy - height / 2) * step[0], (xx - width / 2) * step[1]
    if rng.random() < 0.7:
        dy, dx = displacement(rng, (height, width), ((30, rng.uniform(0, 1.2)),))
        y, x = y + dy, x + dx
    c, s = np.cos(angle), np.sin(angle)
    sy = np.rint(centre[0] + c * y - s * x).astype(np.int32)
    sx = np.rint(centre[1] + s * y + c * x).astype(np.int32)
    inside = (sy >= 0) & (sy < SHAPE[0]) & (sx >= 0) & (sx < SHAPE[1])
    np.clip(sy, 0, SHAPE[0] - 1, out=sy)
    np.clip(sx, 0, SHAPE[1] - 1, out=sx)
    cut, part = np.where(inside, classes[sy, sx], 0), np.where(inside, fraction[sy, sx], 0)
    view = np.ones((height, width), dtype=bool)
    if rng.random() < 0.3:
        view = _field_of_view(rng, height, width)
    thick = 0.0
    if plan.small_view and rng.random() < plan.small_view:
        sagittal = bool(rng.random() < plan.sagittal)
        view &= _spine_view(rng, cut, plan.spacing_mm / plan.supersample, sagittal)
        if sagittal and plan.thick_mm is not None:
            thick = float(rng.uniform(*plan.thick_mm))
    if rng.random() < 0.5:
        cut, part, view = MIRROR[cut[:, ::-1]], part[:, ::-1], view[:, ::-1]
    return Cut(cut.astype(np.uint8), part.astype(np.uint8), view, thick)


def _field_of_view(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """Draw a field of view that ends inside the patch on some sides."""
    view = np.ones((height, width), dtype=bool)
    for side in rng.permutation(4)[: rng.integers(1, 4)]:
        share = rng.uniform(0.02, 0.3)
        if side == 0:
            view[: int(height * share * 1.3)] = False
        elif side == 1:
            view[height - int(height * share * 0.5) :] = False
        elif side == 2:
            view[:, : int(width * share)] = False
        else:
            view[:, width - int(width * share) :] = False
    return view


def _spine_view(
    rng: np.random.Generator, classes: NDArray[np.uint8], pixel_mm: float, sagittal: bool
) -> NDArray[np.bool_]:
    """Draw the field of view of a scan of the spine.

    13 to 32 cm around the muscles; or the few centimetres that sagittal slices cover from side to
    side, with most of the body from front to back.
    """
    height, width = classes.shape
    rows, columns = np.nonzero((classes >= 1) & (classes <= (4 if sagittal else 8)))
    centre = np.array([height / 2, width / 2])
    if len(rows):
        centre = np.array([(rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2])
    if sagittal:
        shift, size = (40.0, 12.0), (rng.uniform(180, 340), rng.uniform(48, 110))
    else:
        shift, size = (25.0, 25.0), (rng.uniform(110, 300), rng.uniform(130, 320))
    centre = centre + rng.uniform(-1, 1, 2) * shift / np.float64(pixel_mm)
    half = np.array(size) / 2 / pixel_mm
    view = np.zeros((height, width), dtype=bool)
    low, high = np.maximum(0, centre - half).astype(int), np.ceil(centre + half).astype(int)
    view[low[0] : high[0], low[1] : high[1]] = True
    return view


def make_batch(
    rng: np.random.Generator,
    slices: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    plan: PatchPlan,
    kind: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut, render and normalise a batch.

    Returns
    -------
    tuple of Tensor
        Images (B, 2, Y, X) float32 and labels (B, Y, X) int64, IGNORE where no loss is taken.
    """
    cuts = [sample_patch(rng, classes, fraction, plan) for classes, fraction in slices]
    classes = torch.from_numpy(np.stack([c.classes for c in cuts]).astype(np.int64))
    fraction = torch.from_numpy(np.stack([c.fraction for c in cuts]).astype(np.float32) / 250)
    view = torch.from_numpy(np.stack([c.view for c in cuts]))
    fine = plan.supersample
    pixel = plan.spacing_mm / fine
    images = render(rng, classes, fraction, pixel, kind, plan.elements)
    for i, cut in enumerate(cuts):
        if cut.thick_mm:
            images[i] = _thicken(images[i], cut.thick_mm / pixel)
    images = images * view[:, None]
    labels = _LABEL[classes]
    labels[~view] = IGNORE
    if fine > 1:
        images = avg_pool2d(images, fine)
        labels = labels[:, fine // 2 :: fine, fine // 2 :: fine]
    return network_input(images), labels


def _thicken(image: Tensor, pixels: float) -> Tensor:
    """Average an image (C, Y, X) from side to side, as thick sagittal slices do."""
    width = image.shape[-1]
    slices = interpolate(image, size=max(2, round(width / pixels)), mode="area")
    return interpolate(slices, size=width, mode="linear", align_corners=False)

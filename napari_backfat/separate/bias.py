"""N4 bias correction of one image, for methods that compare intensities across it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume

ITERATIONS = (50, 50, 30, 20)
CONTROL_POINTS = 4
_WORK_VOXELS = 150_000
_BODY_SHARE = 0.08  # of the 99th percentile: above the noise of air


def n4(volume: Volume) -> tuple[Volume, dict[str, Any]]:
    """Return the image without its smooth shading (Tustison 2010, doi 10.1109/TMI.2010.2046908).

    The field is estimated on a thinned image inside the body and applied to the whole one. It runs
    on one thread, so that equal images give equal fields.

    Parameters
    ----------
    volume : Volume
        Axes (Z, Y, X), intensities of any scale.

    Returns
    -------
    corrected : Volume
        Same grid; the mean over the body is that of the given image. An image without signal comes
        back as it is.
    parameters : dict
        What was used, JSON-serialisable.
    """
    import SimpleITK as sitk

    voxels = volume.voxels
    shrink = _shrink(voxels.shape, volume.geometry.spacing_mm)
    thin = tuple(slice(f // 2, None, f) for f in shrink)
    sample = np.ascontiguousarray(voxels[thin])
    body = sample > _BODY_SHARE * float(np.percentile(sample, 99))
    parameters: dict[str, Any] = {
        "filter": "N4 (SimpleITK)",
        "shrink": list(shrink),
        "iterations": list(ITERATIONS),
        "control_points": CONTROL_POINTS,
    }
    if not body.any() or min(sample.shape) < 4:
        return volume, parameters | {"applied": False}
    image, mask = sitk.GetImageFromArray(sample), sitk.GetImageFromArray(body.astype(np.uint8))
    spacing = [mm * f for mm, f in zip(volume.geometry.spacing_mm, shrink, strict=True)][::-1]
    image.SetSpacing(spacing)
    mask.SetSpacing(spacing)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetNumberOfWorkUnits(1)
    corrector.SetMaximumNumberOfIterations(list(ITERATIONS))
    corrector.SetNumberOfControlPoints([CONTROL_POINTS] * 3)
    corrector.Execute(sitk.Cast(image, sitk.sitkFloat32), mask)
    field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).astype(np.float32)
    field -= field[body].mean()
    corrected = _applied(voxels, field, shrink)
    scale = float(sample[body].mean()) / float(corrected[thin][body].mean())
    corrected *= np.float32(scale)
    return replace(volume, voxels=corrected), parameters | {
        "applied": True,
        "field_range": [float(np.exp(field[body].min())), float(np.exp(field[body].max()))],
    }


def _shrink(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, int, int]:
    """Thin the finest axes first, to about equal spacing, until the image is small enough."""
    factors = [1, 1, 1]
    while np.prod([n // f for n, f in zip(shape, factors, strict=True)]) > _WORK_VOXELS:
        sizes = [
            mm * f if shape[axis] // (f + 1) >= 4 else np.inf
            for axis, (mm, f) in enumerate(zip(spacing_mm, factors, strict=True))
        ]
        if not np.isfinite(min(sizes)):
            break
        factors[int(np.argmin(sizes))] += 1
    return factors[0], factors[1], factors[2]


def _applied(
    voxels: NDArray[np.float32], log_field: NDArray[np.float32], shrink: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Divide by the field, linearly interpolated to every voxel, slice by slice."""
    from scipy.ndimage import map_coordinates

    depth, height, width = voxels.shape
    y, x = ((np.arange(n) - f // 2) / f for n, f in ((height, shrink[1]), (width, shrink[2])))
    grid = np.meshgrid(y, x, indexing="ij")
    corrected = np.empty_like(voxels)
    positions = np.clip((np.arange(depth) - shrink[0] // 2) / shrink[0], 0, len(log_field) - 1)
    for z, position in enumerate(positions):
        low = int(position)
        high, share = min(low + 1, len(log_field) - 1), np.float32(position - low)
        plane = (1 - share) * log_field[low] + share * log_field[high]
        field = map_coordinates(plane, grid, order=1, mode="nearest")
        corrected[z] = voxels[z] * np.exp(-field)
    return corrected

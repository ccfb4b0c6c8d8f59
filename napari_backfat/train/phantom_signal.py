"""From proton densities to magnitude images: weighting, blur, coil shading, Rician noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom_params import MUSCLE_CLASSES, TissueClass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_backfat.train.phantom_anatomy import Anatomy

# Brightness of water relative to its density on T1- and T2-weighted turbo spin echo; by eye.
_T1_WATER = {
    TissueClass.SKIN: 0.45,
    TissueClass.ABDOMINAL_WALL: 0.42,
    TissueClass.OTHER_MUSCLE: 0.42,
    TissueClass.NUCLEUS: 0.35,
    TissueClass.ANNULUS: 0.40,
    TissueClass.CSF: 0.14,
    TissueClass.NERVE: 0.42,
    TissueClass.KIDNEY_CORTEX: 0.48,
    TissueClass.KIDNEY_MEDULLA: 0.38,
    TissueClass.BLOOD: 0.10,
    TissueClass.BOWEL_CONTENT: 0.45,
    TissueClass.LIVER: 0.55,
    TissueClass.SPLEEN: 0.40,
}
_T2_WATER = {
    TissueClass.SKIN: 0.30,
    TissueClass.ABDOMINAL_WALL: 0.22,
    TissueClass.OTHER_MUSCLE: 0.22,
    TissueClass.NUCLEUS: 0.75,
    TissueClass.ANNULUS: 0.18,
    TissueClass.CSF: 1.25,
    TissueClass.NERVE: 0.38,
    TissueClass.KIDNEY_CORTEX: 0.62,
    TissueClass.KIDNEY_MEDULLA: 0.75,
    TissueClass.BLOOD: 0.08,
    TissueClass.BOWEL_CONTENT: 0.70,
    TissueClass.LIVER: 0.30,
    TissueClass.SPLEEN: 0.60,
    TissueClass.CARTILAGE: 0.8,
}
_DEFAULT_T1, _DEFAULT_T2, _FAT_T1, _FAT_T2 = 0.42, 0.26, 1.0, 0.75


@dataclass(frozen=True)
class Acquisition:
    """How the scanner sees the person.

    Attributes
    ----------
    snr : float
        Lean-muscle signal over the noise deviation of one channel, 10..100.
    blur_voxels : float
        Deviation of the in-plane point spread in voxels, 0..1.
    shading : float
        Strength of coil shading, 0 (even) .. 1 (front at about a fifth of the back).
    scale : float
        Intensity of proton density 1 before shading.
    opposed_decay : float
        Signal lost between in- and opposed-phase echo (T2*), 0..0.3.
    """

    snr: float = 45.0
    blur_voxels: float = 0.45
    shading: float = 0.7
    scale: float = 1000.0
    opposed_decay: float = 0.05


def draw_acquisition(rng: Generator) -> Acquisition:
    """Draw a plausible scanner setting."""
    return Acquisition(
        snr=float(np.exp(rng.uniform(np.log(12), np.log(90)))),
        blur_voxels=float(rng.uniform(0.2, 0.8)),
        shading=float(rng.uniform(0.0, 1.0)),
        scale=float(np.exp(rng.uniform(np.log(200), np.log(3000)))),
        opposed_decay=float(rng.uniform(0, 0.2)),
    )


def make_images(
    anatomy: Anatomy,
    contrasts: Contrast | Iterable[Contrast],
    rng: Generator,
    acquisition: Acquisition | None = None,
) -> dict[Contrast, NDArray[np.float32]]:
    """Image a phantom person.

    Parameters
    ----------
    anatomy : Anatomy
        The person on a grid.
    contrasts : Contrast or iterable of Contrast
        WATER, FAT, IN_PHASE, OPPOSED_PHASE (proton-density weighted, so that F / (F + W) is the
        true fat fraction), T1W, T2W. All of one call share coil shading.
    rng : numpy.random.Generator
        Of the coil arrangement and the noise.
    acquisition : Acquisition, optional
        Scanner setting; a typical one when left out.

    Returns
    -------
    dict of Contrast to ndarray, shape (Z, Y, X), float32
        Magnitude images, never negative.

    Raises
    ------
    ValueError
        For Contrast.UNKNOWN.
    """
    setting = acquisition or Acquisition()
    wanted = [contrasts] if isinstance(contrasts, Contrast) else list(contrasts)
    coil = _coil_field(anatomy, rng, setting.shading)
    sigma = 0.8 / setting.snr
    images = {}
    for contrast in wanted:
        signal = _blurred(_clean(anatomy, contrast, setting), setting.blur_voxels) * coil
        in_quadrature = rng.standard_normal(signal.shape, np.float32) * np.float32(sigma)
        signal += rng.standard_normal(signal.shape, np.float32) * np.float32(sigma)
        images[contrast] = np.hypot(signal, in_quadrature) * np.float32(setting.scale)
    return images


def _clean(anatomy: Anatomy, contrast: Contrast, setting: Acquisition) -> NDArray[np.float32]:
    water, fat = anatomy.water, anatomy.fat
    if contrast is Contrast.WATER:
        return water
    if contrast is Contrast.FAT:
        return fat
    if contrast is Contrast.IN_PHASE:
        return water + fat
    if contrast is Contrast.OPPOSED_PHASE:
        # The sign is kept through the blur, so boundaries cancel to dark lines as they should.
        return (water - fat) * np.float32(1 - setting.opposed_decay)
    if contrast is Contrast.T1W:
        return water * _weights(_T1_WATER, _DEFAULT_T1)[anatomy.labels] + fat * np.float32(_FAT_T1)
    if contrast is Contrast.T2W:
        return water * _weights(_T2_WATER, _DEFAULT_T2)[anatomy.labels] + fat * np.float32(_FAT_T2)
    raise ValueError(f"the phantom has no contrast {contrast.value!r}")


def _weights(table: dict[TissueClass, float], default: float) -> NDArray[np.float32]:
    weights = np.full(256, default, np.float32)
    for tissue, value in table.items():
        weights[tissue] = value
    weights[list(MUSCLE_CLASSES)] = table[TissueClass.ABDOMINAL_WALL]
    return weights


def _blurred(signal: NDArray[np.float32], voxels: float) -> NDArray[np.float32]:
    if voxels <= 0:
        return signal
    for axis in (1, 2):
        signal = gaussian_filter1d(signal, voxels, axis=axis, truncate=3.0)
    return signal


def _coil_field(anatomy: Anatomy, rng: Generator, strength: float) -> NDArray[np.float32]:
    """Sensitivity of a spine array behind and a weaker flexible coil in front; mean 1 at muscle."""
    geometry = anatomy.geometry
    axes = [np.arange(n) * mm for n, mm in zip(geometry.shape, geometry.spacing_mm, strict=True)]
    body = np.flatnonzero((anatomy.labels > 0).any(axis=(0, 2)))
    columns = np.flatnonzero((anatomy.labels > 0).any(axis=(0, 1)))
    if body.size == 0:
        return np.ones(geometry.shape, np.float32)
    front, back = axes[1][body[[0, -1]]]
    right, left = axes[2][columns[[0, -1]]]
    field = np.full(geometry.shape, 0.18, np.float32)
    for depth, power, reach in ((back + 10, 1.0, 95.0), (front - 10, 0.35, 80.0)):
        for _ in range(3):
            centre = (rng.uniform(axes[0][0] - 20, axes[0][-1] + 20), rng.uniform(right, left))
            bells = (
                np.exp(-np.square((axes[0] - centre[0]) / rng.uniform(130, 260))),
                np.exp(-np.square((axes[1] - depth) / (reach * rng.uniform(0.8, 1.3)))),
                np.exp(-np.square((axes[2] - centre[1]) / rng.uniform(130, 240))),
            )
            field += np.einsum("i,j,k->ijk", *(b.astype(np.float32) for b in bells)) * np.float32(
                power * rng.uniform(0.7, 1.3)
            )
    muscle = anatomy.muscles > 0
    field /= field[muscle].mean() if muscle.any() else field.mean()
    return np.asarray(field ** np.float32(strength), np.float32)

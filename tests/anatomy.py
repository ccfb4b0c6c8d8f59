"""Anatomy that is no lumbar back, drawn from ellipses: for a program that must find nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_A_BACK = ("thighs", "one knee", "pelvis and hips", "head", "noise", "box", "empty")
_SHAPE = (6, 192, 288)


def draw(what: str, seed: int) -> NDArray[np.float32]:
    """Draw a scan.

    Parameters
    ----------
    what : str
        One of `NOT_A_BACK`.
    seed : int
        Of sizes, brightness, shading and noise.

    Returns
    -------
    ndarray, shape (6, 192, 288), float32
        Magnitude image at about 1.2 mm in plane; none of its code or parameters are those of the
        training's own negative anatomy.
    """
    rng = np.random.default_rng([seed, NOT_A_BACK.index(what)])
    if what == "empty":
        return np.zeros(_SHAPE, dtype=np.float32)
    if what == "noise":
        return np.abs(rng.normal(0, 100, _SHAPE)).astype(np.float32)
    muscle, fat, dark, fluid = rng.permutation([220.0, 700.0, 40.0, 450.0])
    planes = []
    for z in range(_SHAPE[0]):
        plane = np.zeros(_SHAPE[1:], dtype=np.float32)
        grow = 1 + 0.02 * z
        _DRAWERS[what](plane, rng, grow, (muscle, fat, dark, fluid))
        planes.append(ndimage.gaussian_filter(plane, 0.7))
        rng = np.random.default_rng([seed, NOT_A_BACK.index(what)])
        rng.permutation(4)
    image = np.stack(planes)
    y, x = np.mgrid[-1 : 1 : _SHAPE[1] * 1j, -1 : 1 : _SHAPE[2] * 1j]
    shading = np.exp(rng.uniform(-0.8, 0.8) * y + rng.uniform(-0.5, 0.5) * x)
    sigma = rng.uniform(5, 25)
    noise = np.random.default_rng([seed, 1])
    image = np.hypot(
        image * shading + noise.normal(0, sigma, _SHAPE), noise.normal(0, sigma, _SHAPE)
    )
    return np.asarray(image, dtype=np.float32)


def _disc(
    plane: NDArray[np.float32],
    centre: tuple[float, float],
    half: tuple[float, float],
    value: float,
) -> None:
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    inside = ((y - centre[0]) / half[0]) ** 2 + ((x - centre[1]) / half[1]) ** 2 < 1
    plane[inside] = value


def _thighs(
    plane: NDArray[np.float32], rng: np.random.Generator, grow: float, tone: tuple[float, ...]
) -> None:
    muscle, fat, dark, fluid = tone
    half = rng.uniform(42, 60) * grow
    for x in (72.0, 216.0):
        _disc(plane, (96, x), (half * 1.1, half), fat)
        _disc(plane, (96, x), (half * 0.9, half * 0.82), muscle)
        for angle in np.linspace(0, 2 * np.pi, 6)[:-1] + rng.uniform(0, 1):
            y0, x0 = 96 + 0.55 * half * np.sin(angle), x + 0.5 * half * np.cos(angle)
            _disc(plane, (y0, x0), (half * 0.27, half * 0.24), muscle * rng.uniform(0.85, 1.1))
            _disc(plane, (y0 + half * 0.2, x0), (1.5, half * 0.2), fat)
        _disc(plane, (96, x), (13, 13), dark)
        _disc(plane, (96, x), (8, 8), fat)
        _disc(plane, (96 + 0.2 * half, x + 20), (4, 4), fluid)


def _knee(
    plane: NDArray[np.float32], rng: np.random.Generator, grow: float, tone: tuple[float, ...]
) -> None:
    muscle, fat, dark, fluid = tone
    half = rng.uniform(60, 78) * grow
    _disc(plane, (96, 144), (half, half * 0.95), fat)
    _disc(plane, (90, 144), (half * 0.75, half * 0.8), muscle)
    for side in (-1, 1):
        _disc(plane, (100, 144 + side * half * 0.36), (half * 0.46, half * 0.36), dark)
        _disc(plane, (100, 144 + side * half * 0.36), (half * 0.42, half * 0.33), fat)
        _disc(plane, (150, 144 + side * half * 0.4), (half * 0.2, half * 0.25), muscle)
    _disc(plane, (40, 144), (half * 0.16, half * 0.35), fat)
    _disc(plane, (62, 144), (5, half * 0.5), fluid)


def _pelvis(
    plane: NDArray[np.float32], rng: np.random.Generator, grow: float, tone: tuple[float, ...]
) -> None:
    muscle, fat, dark, fluid = tone
    wide = rng.uniform(115, 135) * min(grow, 1.05)
    _disc(plane, (96, 144), (80, wide), fat)
    _disc(plane, (92, 144), (64, wide * 0.88), muscle)
    _disc(plane, (84, 144), (46, wide * 0.42), fat)
    for side in (-1, 1):
        _disc(plane, (88, 144 + side * wide * 0.6), (22, 20), dark)
        _disc(plane, (88, 144 + side * wide * 0.6), (19, 17), fat)
        _disc(plane, (140, 144 + side * wide * 0.42), (22, wide * 0.3), muscle)
    _disc(plane, (70, 144), (24, 30), fluid)
    _disc(plane, (112, 144), (13, 15), muscle)
    _disc(plane, (150, 144), (6, 8), dark)


def _head(
    plane: NDArray[np.float32], rng: np.random.Generator, grow: float, tone: tuple[float, ...]
) -> None:
    muscle, fat, dark, fluid = tone
    long, wide = rng.uniform(76, 90) * min(grow, 1.04), rng.uniform(60, 70)
    _disc(plane, (96, 144), (long, wide), fat)
    _disc(plane, (96, 144), (long - 5, wide - 5), dark)
    _disc(plane, (96, 144), (long - 10, wide - 10), fluid)
    _disc(plane, (96, 144), (long - 13, wide - 13), muscle)
    for side in (-1, 1):
        _disc(plane, (96, 144 + side * wide * 0.35), (long * 0.55, wide * 0.25), muscle * 1.25)
        _disc(plane, (90, 144 + side * 9), (22, 5), fluid)
    plane[20:172, 143:145] = np.where(plane[20:172, 143:145] > 0, dark, 0)


def _box(
    plane: NDArray[np.float32], rng: np.random.Generator, grow: float, tone: tuple[float, ...]
) -> None:
    plane[30:160, 50:240] = tone[3]
    for _ in range(6):
        centre = (rng.uniform(45, 145), rng.uniform(65, 225))
        _disc(plane, centre, (rng.uniform(5, 16) * grow, rng.uniform(5, 16)), tone[2])


_DRAWERS = {
    "thighs": _thighs,
    "one knee": _knee,
    "pelvis and hips": _pelvis,
    "head": _head,
    "box": _box,
}

"""Ready-made contrast limits ("windows") of an image, from the values inside the body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BODY_SHARE = 0.08  # of the 99th percentile: above the noise of air
_SAMPLE = 500_000


@dataclass(frozen=True)
class Window:
    """Contrast limits with a name.

    Attributes
    ----------
    name : str
        For people; also what is remembered.
    low, high : float
        Values shown black and white; `high` is larger.
    tip : str
        What it is good for.
    """

    name: str
    low: float
    high: float
    tip: str


def sample_of(voxels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return every n-th voxel along each axis (Z, Y, X), about half a million."""
    step = max(1, int(np.cbrt(voxels.size / _SAMPLE)))
    return voxels[::step, ::step, ::step]


def windows_of(voxels: NDArray[np.floating]) -> tuple[Window, ...]:
    """Return the windows of a magnitude image, the usual one first.

    Parameters
    ----------
    voxels : ndarray, shape (Z, Y, X)
        Image values, arbitrary unit. Percentiles are those of about half a million of them; the
        body is what is brighter than 8 % of the 99th percentile.
    """
    sample = sample_of(voxels)
    values = sample[np.isfinite(sample)].astype(np.float64)
    if values.size == 0:
        return (_window("Auto", 0.0, 1.0, "The image has no values"),)
    low, top = np.percentile(values, (0.5, 99.5))
    body = values[values > BODY_SHARE * np.percentile(values, 99)]
    if body.size == 0:
        body = values
    p5, p10, p50, p90, p999 = np.percentile(body, (5, 10, 50, 90, 99.9))
    return (
        _window("Auto", low, top, "Nearly all values of the image"),
        _window("Wide", min(0.0, low), 1.25 * p999, "Low contrast: nothing is cut off"),
        _window("Narrow", p10, p90, "High contrast of what most of the body is made of"),
        _window("Dark tissue", min(0.0, p5), p50, "Lifts what is dark, such as fat on a water "
                "image or muscle on a fat or T1-weighted image"),
        _window("Bright tissue", p50, p999, "Contrast within what is bright, such as fat on a fat "
                "or T1-weighted image"),
    )  # fmt: skip


def fraction_windows() -> tuple[Window, ...]:
    """Return the windows of a fat map, whose values run from 0 to 1."""
    spans = ((0, 100), (0, 50), (0, 25), (25, 75))
    return tuple(
        _window(f"{low} to {high} %", low / 100, high / 100, "Part of the fat map's scale")
        for low, high in spans
    )


def _window(name: str, low: float, high: float, tip: str) -> Window:
    low, high = float(low), float(high)
    return Window(name, low, high if high > low else low + 1.0, tip)

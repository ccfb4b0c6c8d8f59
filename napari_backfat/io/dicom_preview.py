"""A small picture of a DICOM series, from one slice of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.dicom_pixels import decoded_frames
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.io.dicom_series import SeriesInfo

_DARK, _BRIGHT = 1, 99.5  # percentiles


def middle_picture(info: SeriesInfo, size: int = 72) -> NDArray[np.uint8] | None:
    """Return the middle slice of a series as a grey picture.

    Parameters
    ----------
    info : SeriesInfo
        From `list_series`; of several stations the middle one is shown.
    size : int, optional
        Largest height and width, in pixels.

    Returns
    -------
    ndarray, shape (height, width), uint8, or None
        In the proportions of the body; None if the slice cannot be read.
    """
    if info.stations:
        return middle_picture(info.stations[len(info.stations) // 2], size)
    if info.stack is not None:
        frame = info.stack.slices[len(info.stack.slices) // 2][0]
    else:
        frame = info.frames[len(info.frames) // 2]
    if frame.header.problem:
        return None
    try:
        (stored,) = decoded_frames(frame.path, [frame.index])
    except (BackfatError, MemoryError, ValueError):
        return None
    if stored.ndim != 2 or min(stored.shape) < 1:
        return None
    height, width = frame.spacing or (1.0, 1.0)
    extent = np.array(stored.shape) * (height, width)
    pixels = np.maximum(1, np.round(size * extent / extent.max())).astype(int)
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * have / n).astype(int), have - 1)
        for n, have in zip(pixels, stored.shape, strict=True)
    )
    plane = stored[np.ix_(rows, columns)].astype(np.float64) * (-1 if frame.slope < 0 else 1)
    low, high = (float(v) for v in np.percentile(plane, (_DARK, _BRIGHT)))
    scaled = (plane - low) / (high - low if high > low else 1.0)
    return np.ascontiguousarray(255 * np.clip(scaled, 0, 1), dtype=np.uint8)

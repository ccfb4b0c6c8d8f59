"""The fat map as a layer reads it: values are made for the part that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.fat_map import SCALE, UNDEFINED

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


class FatValues:
    """An array of float32 (Z, Y, X) behind a fat map, which holds integers; NaN where undefined.

    napari asks for a slice at a time. Values of a large volume all at once take 400 MB and half a
    second in which the window stands still.

    Parameters
    ----------
    codes : ndarray, shape (Z, Y, X), uint16
        `FatMap.codes`.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, codes: NDArray[np.uint16]) -> None:
        self._codes = codes
        self.shape = codes.shape
        self.ndim = codes.ndim
        self.size = codes.size

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._codes)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        """Return the values of a part, indexed as an array is."""
        codes = np.asarray(self._codes[key])
        values = codes.astype(np.float32)
        values /= SCALE
        return np.where(codes == UNDEFINED, np.float32(np.nan), values)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all values; numpy calls this."""
        values = self[...]
        return values if dtype is None else values.astype(dtype, copy=False)

"""Chooses how a scan's fat map is made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.dixon import fat_fraction
from napari_backfat.separate.mixture import map_of_fit, mixture_map

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan

_log = logging.getLogger(__name__)
_LATER = "Fat and lean are told apart on one contrast once the muscles are known; run the AI first."


def fat_map_of(
    scan: Scan, muscle: NDArray[np.uint8] | None, earlier: Mapping[str, Any] | None = None
) -> FatMap:
    """Return the fat map of a scan.

    Parameters
    ----------
    scan : Scan
        A Dixon pair gives a fat fraction at once; a single contrast needs the muscles.
    muscle : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids that the intensity mixture of a single contrast is fitted in.
    earlier : mapping, optional
        What the provenance of a saved case says about its fat map; an intensity mixture is then
        not fitted again.

    Returns
    -------
    FatMap
    """
    water, fat = scan.image(Contrast.WATER), scan.image(Contrast.FAT)
    if water is not None and fat is not None:
        return fat_fraction(water, fat)
    if isinstance(earlier, Mapping) and earlier.get("kind") == FatMapKind.MIXTURE.value:
        try:
            return map_of_fit(scan.images[0], earlier["parameters"])
        except (KeyError, TypeError, ValueError):
            _log.warning("the recorded fat map cannot be restored; it is fitted again")
    if muscle is None:
        return FatMap.undefined(scan.geometry.shape, _LATER)
    return mixture_map(scan.images[0], muscle)

"""Chooses how a scan's fat map is made, and makes it again when the muscles are new."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import FatMap, FatMapKind
from napari_backfat.separate.apply import separate
from napari_backfat.separate.method import default_recipe, method_of
from napari_backfat.separate.mixture import map_of_fit
from napari_backfat.separate.recipe import FAT_FRACTION, FatRecord, Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.masks import Masks
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
        `Muscle` ids: of a saved case those that its method was applied to.
    earlier : mapping, optional
        What the provenance of a saved case says about its fat map; nothing is then fitted again.

    Returns
    -------
    FatMap
    """
    restored = _restored(scan, muscle, earlier)
    if restored is not None:
        return restored
    if muscle is None:
        if not scan.is_dixon:
            return FatMap.undefined(scan.geometry.shape, _LATER)
        muscle = _no_muscle(scan)
    try:
        return separate(scan, muscle, default_recipe(scan)).fat_map
    except BackfatError as error:
        return FatMap.undefined(scan.geometry.shape, str(error))


def record_of(fat_map: FatMap) -> FatRecord | None:
    """Return how a fat map was made; None for a map of an earlier version, or without values."""
    if "recipe" not in fat_map.parameters:
        return None
    try:
        return FatRecord.from_dict(fat_map.parameters)
    except (BackfatError, KeyError, TypeError, ValueError):
        return None


def has_own_border(record: FatRecord) -> bool:
    """Whether the threshold in force is the border itself, as a fat fraction.

    Otherwise the map is made so that one half is the border, and the threshold moves it.
    """
    return record.image == FAT_FRACTION and record.recipe.scope is Scope.CASE


def map_for_muscles(scan: Scan, muscle: NDArray[np.uint8], masks: Masks) -> tuple[FatMap, float]:
    """Return fat map and threshold for new muscles, by the method in force.

    Parameters
    ----------
    scan : Scan
        The images.
    muscle : ndarray, shape (Z, Y, X), uint8
        The new muscles.
    masks : Masks
        What is in force now; not changed.

    Returns
    -------
    fat_map : FatMap
        The present one if it does not depend on the muscles.
    threshold : float
        A person's own setting stays, unless the method finds it.
    """
    record = record_of(masks.fat_map)
    recipe = record.recipe if record is not None else default_recipe(scan)
    known = masks.fat_map.kind is not FatMapKind.NONE
    if known and method_of(recipe).stated and not recipe.needs_muscles:
        return masks.fat_map, masks.threshold
    try:
        made = separate(scan, muscle, recipe)
    except BackfatError as error:
        return FatMap.undefined(scan.geometry.shape, str(error)), masks.threshold
    finds = has_own_border(made.record) and not method_of(recipe).stated
    return made.fat_map, made.threshold if finds else masks.threshold


def _restored(
    scan: Scan, muscle: NDArray[np.uint8] | None, earlier: Mapping[str, Any] | None
) -> FatMap | None:
    """Return the map of a saved case, to the last bit; None if there is no usable record."""
    if not isinstance(earlier, Mapping) or not isinstance(earlier.get("parameters"), Mapping):
        return None
    parameters = earlier["parameters"]
    try:
        if "recipe" in parameters:
            record = FatRecord.from_dict(parameters)
            place = muscle if muscle is not None else _no_muscle(scan)
            return separate(scan, place, record.recipe, record).fat_map
        if earlier.get("kind") == FatMapKind.MIXTURE.value:  # of the first version
            return map_of_fit(scan.images[0], parameters)
    except (AttributeError, BackfatError, KeyError, TypeError, ValueError):
        _log.warning("the recorded fat map cannot be restored; it is made again")
    return None


def _no_muscle(scan: Scan) -> NDArray[np.uint8]:
    import numpy as np

    return np.zeros(scan.geometry.shape, np.uint8)

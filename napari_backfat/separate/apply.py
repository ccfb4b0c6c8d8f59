"""Applies a fat method to a scan: a fat map with its threshold, and the record of how it came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import SCALE, UNDEFINED, FatMap, FatMapKind, threshold_code
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.bias import n4
from napari_backfat.separate.decide import decide
from napari_backfat.separate.dixon import Learned, fat_fraction
from napari_backfat.separate.method import DEFAULT_THRESHOLD, fat_is_bright, image_of, method_of
from napari_backfat.separate.mixture import UNCONVERGED
from napari_backfat.separate.noise import Noise, noise_of
from napari_backfat.separate.outline import epimuscular_fat, outer_layer
from napari_backfat.separate.recipe import (
    FAT_FRACTION,
    Epimuscular,
    FatRecord,
    Fit,
    NoiseModel,
    Recipe,
    Scope,
)
from napari_backfat.separate.rician import learn_curves
from napari_backfat.separate.wording import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan, Volume

CASE = "case"
MOSTLY_FAT = (
    "More than half of the muscle is called fat. On one image this is usually shading or noise "
    "taken for a class, not fat: check the fat mask by eye, or try N4."
)
NO_SHADING = "N4 was not applied: shading cancels in the fat fraction F/(F+W)."


@dataclass(frozen=True, eq=False)
class Separation:
    """What a method made of a scan.

    Attributes
    ----------
    fat_map : FatMap
        `parameters` is the record as plain values.
    threshold : float
        To be used with the map, 0..1.
    record : FatRecord
        How it came about.
    """

    fat_map: FatMap
    threshold: float
    record: FatRecord


@dataclass(frozen=True, eq=False)
class _Source:
    """What is classified, and what is summed."""

    values: NDArray[Any]  # (Z, Y, X): codes of the fat fraction, or intensities
    base: FatMap | None  # the fat fraction of a Dixon scan
    image: str
    bright: bool
    parameters: dict[str, Any]

    @property
    def is_fraction(self) -> bool:
        return self.image == FAT_FRACTION

    def known(self, z: int) -> NDArray[np.bool_]:
        plane = self.values[z]
        return np.asarray(plane != UNDEFINED if self.is_fraction else plane > 0)

    def numbers(self, chosen: NDArray[Any]) -> NDArray[np.float32]:
        return (chosen / np.float32(SCALE)).astype(np.float32) if self.is_fraction else chosen


def separate(
    scan: Scan,
    muscle: NDArray[np.uint8],
    recipe: Recipe,
    earlier: FatRecord | None = None,
) -> Separation:
    """Tell lean from fat.

    Parameters
    ----------
    scan : Scan
        A Dixon pair or a single contrast.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids; fits use these voxels, and outlines are those of these labels.
    recipe : Recipe
        What is wanted.
    earlier : FatRecord, optional
        Of a saved case: its fits are used again, nothing is fitted.

    Returns
    -------
    Separation
        For a Dixon pair the map's sums and means are those of the fat fraction, whatever decides
        between lean and fat. Voxels without signal, left-out layers and epimuscular fat that is
        not counted are undefined: neither lean nor fat, and in no mean. Where a fit was refused,
        the voxels are neither lean nor fat, and the record says why.

    Raises
    ------
    BackfatError
        If the method does not suit the scan.
    """
    method = method_of(recipe)
    if method.stated or not method.makes_mask:
        recipe = replace(recipe, scope=Scope.CASE)  # there is nothing to fit
    source = _source(scan, muscle, recipe, earlier)
    notes = list(method.warnings(source.image))
    if recipe.bias_correction and source.is_fraction:
        notes.append(NO_SHADING)
    outer = _outer(muscle, recipe)
    fits = dict(earlier.fits) if earlier is not None else _fits(source, muscle, outer, recipe)
    case = fits[CASE]
    if case.refused:
        notes.insert(0, case.refused)
    for name, fit in fits.items():
        if name != CASE and fit.refused and not case.refused:
            notes.append(f"{Muscle[name.upper()].display_name}: {fit.refused}")
        if fit.details.get("converged") is False:
            notes.append(UNCONVERGED)
    shift = not source.is_fraction or recipe.scope is Scope.MUSCLE or bool(case.refused)
    threshold = DEFAULT_THRESHOLD if shift or case.threshold is None else case.threshold
    codes, decision, excluded = _maps(source, muscle, outer, fits, recipe, scan, shift)
    if source.image != FAT_FRACTION and _mostly_fat(
        codes if decision is None else decision, muscle
    ):
        notes.append(MOSTLY_FAT)
    if excluded:
        ml = excluded * scan.geometry.voxel_ml
        notes.append(f"{ml:.1f} ml of fat outside the outline of the lean tissue is not counted.")
    unique = tuple(dict.fromkeys(notes))
    record = FatRecord(recipe, title_of(recipe), source.image, fits, source.parameters, unique)
    if source.base is None and case.refused and all(f.refused for f in fits.values()):
        kind = FatMapKind.NONE
    elif source.base is not None:
        kind = FatMapKind.FAT_FRACTION
    else:
        mixed = any("weights" in fit.details for fit in fits.values())
        kind = FatMapKind.MIXTURE if mixed else FatMapKind.INTENSITY
    basis = muscle.copy() if recipe.needs_muscles else None
    decided_by = codes if decision is None else decision
    fat_map = FatMap(codes, kind, record.title, record.to_dict(), unique, decided_by, basis)
    return Separation(fat_map, threshold, record)


def _source(
    scan: Scan, muscle: NDArray[np.uint8], recipe: Recipe, earlier: FatRecord | None
) -> _Source:
    image = image_of(scan, recipe)
    water, fat = scan.image(Contrast.WATER), scan.image(Contrast.FAT)
    base = None
    if water is not None and fat is not None:
        noise = Noise(0.0)
        if recipe.noise_floor and earlier is not None:
            known = earlier.parameters["fat_fraction"]
            noise = Noise(float(known.get("noise_sd", 0.0)), str(known.get("noise_from", "")))
        elif recipe.noise_floor:
            noise = noise_of((water, fat), muscle)
        learned = None
        if noise.sd > 0 and recipe.noise_model is NoiseModel.MUSCLE:
            learned = _learned(water, fat, muscle, recipe, noise.sd, earlier)
        base = fat_fraction(water, fat, noise_sd=noise.sd, learned=learned)
        if noise.origin:
            base.parameters["noise_from"] = noise.origin
    parameters: dict[str, Any] = {"fat_fraction": base.parameters} if base is not None else {}
    if image == FAT_FRACTION:
        assert base is not None  # image_of has seen both images
        return _Source(base.codes, base, image, True, parameters)
    bright = fat_is_bright(image)
    if bright is None:
        raise BackfatError(
            f"Fat and lean cannot be told apart on one image of contrast '{image}'; muscle "
            "volumes are valid, fat volumes are left blank."
        )
    volume: Volume = next(v for v in scan.images if v.contrast.value == image)
    if recipe.bias_correction:
        volume, parameters["bias_correction"] = n4(volume)
    return _Source(volume.voxels, base, image, bright, parameters)


def _learned(
    water: Volume,
    fat: Volume,
    muscle: NDArray[np.uint8],
    recipe: Recipe,
    sd: float,
    earlier: FatRecord | None,
) -> Learned:
    """Learn the signal inside the muscles, or take what was learned when the map was first made."""
    outer = _outer(muscle, recipe)
    inner = muscle if outer is None else np.where(outer, 0, muscle).astype(np.uint8)
    if earlier is not None:
        known = earlier.parameters["fat_fraction"]["expected"]
        return Learned(inner, dict(known["water"]), dict(known["fat"]))
    return Learned(
        inner, learn_curves(water.voxels, inner, sd), learn_curves(fat.voxels, inner, sd)
    )


def _outer(muscle: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.bool_] | None:
    if recipe.eroded_layers == 0:
        return None
    return np.stack([outer_layer(plane, recipe.eroded_layers) for plane in muscle])


def _fits(
    source: _Source, muscle: NDArray[np.uint8], outer: NDArray[np.bool_] | None, recipe: Recipe
) -> dict[str, Fit]:
    """One fit of all muscles together and, if wanted, one of each that is there."""
    labels: list[NDArray[np.uint8]] = []
    values: list[NDArray[np.float32]] = []
    for z in map(int, np.flatnonzero(muscle.reshape(len(muscle), -1).any(axis=1))):
        inside = (muscle[z] > 0) & source.known(z)
        if outer is not None:
            inside &= ~outer[z]
        labels.append(muscle[z][inside])
        values.append(source.numbers(source.values[z][inside]))
    label = np.concatenate(labels) if labels else np.empty(0, np.uint8)
    value = np.concatenate(values) if values else np.empty(0, np.float32)
    method = method_of(recipe)
    fits = {CASE: method.fit(value, source.bright, recipe)}
    if recipe.scope is Scope.MUSCLE:
        for muscle_id in MUSCLES:
            mine = value[label == muscle_id]
            if mine.size:
                fits[muscle_id.name.lower()] = method.fit(mine, source.bright, recipe)
    return fits


def _mostly_fat(decision: NDArray[np.uint16], muscle: NDArray[np.uint8]) -> bool:
    decided = decision[muscle > 0]
    decided = decided[decided != UNDEFINED]
    return bool(decided.size) and float((decided >= SCALE // 2).mean()) > 0.5


def _maps(
    source: _Source,
    muscle: NDArray[np.uint8],
    outer: NDArray[np.bool_] | None,
    fits: Mapping[str, Fit],
    recipe: Recipe,
    scan: Scan,
    shift: bool,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None, int]:
    """Return codes to sum, codes to decide by (None: the same), and excluded epimuscular voxels."""
    excludes = recipe.epimuscular is Epimuscular.EXCLUDED
    case_only = source.is_fraction and not shift
    if case_only and outer is None and not excludes:
        return source.values, None, 0
    decision = np.empty(muscle.shape, np.uint16)
    codes = np.empty(muscle.shape, np.uint16) if outer is not None or excludes else None
    case = fits[CASE]
    cut = threshold_code(case.threshold) if case_only and case.threshold is not None else SCALE // 2
    spacing = scan.geometry.spacing_mm[1:]
    excluded = 0
    for z, labels in enumerate(muscle):
        plane = source.values[z]
        if case_only:
            decided = plane.copy()
        else:
            decided = decide(plane, case, source.bright, fraction=source.is_fraction)
            for muscle_id in np.unique(labels):
                own = fits.get(Muscle(muscle_id).name.lower()) if muscle_id else None
                if own is not None:
                    inside = labels == muscle_id
                    decided[inside] = decide(
                        plane[inside], own, source.bright, fraction=source.is_fraction
                    )
        dropped = np.zeros(labels.shape, bool) if outer is None else outer[z].copy()
        if excludes:
            fat = (decided >= cut) & (decided != UNDEFINED)
            rind = epimuscular_fat(labels, fat, spacing, recipe.closing_mm) & ~dropped
            excluded += int(rind.sum())
            dropped |= rind
        decided[dropped] = UNDEFINED
        decision[z] = decided
        if codes is not None:
            codes[z] = decided if source.base is None else source.base.codes[z]
            codes[z][dropped] = UNDEFINED
    if source.base is None or (case_only and codes is not None):
        return decision, None, excluded
    return (source.base.codes if codes is None else codes), decision, excluded

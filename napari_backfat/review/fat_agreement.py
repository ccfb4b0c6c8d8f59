"""All fat methods on one case, side by side, and what the choice does to the relative odds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.measure.quantify import BACK, quantify
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.fat_map import FatMapKind, apply_rule, threshold_code
from napari_backfat.model.ledger import Ledger, joint_code
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.review.fat import has_own_border
from napari_backfat.review.fat_methods import recipe_in_force
from napari_backfat.review.risk_inputs import features_of
from napari_backfat.separate.apply import separate
from napari_backfat.separate.method import METHODS, image_of, methods_for
from napari_backfat.separate.ratio import SignalSums
from napari_backfat.separate.recipe import AUTO, FAT_FRACTION, Recipe
from napari_backfat.separate.wording import title_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.results import Measurement, MuscleMeasure
    from napari_backfat.model.risk_results import RelativeOdds
    from napari_backfat.risk.features import Features
    from napari_backfat.risk.model import RiskModel
    from napari_backfat.separate.recipe import FatRecord

_PSOAS = "not reliable: psoas on a single contrast (NASSJ 2024;17:100313)"


@dataclass(frozen=True)
class AgreementRow:
    """One method in one muscle.

    Attributes
    ----------
    muscle : Muscle or None
        None for erector spinae and multifidus of both sides together.
    volume_ml, lean_ml, fat_ml : float or None
        Whole muscle, lean and fat; the latter two are None where the method makes no mask or was
        refused.
    fat_share : float or None
        Fat over lean plus fat, 0..1.
    mean_fat_fraction : float or None
        Threshold-free fat fraction, 0..1: the mean of the voxels' fractions, or of the method
        "ratio" the ratio of sums. None on a single contrast.
    border : float or None
        Fat from here on: a fat fraction 0..1, or an intensity.
    note : str
        Why a number is missing or not to be relied on.
    """

    muscle: Muscle | None
    volume_ml: float
    lean_ml: float | None
    fat_ml: float | None
    fat_share: float | None
    mean_fat_fraction: float | None
    border: float | None
    note: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return "Back muscles" if self.muscle is None else self.muscle.display_name


@dataclass(frozen=True)
class MethodResult:
    """One method on the whole case.

    Attributes
    ----------
    recipe : Recipe
        What was done.
    title : str
        For people.
    image : str
        What was classified.
    rows : tuple of AgreementRow
        Back muscles together, then each muscle that is there.
    odds : RelativeOdds or None
        What the risk model says with this method; it reads the fat fraction and no threshold, so
        on one Dixon scan all thresholds give the same.
    odds_if_thresholded : RelativeOdds or None
        A what-if: the same model fed with the thresholded fat volume in place of the fat fraction.
        The reference values are fat fractions, so this only shows how far a threshold can lead.
    warnings : tuple of str
        What limits the method here.
    failed : str
        Why it could not be used at all; then there are no rows.
    in_force : bool
        Whether these are the settings of the open case.
    """

    recipe: Recipe
    title: str
    image: str = ""
    rows: tuple[AgreementRow, ...] = ()
    odds: RelativeOdds | None = None
    odds_if_thresholded: RelativeOdds | None = None
    warnings: tuple[str, ...] = ()
    failed: str = ""
    in_force: bool = False


def agreement_recipes(case: Case, base: Recipe | None = None) -> list[Recipe]:
    """Return one recipe for every method that suits the scan, with the switches of `base`.

    A fixed intensity threshold takes part only if `base` states one.
    """
    now = recipe_in_force(case)
    base = base if base is not None else now
    recipes = []
    for method in methods_for(case.scan):
        if method.key == base.method:
            recipes.append(base)
            continue
        threshold = now.threshold if method.key in ("dixon", "ratio") and _fraction(now) else None
        if method.key == "fixed":
            continue
        image = base.image if base.image == AUTO or method.suits(base.image) else AUTO
        recipes.append(replace(base, method=method.key, threshold=threshold, image=image))
    return recipes


def agreement_job(
    case: Case, model: RiskModel, recipes: Sequence[Recipe] | None = None
) -> Generator[Progress, None, list[MethodResult]]:
    """Apply many methods to the muscles of a case; changes nothing.

    Parameters
    ----------
    case : Case
        The open case; paint by hand is kept under every method.
    model : RiskModel
        For the relative odds.
    recipes : sequence of Recipe, optional
        Default: `agreement_recipes`.

    Raises
    ------
    BackfatError
        If there are no muscles.
    """
    muscle, tissue = case.masks.muscle.copy(), case.masks.tissue.copy()
    if not muscle.any():
        raise BackfatError("There are no muscles to compare fat methods in; segment them first.")
    now = recipe_in_force(case)
    wanted = list(recipes) if recipes is not None else agreement_recipes(case)
    results = []
    for number, recipe in enumerate(wanted):
        yield Progress(number / len(wanted), f"Comparing: {METHODS[recipe.method].title}")
        try:
            result = _result(case, model, recipe, muscle, tissue)
        except BackfatError as error:
            result = MethodResult(recipe, title_of(recipe), failed=str(error))
        results.append(replace(result, in_force=recipe == now))
    return results


def _result(
    case: Case,
    model: RiskModel,
    recipe: Recipe,
    muscle: NDArray[np.uint8],
    tissue: NDArray[np.uint8],
) -> MethodResult:
    image_of(case.scan, recipe)
    made = separate(case.scan, muscle, recipe)
    fat_map, record = made.fat_map, made.record
    own = recipe == recipe_in_force(case)
    # What a person moved the slider to belongs to the method in force, and to no other.
    threshold = case.masks.threshold if own else made.threshold
    ledger = _ledger(fat_map, muscle, tissue, threshold)
    geometry = case.scan.geometry
    measured = quantify(ledger, geometry, fat_map.kind, threshold)
    sums = None
    if not METHODS[recipe.method].makes_mask:
        water, fat = case.scan.image(Contrast.WATER), case.scan.image(Contrast.FAT)
        assert water is not None
        assert fat is not None
        sums = SignalSums(water, fat, muscle, fat_map)
    rows = tuple(
        _row(measured, label, record, threshold, sums)
        for label in (None, *MUSCLES)
        if label is None or measured.muscles[label].volume_ml > 0
    )
    features = features_of(ledger, geometry, fat_map.kind, case.levels, muscle)
    fraction = rows[0].mean_fat_fraction if sums is not None else None
    if features is not None and fraction is not None:
        features = replace(features, weighted_fat_ml=features.muscle_ml * fraction)
    what_if = None if sums is not None else _as_thresholded(features)
    odds = model.estimate(features, case.patient).relative
    return MethodResult(
        recipe,
        title_of(recipe),
        record.image,
        rows,
        odds,
        model.estimate(what_if, case.patient).relative if what_if is not None else None,
        record.warnings,
    )


def _ledger(
    fat_map: FatMap, muscle: NDArray[np.uint8], tissue: NDArray[np.uint8], threshold: float
) -> Ledger:
    """Count what the masks would be with another map; paint by hand stays."""
    ledger = Ledger(len(muscle))
    cut = threshold_code(threshold)
    for z in range(len(muscle)):
        ruled = apply_rule(fat_map.decision[z], cut)
        kept = np.where(tissue[z] >= HAND, tissue[z], ruled)
        kept = np.where(muscle[z] == 0, 0, kept).astype(np.uint8)
        ledger.count_slice(z, joint_code(muscle[z], kept), fat_map.codes[z])
    return ledger


def _row(
    measured: Measurement,
    label: Muscle | None,
    record: FatRecord,
    threshold: float,
    sums: SignalSums | None,
) -> AgreementRow:
    of: MuscleMeasure = measured.back if label is None else measured.muscles[label]
    masked = sums is None and of.fat_share is not None
    own = record.fits.get(label.name.lower()) if label is not None else None
    fit = own if own is not None else record.fits["case"]
    border = None if sums is not None else fit.threshold
    if border is not None and has_own_border(record):
        border = threshold
    note = fit.refused
    psoas = label is not None and label.group is MuscleGroup.PSOAS_MAJOR
    if psoas and record.image != FAT_FRACTION:
        note = f"{note} {_PSOAS}".strip()
    mean = of.mean_fat_fraction
    if sums is not None:
        mean = sums.fraction(BACK if label is None else [label])
    return AgreementRow(
        label,
        of.volume_ml,
        of.lean_ml if masked else None,
        of.fat_ml if masked else None,
        of.fat_share if masked else None,
        mean,
        border,
        note,
    )


def _as_thresholded(features: Features | None) -> Features | None:
    """Feed the thresholded fat share to the model in place of the fat fraction."""
    if features is None or features.fat_map is not FatMapKind.FAT_FRACTION:
        return None
    classified = features.lean_ml + features.fat_ml
    if classified == 0:
        return None
    share = features.fat_ml / classified
    return replace(features, weighted_fat_ml=features.muscle_ml * share)


def _fraction(recipe: Recipe) -> bool:
    return recipe.method in ("dixon", "ratio")

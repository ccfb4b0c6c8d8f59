"""Choosing how lean and fat are told apart in the open case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.fat import has_own_border, record_of
from napari_backfat.review.restore import counted_again
from napari_backfat.separate.apply import Separation, separate
from napari_backfat.separate.method import METHODS, default_recipe, image_of, methods_for
from napari_backfat.separate.recipe import FAT_FRACTION, Recipe
from napari_backfat.separate.wording import methods_sentence

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.case import AiResult, Case
    from napari_backfat.model.masks import Change
    from napari_backfat.review.live import Live
    from napari_backfat.separate.method import SeparationMethod


def choices(case: Case) -> list[SeparationMethod]:
    """Return the methods that can make the masks of a case, in the order of the table."""
    return [method for method in methods_for(case.scan) if method.makes_mask]


def recipe_in_force(case: Case) -> Recipe:
    """Return what the present fat map was made by, with the threshold in force.

    A map of the first version, or one that could not be made yet, gives the default.
    """
    record = record_of(case.masks.fat_map)
    recipe = record.recipe if record is not None else default_recipe(case.scan)
    if recipe.method == "dixon":
        return replace(recipe, threshold=case.masks.threshold)
    return recipe


def fat_method_job(case: Case, recipe: Recipe) -> Generator[Progress, None, Separation]:
    """Make the fat map of a recipe; changes nothing.

    Parameters
    ----------
    case : Case
        The open case.
    recipe : Recipe
        What is wanted.

    Raises
    ------
    BackfatError
        If the method does not suit the scan, makes no mask, or needs muscles that are not there.
    """
    image_of(case.scan, recipe)  # before anything is said to be under way
    method = METHODS[recipe.method]
    if not method.makes_mask:
        raise BackfatError(
            f"The {method.title} is a number for each muscle and makes no mask; see the comparison "
            "of the methods."
        )
    muscle = case.masks.muscle.copy()
    if not method.stated and not muscle.any():
        raise BackfatError(
            f"The method '{method.title}' is fitted inside the muscles; segment them first."
        )
    yield Progress(0.1, f"Fat method: {method.title}")
    return separate(case.scan, muscle, recipe)


@dataclass(frozen=True, eq=False)
class MethodMade:
    """A fat method ready for use.

    Attributes
    ----------
    separation : Separation
        Fat map and threshold.
    ai : AiResult or None
        The AI's result with the numbers of this fat map.
    """

    separation: Separation
    ai: AiResult | None


def method_with_ai_job(case: Case, recipe: Recipe) -> Generator[Progress, None, MethodMade]:
    """Make the fat map of a recipe and sum the AI's masks over it; see `fat_method_job`."""
    made = yield from fat_method_job(case, recipe)
    if case.ai is None:
        return MethodMade(made, None)
    yield Progress(0.9, "Fat method: numbers of the AI's masks")
    return MethodMade(made, counted_again(case.ai, case.masks.geometry, made.fat_map))


def begin_fat_method(case: Case, live: Live | None, made: MethodMade, first_slice: int = 0) -> None:
    """Begin to use a fat map; `case.masks.settle_some` carries it out, anything else finishes it.

    The case counts as unsaved from here on.

    Parameters
    ----------
    case : Case
        The open case.
    live : Live or None
        What keeps its numbers.
    made : MethodMade
        From `method_with_ai_job`.
    first_slice : int
        The slice in sight, working index Z; it is done first.
    """
    if live is not None and made.ai is not None:
        live.ai_sums[made.separation.fat_map] = made.ai
    case.masks.begin_method(made.separation.fat_map, made.separation.threshold, first_slice)
    case.revision += 1
    case.saved = False


def accept_fat_method(case: Case, made: Separation) -> Change | None:
    """Use a fat map from now on, as one undoable step; paint by hand stays.

    The map's parameters are its record, so the provenance of a saved case holds it.
    """
    return case.masks.set_method(made.fat_map, made.threshold)


def method_text(case: Case) -> str:
    """Return the sentence for a methods section, with the threshold in force."""
    masks = case.masks
    record = record_of(masks.fat_map)
    if record is None:
        notes = masks.fat_map.notes
        return f"Fat map: {masks.fat_map.method}." if not notes else notes[0]
    text = methods_sentence(record)
    if record.image == FAT_FRACTION and has_own_border(record):
        stated = record.fits["case"].threshold
        if stated is None or abs(stated - masks.threshold) > 5e-4:
            text += f" The threshold was then set to {100 * masks.threshold:.1f} % by hand."
    elif abs(masks.threshold - 0.5) > 5e-4:
        shift = 100 * (masks.threshold - 0.5)
        text += f" The borders were then moved by {shift:+.0f} % of the scale by hand."
    if masks.ledger.counts[:, :, HAND:].any():
        text += " Single voxels were corrected by hand."
    return text + _source_text(case)


def _source_text(case: Case) -> str:
    """Return where water and fat come from, if not from a water and a fat image."""
    origin, text = case.scan.origin, ""
    if fraction := origin.get("fat_fraction_map"):
        text += (
            f" The {fraction['named']} was read from the map {fraction['map']} (full scale "
            f"{fraction['scale']:g})."
        )
    if origin.get("separation"):
        text += (
            " Water and fat were computed from in- and opposed-phase magnitude images (two-point "
            "Dixon), so fractions above 50 % cannot appear."
        )
    if case.scan.exchanged is not None:
        ml = float(case.scan.exchanged.sum()) * case.scan.geometry.voxel_ml
        text += f" Water and fat were exchanged by hand in {ml:.0f} ml."
    return text

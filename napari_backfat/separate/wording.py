"""A fat method in words: its title, and the sentence for a methods section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import Muscle
from napari_backfat.separate.method import METHODS
from napari_backfat.separate.noise import AIR
from napari_backfat.separate.recipe import FAT_FRACTION, Epimuscular, NoiseModel, Recipe, Scope

if TYPE_CHECKING:
    from napari_backfat.separate.noise_level import NoiseLevel
    from napari_backfat.separate.recipe import FatRecord, Fit

CORRECTION_METHOD = (
    "The corrected mean fat fraction is the mean of F/(F+W) over each muscle without its outermost "
    "voxel layer in the slice plane, after the noise floor of the magnitude images was taken off: "
    "in strata of voxels with like neighbours the distribution of the true signal was estimated by "
    "maximum likelihood (EM algorithm, Rice distribution) from a gamma distribution with the "
    "measured second moment as start. Its 95 % interval covers noise, noise level and model, not "
    "the outline."
)


def title_of(recipe: Recipe) -> str:
    """Return a short name of what was done, for tables and captions."""
    parts = [METHODS[recipe.method].title]
    if recipe.scope is Scope.MUSCLE:
        parts.append("per muscle")
    if recipe.bias_correction:
        parts.append("N4")
    if recipe.noise_floor:
        by = "per muscle " if recipe.noise_model is NoiseModel.MUSCLE else ""
        parts.append(f"noise floor taken off {by}".rstrip())
    if recipe.eroded_layers:
        parts.append(f"without {_layers(recipe.eroded_layers)}")
    if recipe.epimuscular is Epimuscular.EXCLUDED:
        parts.append("epimuscular fat not counted")
    return ", ".join(parts)


def methods_sentence(record: FatRecord) -> str:
    """Return what a methods section needs: image, method, threshold, and every switch.

    The threshold of a Dixon scan may have been moved since; state the one in force beside it.
    """
    recipe = record.recipe
    method = METHODS[recipe.method]
    fraction = record.image == FAT_FRACTION
    on = "the fat fraction F/(F+W)" if fraction else f"the {record.image} image"
    if not method.makes_mask:
        text = f"The fat fraction of each muscle is the {method.title} over the mask"
    else:
        how = "each muscle and side" if recipe.scope is Scope.MUSCLE else "all muscles together"
        text = f"Lean and fat were told apart on {on} by {method.title}"
        text += "" if method.stated else f", fitted to {how}"
    borders = _borders(record, fraction) if method.makes_mask else ""
    text += f" ({borders})." if borders else "."
    if "bias_correction" in record.parameters:
        text += " The image was corrected for shading with N4 (Tustison 2010)."
    known = record.parameters.get("fat_fraction", {})
    sd = known.get("noise_sd")
    if sd is not None:
        where = f" from {known['noise_from']}" if "noise_from" in known else ""
        how = (
            "by the expected signal under the distribution of each muscle's own signal "
            "(nonparametric maximum likelihood, Rice distribution)"
            if recipe.noise_model is NoiseModel.MUSCLE
            else "in quadrature"
        )
        text += f" The noise floor (SD {sd:.3g}, estimated{where}) was taken off both images {how}."
    if recipe.eroded_layers:
        text += (
            f" {_layers(recipe.eroded_layers).capitalize()} of each muscle, in the slice plane, "
            "was left out of fit and measurement."
        )
    if recipe.epimuscular is Epimuscular.EXCLUDED:
        text += (
            " Fat between the lean tissue's outline (closing radius "
            f"{recipe.closing_mm:g} mm, in the slice plane) and the muscle outline was not counted."
        )
    else:
        text += " Fat between muscle and fascia was counted where the muscle outline holds it."
    return text


def noise_words(noise: NoiseLevel) -> str:
    """Say how strong the noise is and where that was read."""
    if noise.origin != AIR:
        return (
            "The noise could not be read in air; its standard deviation is at most "
            f"{noise.high:.3g}, by {noise.origin}. Means are the middle between that and no noise."
        )
    return (
        f"The noise of one channel has a standard deviation of {noise.sd:.3g} ({noise.low:.3g} to "
        f"{noise.high:.3g}), read in {noise.origin}."
    )


def _layers(number: int) -> str:
    return "the outer voxel layer" if number == 1 else f"the {number} outer voxel layers"


def _borders(record: FatRecord, fraction: bool) -> str:
    def value(fit: Fit) -> str:
        if fit.threshold is None:
            return "refused"
        return f"{100 * fit.threshold:.1f} %" if fraction else f"{fit.threshold:.4g}"

    if record.recipe.scope is Scope.CASE:
        case = record.fits.get("case")
        if case is None:
            return ""
        return "refused" if case.threshold is None else f"fat from {value(case)}"
    each = [
        f"{Muscle[name.upper()].display_name} {value(fit)}"
        for name, fit in record.fits.items()
        if name != "case"
    ]
    return "fat from: " + ", ".join(each) if each else ""

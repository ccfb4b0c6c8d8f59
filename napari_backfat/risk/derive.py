"""Reference values for four of the five lumbar levels, derived from those for all five.

A scan often holds L2 to L5 or L1 to L4 only. Volume per centimetre of spine would be wrong there:
the lumbar muscles hold more than twice as much fat at L5 as above. What is published about the
levels (total, L5, and "no difference among L1, L2 and L3") bounds the missing values, and the
width of these bounds is carried along as an error of the reference mean.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk.reference_schema import MeanSd, ReferenceSet

if TYPE_CHECKING:
    from napari_backfat.risk.reference_schema import SpineLevel

END_LEVEL_SHARE = (0.15, 0.25)
"""Share of the L1-L5 muscle volume that the left-out end level holds; assumed, 1/5 +- 5 points."""


def fat_fraction_range(total: float, l5: float, leave_out: SpineLevel) -> tuple[float, float]:
    """Bounds of the mean fat fraction of four levels.

    With the end level holding the share w of the volume (`END_LEVEL_SHARE`) and fraction f_out, the
    rest has (total - w f_out) / (1 - w). For L5, f_out is published. For L1 it follows from
    ``3 x + y + l5 = 5 total`` (equal shares) with L1 = L2 = L3 = x and L4 = y between x and l5.

    Parameters
    ----------
    total, l5 : float
        Published mean fat fraction of L1-L5 and of L5 (0..1).
    leave_out : {"L1", "L5"}
        The level that is not covered.

    Returns
    -------
    tuple of float
        Lowest and highest mean fat fraction of the four covered levels.
    """
    if leave_out == "L5":
        outside = [l5]
    elif leave_out == "L1":
        outside = [(5 * total - l5) / 4, (5 * total - 2 * l5) / 3]  # L4 like L1; L4 like L5
    else:
        raise BackfatError(f"Only L1 or L5 can be left out of L1 to L5, not {leave_out}.")
    values = [(total - w * f) / (1 - w) for w, f in itertools.product(END_LEVEL_SHARE, outside)]
    return min(values), max(values)


def four_levels(total: ReferenceSet, l5: ReferenceSet, leave_out: SpineLevel) -> ReferenceSet:
    """Derive the set for L2-L5 or L1-L4.

    The mean is the middle of the bounds, its error that of a uniform distribution between them;
    the relative spread between people is kept.

    Parameters
    ----------
    total, l5 : ReferenceSet
        Published sets for L1-L5 (volume and fat fraction) and for L5 (fat fraction).
    leave_out : {"L1", "L5"}
        The level that is not covered.

    Returns
    -------
    ReferenceSet
    """
    low_share, high_share = END_LEVEL_SHARE
    kept = 1 - (low_share + high_share) / 2
    measures, errors = {}, []
    for sex, stratum in total.measures.items():
        volume, fraction = stratum["muscle_ml"], stratum["fat_fraction"]
        low, high = fat_fraction_range(
            fraction.mean, l5.measures[sex]["fat_fraction"].mean, leave_out
        )
        errors.append((high - low) / (2 * math.sqrt(3)))
        measures[sex] = {
            "muscle_ml": MeanSd(mean=round(volume.mean * kept, 1), sd=round(volume.sd * kept, 1)),
            "fat_fraction": MeanSd(mean=round((low + high) / 2, 4), sd=fraction.sd),
        }
    first, last = ("L2", "L5") if leave_out == "L1" else ("L1", "L4")
    return ReferenceSet.model_validate(
        total.model_dump()
        | {
            "id": f"{total.id.removesuffix('-l1-l5')}-{first}-{last}".lower(),
            "title": f"{total.title.replace('L1-L5', f'{first}-{last}')} (derived)",
            "first_level": first,
            "last_level": last,
            "measures": measures,
            "mean_relative_sd": round((high_share - low_share) / (2 * math.sqrt(3)) / kept, 4),
            "fat_fraction_mean_sd": round(max(errors), 4),
            "grade": Grade.DERIVED,
            "note": f"{leave_out} taken out of the published L1-L5 values; see docs/risk.md.",
        }
    )

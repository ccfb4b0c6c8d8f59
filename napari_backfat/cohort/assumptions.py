"""What the simulated cohorts assume, with a grade for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from napari_backfat.cohort.simulate import (
    AGE_EFFECT,
    CONDITION_AGE,
    FAT_FRACTION_AGE,
    SITE_SD,
    SITES,
    VOLUME_AGE,
    truth,
)
from napari_backfat.model.risk_results import Grade

_STUDY = "Ziegelmayer 2025, doi:10.1016/j.lanepe.2025.101323"
_CRAWFORD = "Crawford 2016, doi:10.3174/ajnr.A4596"
_DALLAWAY = "Dallaway 2020, Exp Gerontol 110856 (ageing and muscle fat, r = 0.39)"
_JUDGEMENT = "no data"


@dataclass(frozen=True)
class Assumption:
    """One assumption: what, how, how well supported, where from."""

    what: str
    value: str
    grade: Grade
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "what": self.what,
            "value": self.value,
            "grade": self.grade.value,
            "source": self.source,
        }


def assumptions() -> tuple[Assumption, ...]:
    """Return every assumption of `simulate.simulate`, the solved ones with their numbers."""
    solved = truth().coefficients
    woman = solved["C(sex, contr.treatment('male'))[T.female]"]
    low = solved["C(activity, contr.treatment('moderate'))[T.low]"]
    high = solved["C(activity, contr.treatment('moderate'))[T.high]"]
    return tuple(
        Assumption(*row)
        for row in (
            ("size, women and men", "27,518: 12,193 and 15,325", Grade.PUBLISHED, _STUDY),
            ("activity groups", "10,892 / 12,826 / 3,800", Grade.PUBLISHED, _STUDY),
            ("activity and sex, age, muscles", "independent", Grade.ASSUMED, _JUDGEMENT),
            (
                "age",
                "truncated normal, 19 to 74 years, fitted to the quartiles 41 / 49 / 57; completed "
                "years; the same in both sexes",
                Grade.DERIVED,
                _STUDY,
            ),
            (
                "diagnoses",
                "NAKO prevalences by sex (docs/risk.md)",
                Grade.BORROWED,
                "Jaeschke 2020, doi:10.1007/s00103-020-03108-9; Schmidt 2020, "
                "doi:10.1007/s00103-020-03110-1",
            ),
            (
                "diagnoses and age",
                f"odds x {math.exp(CONDITION_AGE):.2f} per year; else independent of one another",
                Grade.ASSUMED,
                _JUDGEMENT,
            ),
            (
                "muscle volume",
                "normal, 565.4 +/- 83.8 ml (women), 811.6 +/- 98.9 ml (men), at least 150 ml",
                Grade.BORROWED,
                _CRAWFORD,
            ),
            (
                "fat fraction",
                "log-normal, 17.8 +/- 10.7 % (women), 14.7 +/- 7.8 % (men), cut to 1 to 90 %",
                Grade.BORROWED,
                f"{_CRAWFORD}; the shape is assumed",
            ),
            (
                "fat and lean volume",
                "volume x fat fraction, and the rest; volume and fat fraction independent given "
                "age and sex",
                Grade.ASSUMED,
                _JUDGEMENT,
            ),
            (
                "fat fraction and age",
                f"correlation {FAT_FRACTION_AGE:g} of the underlying normal variables",
                Grade.BORROWED,
                _DALLAWAY,
            ),
            ("muscle volume and age", f"correlation {VOLUME_AGE:g}", Grade.BORROWED, _CRAWFORD),
            (
                "Z scores of the effects",
                "over all people, both sexes together",
                Grade.ASSUMED,
                "the study's way is not known",
            ),
            ("fat volume", "odds ratio 1.22 per 2 SD", Grade.PUBLISHED, _STUDY),
            ("lean volume", "odds ratio 0.87 per 2 SD", Grade.PUBLISHED, _STUDY),
            (
                "age effect",
                f"odds ratio {math.exp(AGE_EFFECT):.3f} per year, straight",
                Grade.BORROWED,
                "EHIS Spain 2020, doi:10.3390/biomedicines11082175",
            ),
            (
                "diagnoses' effects",
                "1.35 / 1.32 / 2.55 / 1.8 (docs/risk.md)",
                Grade.BORROWED,
                "as in the shipped hybrid model",
            ),
            (
                "activity and sex effects",
                f"odds ratios low {math.exp(low):.3f}, high {math.exp(high):.3f}, woman "
                f"{math.exp(woman):.3f}: solved so that 24.6 / 19.4 / 22.0 % of the groups and "
                "24.6 % of women have the outcome",
                Grade.DERIVED,
                _STUDY,
            ),
            (
                "sites",
                f"{SITES} of equal expected size, normal effects with SD {SITE_SD:g}; independent "
                "of everything else",
                Grade.ASSUMED,
                "number of NAKO study centres from general knowledge, the rest without data",
            ),
            ("form", "logistic, no interactions, no unmeasured causes", Grade.ASSUMED, _JUDGEMENT),
            ("missing cells", "completely at random", Grade.ASSUMED, _JUDGEMENT),
        )
    )

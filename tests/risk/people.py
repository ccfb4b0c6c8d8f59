"""People and measurements for the tests; plain numbers, no code under test beyond the records."""

from __future__ import annotations

from typing import Any

from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.patient import Patient
from napari_backfat.risk.features import Coverage, Features

NO_DIAGNOSES = {
    "diabetes": False,
    "dyslipidaemia": False,
    "osteoporosis": False,
    "osteoarthritis": False,
}
# Crawford 2016, L1-L5, as printed: volume (ml) mean, SD; fat signal fraction mean, SD
CRAWFORD = {"female": (565.4, 83.8, 0.178, 0.107), "male": (811.6, 98.9, 0.147, 0.078)}


def person(**fields: Any) -> Patient:
    known = {"age_years": 50, "sex": "female", "met_min_per_week": 2000.0} | NO_DIAGNOSES
    return Patient.parse(known | fields)


def norms(sex: str) -> dict[str, tuple[float, float]]:
    """Mean and SD (ml) of fat = V F and lean = V (1 - F), V and F uncorrelated, by hand."""
    v, sv, f, sf = CRAWFORD[sex]

    def sd(share: float) -> float:
        return ((v * sf) ** 2 + (share * sv) ** 2 + (sv * sf) ** 2) ** 0.5

    return {"fat": (v * f, sd(f)), "lean": (v * (1 - f), sd(1 - f))}


def muscles_at(z_fat: float, z_lean: float, sex: str = "female", **changes: Any) -> Features:
    """A measurement of L1-L5 with exactly these Z scores."""
    (fat_mean, fat_sd), (lean_mean, lean_sd) = norms(sex)["fat"], norms(sex)["lean"]
    fat, lean = fat_mean + z_fat * fat_sd, lean_mean + z_lean * lean_sd
    return features(fat, lean, **changes)


def features(true_fat_ml: float, true_lean_ml: float, **changes: Any) -> Features:
    muscle = true_fat_ml + true_lean_ml
    fields: dict[str, Any] = {
        "muscle_ml": muscle,
        # Deliberately unlike the weighted volumes: thresholded volumes must not reach the Z score.
        "lean_ml": 0.9 * muscle,
        "fat_ml": 0.1 * muscle,
        "mean_fat_fraction": true_fat_ml / muscle,
        "coverage": Coverage(17.5, "L1", "L5"),
        "fat_map": FatMapKind.FAT_FRACTION,
    }
    return Features(**(fields | changes))

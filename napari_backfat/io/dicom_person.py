"""Age, sex and size in a DICOM header: offered to the patient form, never stored with the image."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from napari_backfat.io.dicom_value import value_of
from napari_backfat.model.person import Person

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNIT_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def person_of(dataset: Dataset) -> Person:
    """Read what a header says about the person; names, numbers and birth date are not kept.

    The age is Patient's Age, else the time from the birth date to the study date.
    """
    sex = str(value_of(dataset, "PatientSex") or "").strip().upper()
    height = _positive(dataset, "PatientSize", 0.3, 2.6)
    return Person(
        age_years=_age(dataset),
        sex=sex if sex in ("F", "M", "O") else None,
        height_cm=None if height is None else round(100 * height, 1),
        weight_kg=_positive(dataset, "PatientWeight", 2, 400),
    )


def _age(dataset: Dataset) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", str(value_of(dataset, "PatientAge") or "").strip())
    if match:
        years = int(match[1]) * _UNIT_YEARS[match[2]]
    else:
        try:
            born, seen = (
                datetime.strptime(str(value_of(dataset, word) or "").strip(), "%Y%m%d")
                for word in ("PatientBirthDate", "StudyDate")
            )
        except ValueError:
            return None
        years = (seen - born).days // 365.25
    return years if 0 < years < 125 else None


def _positive(dataset: Dataset, keyword: str, low: float, high: float) -> float | None:
    try:
        value = float(value_of(dataset, keyword) or 0)
    except (TypeError, ValueError):
        return None
    return value if low <= value <= high else None

"""What the header of an image says about the person who was scanned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Age, sex and size in a header: offered to the patient form, never stored with the image.

    Attributes
    ----------
    age_years : float or None
        Age at the examination.
    sex : str or None
        "F", "M" or "O", as DICOM has it.
    height_cm, weight_kg : float or None
        Size.
    """

    age_years: float | None = None
    sex: str | None = None
    height_cm: float | None = None
    weight_kg: float | None = None

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

    @property
    def text(self) -> str:
        """What is known, for display; empty if nothing is."""
        sex = {"F": "female", "M": "male", "O": "sex other"}
        parts = (
            None if self.age_years is None else f"{self.age_years:.3g} y",
            sex.get(self.sex or ""),
            None if self.height_cm is None else f"{self.height_cm:.4g} cm",
            None if self.weight_kg is None else f"{self.weight_kg:.4g} kg",
        )
        return ", ".join(part for part in parts if part)

    @property
    def entries(self) -> dict[str, float | str]:
        """What is known, as fields of `Patient`; "O" is none of its sexes and left out."""
        sex = {"F": "female", "M": "male"}.get(self.sex or "")
        fields = {
            "age_years": self.age_years, "sex": sex,
            "height_cm": self.height_cm, "weight_kg": self.weight_kg,
        }  # fmt: skip
        return {name: value for name, value in fields.items() if value is not None}

"""Names, abbreviations, colours and codes of the labels: one table for every format.

SNOMED CT codes: erector spinae muscle as in DICOM PS3.16 CID 7151 (through pydicom's dictionary);
multifidus muscles and quadratus lumborum muscle as in the FHIR value set "SNOMED CT Body
Structures"; psoas muscle as cross-referenced by UBERON:0008450. No code for the psoas major alone
could be verified in a public source, so the muscle's parent is used and the segment's name says
which part it is. Deep muscle of back and iliopsoas, for models that outline several muscles as one:
as in TotalSegmentator's table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.io.labels import MUSCLEMAP_IDS
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, Tissue, TissueCode
from napari_backfat.model.colors import muscle_rgb, tissue_rgba
from napari_backfat.model.combined import AUTOCHTHON, COMBINED, ILIOPSOAS

if TYPE_CHECKING:
    from napari_backfat.model.results import Measurement

_SNOMED = {
    MuscleGroup.MULTIFIDUS: ("5709001", "Multifidus muscles"),
    MuscleGroup.ERECTOR_SPINAE: ("44947003", "Erector spinae muscle"),
    MuscleGroup.PSOAS_MAJOR: ("276167002", "Psoas muscle"),
    MuscleGroup.QUADRATUS_LUMBORUM: ("6001004", "Quadratus lumborum muscle"),
}
_COMBINED = {
    AUTOCHTHON.key: ("Erector spinae and multifidus", "244849004", "Deep muscle of back"),
    ILIOPSOAS.key: ("Iliopsoas", "68455001", "Iliopsoas muscle"),
}
_SIDES = {Side.LEFT: ("7771000", "Left"), Side.RIGHT: ("24028007", "Right")}
_SHORT = {
    MuscleGroup.MULTIFIDUS: "MF",
    MuscleGroup.ERECTOR_SPINAE: "ES",
    MuscleGroup.PSOAS_MAJOR: "PM",
    MuscleGroup.QUADRATUS_LUMBORUM: "QL",
}
TISSUE_SNOMED = {
    Tissue.LEAN: ("127954009", "Skeletal muscle"),
    Tissue.FAT: ("55603005", "Fat"),
}
"""Codes of the two tissues (PS3.16 CID 7151, CID 7191)."""

MUSCLEMAP_OF: dict[Muscle, int] = {muscle: number for number, muscle in MUSCLEMAP_IDS.items()}
"""MuscleMap's number of each muscle."""


@dataclass(frozen=True)
class Label:
    """One label of a mask.

    Attributes
    ----------
    index : int
        Number in the mask.
    name : str
        For people: "Multifidus left".
    abbreviation : str
        "MF_L".
    snomed, meaning : str
        SNOMED CT concept and its term.
    side_snomed, side : str
        Code and word of the side; empty for tissues.
    rgb : tuple of float
        Colour as in the program, 0..1.
    """

    index: int
    name: str
    abbreviation: str
    snomed: str
    meaning: str
    side_snomed: str
    side: str
    rgb: tuple[float, float, float]

    @property
    def color(self) -> str:
        """The colour as #RRGGBB."""
        return "#" + "".join(f"{round(255 * c):02X}" for c in self.rgb)


def muscle_labels(measurement: Measurement) -> tuple[Label, ...]:
    """Return the labels of the eight muscles; what holds several muscles is named so."""
    titles = measurement.combined_titles
    shared = {
        muscle: key
        for key in measurement.combined
        if key in COMBINED
        for muscle in titles
        if muscle.group is COMBINED[key].label
    }
    return tuple(muscle_label(m, shared.get(m, "")) for m in MUSCLES)


def muscle_label(muscle: Muscle, combined: str = "") -> Label:
    """Return the label of a muscle, or of a class of several muscles that carries its number.

    Parameters
    ----------
    muscle : Muscle
        The number.
    combined : str, optional
        Key of `model.combined.COMBINED`.
    """
    code, meaning = _SNOMED[muscle.group]
    word = muscle.group.value.capitalize()
    if combined in _COMBINED:
        word, code, meaning = _COMBINED[combined]
    side_code, side = _SIDES[muscle.side]
    return Label(
        index=int(muscle),
        name=f"{word} {muscle.side.value}",
        abbreviation=f"{_SHORT[muscle.group]}_{side[0]}",
        snomed=code,
        meaning=meaning,
        side_snomed=side_code,
        side=side,
        rgb=muscle_rgb(muscle),
    )


def tissue_label(tissue: Tissue) -> Label:
    """Return the label of a tissue inside the muscles."""
    code, meaning = TISSUE_SNOMED[tissue]
    word = tissue.name.lower()
    red, green, blue, _ = tissue_rgba(TissueCode(int(tissue)))
    return Label(
        index=int(tissue),
        name=f"{word.capitalize()} tissue inside the muscles",
        abbreviation=word.upper(),
        snomed=code,
        meaning=meaning,
        side_snomed="",
        side="",
        rgb=(red, green, blue),
    )

"""Codes, algorithm and equipment as DICOM exports state them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom.content import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from napari_backfat import __version__

if TYPE_CHECKING:
    from napari_backfat.export.content import Content
    from napari_backfat.export.label_table import Label

MANUFACTURER = "napari-backfat"
MODEL = "napari-backfat"
SERIAL = __version__
DEVICE_UID = UID("2.25.272792637167235111575574911447575717676")
"""Names the program as an observer: name-based UUID (version 5) of https://napari-backfat."""

SCHEME = "99BACKFAT"
"""Private coding scheme, for what no public one was found for."""

ANATOMY = CodedConcept("123037004", "SCT", "Anatomical Structure")
TISSUE = CodedConcept("85756007", "SCT", "Tissue")
VOLUME = codes.SCT.Volume
FAT_FRACTION = codes.DCM.FatFraction
LEAN_VOLUME = CodedConcept("lean_volume", SCHEME, "Volume of lean tissue in the muscle")
FAT_VOLUME = CodedConcept("fat_volume", SCHEME, "Volume of fat in the muscle")
FAT_SHARE = CodedConcept("fat_share", SCHEME, "Fat volume as share of lean and fat volume")
MAX_CSA = CodedConcept("max_csa", SCHEME, "Largest area in one slice plane")
CUT = CodedConcept("cut_by_fov", SCHEME, "Muscle is cut by the field of view")
ML = CodedConcept("mL", "UCUM", "mL")
CM2 = CodedConcept("cm2", "UCUM", "cm2")
PERCENT = CodedConcept("%", "UCUM", "Percent")
MEAN = codes.SCT.Mean
NO_AI = "mask made elsewhere"
"""Name of the algorithm where the muscles were read from a file."""
YES = CodedConcept("373066001", "SCT", "Yes")
VOXEL_SUM = codes.DCM.SumOfSegmentedVoxelMethodForVolume


def type_code(label: Label) -> CodedConcept:
    """Return what a segment is, without its side."""
    return CodedConcept(label.snomed, "SCT", label.meaning)


def side_code(label: Label) -> CodedConcept:
    """Return the side of a muscle."""
    return CodedConcept(label.side_snomed, "SCT", label.side)


def fat_method(content: Content) -> CodedConcept:
    """Return how fat and lean were told apart: the kind of map as code, the method in words."""
    words = content.fat_map.method or content.fat_map.kind.value
    return CodedConcept(content.fat_map.kind.name.lower()[:16], SCHEME, words[:64])


def person_name(name: str) -> str | None:
    """Return a name as DICOM writes it ("Family^Given"), None if there is none.

    "Jane Doe" cannot be told from "Doe Jane", so a name without carets is kept as one component.
    """
    plain = " ".join(name.split())
    if not plain:
        return None
    return plain[:64] if "^" in plain else f"{plain[:63]}^"


def algorithm_type(content: Content) -> str:
    """Return AUTOMATIC, SEMIAUTOMATIC after a correction or for a mask from a file, or MANUAL."""
    if content.ai is None:
        return "MANUAL" if content.provenance.get("edits") else "SEMIAUTOMATIC"
    return "SEMIAUTOMATIC" if content.corrected else "AUTOMATIC"


def algorithm_parameters(content: Content) -> dict[str, str]:
    """Return what pins the masks down."""
    ai = content.ai or {}
    return {
        "weights_sha256": str(ai.get("weights_sha256", "none")),
        "fat_threshold": f"{content.measurement.threshold:g}",
        "corrected_by_a_person": "yes" if content.corrected else "no",
    }


def algorithm(content: Content) -> AlgorithmIdentificationSequence:
    """Return the model that segmented, its version and the hash of its weights."""
    ai = content.ai or {}
    weights = str(ai.get("weights_sha256", ""))
    return AlgorithmIdentificationSequence(
        name=str(ai.get("backend", NO_AI))[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=f"{content.program} weights {weights[:16]}"[:64],
        source=MANUFACTURER,
        parameters=algorithm_parameters(content),
    )

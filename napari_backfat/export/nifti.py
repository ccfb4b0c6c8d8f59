"""NIfTI masks with a label table and a sidecar, in this program's numbers or in MuscleMap's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.export.label_table import MUSCLEMAP_OF, Label, muscle_labels, tissue_label
from napari_backfat.io.labels import stream_labels
from napari_backfat.io.tables import csv_bytes, json_bytes
from napari_backfat.measure.table import tidy_rows
from napari_backfat.model.anatomy import MUSCLES, Muscle, Tissue, TissueCode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.export.content import Content
    from napari_backfat.export.options import Options
    from napari_backfat.export.staging import Section

TISSUE_LABELS: tuple[Label, ...] = (tissue_label(Tissue.LEAN), tissue_label(Tissue.FAT))


def export_nifti(content: Content, options: Options, staging: Section) -> None:
    """Write ``muscles``, ``tissue`` and the measurements.

    Files: ``muscles.nii.gz`` (1 to 8) and ``tissue.nii.gz`` (1 lean, 2 fat) with array order and
    affine of the image's file, a ``.json`` and a ``.tsv`` beside each, ``measurements.csv``.
    """
    for name, array, labels in masks_of(content):
        write_mask(content, staging, name, array, labels, sidecar(content, options, name))
    staging.write("measurements.csv", measurements_csv(content))


def export_musclemap(content: Content, options: Options, staging: Section) -> None:
    """Write the muscles with MuscleMap's label numbers (5101 to 5132), uint16."""
    table = np.zeros(len(Muscle), np.uint16)
    for muscle, number in MUSCLEMAP_OF.items():
        table[muscle] = number
    labels = tuple(
        Label(MUSCLEMAP_OF[m], la.name, la.abbreviation, la.snomed, la.meaning, la.side_snomed,
              la.side, la.rgb)
        for m, la in zip(MUSCLES, muscle_labels(content.measurement), strict=True)
    )  # fmt: skip
    record = sidecar(content, options, "muscles")
    record["LabelNumbers"] = "MuscleMap (github.com/MuscleMap/MuscleMap)"
    write_mask(content, staging, "musclemap_dseg", table[content.muscle], labels, record)


def masks_of(content: Content) -> tuple[tuple[str, NDArray[np.uint8], tuple[Label, ...]], ...]:
    """Return name, array (Z, Y, X) and labels of the two masks."""
    tissue_ids = np.array([code.tissue for code in TissueCode], dtype=np.uint8)
    return (
        ("muscles", content.muscle, muscle_labels(content.measurement)),
        ("tissue", tissue_ids[content.tissue], TISSUE_LABELS),
    )


def write_mask(
    content: Content,
    staging: Section,
    stem: str,
    array: NDArray[np.uint8] | NDArray[np.uint16],
    labels: tuple[Label, ...],
    record: dict[str, Any],
) -> None:
    """Stage a mask (Z, Y, X) with its sidecar and its label table, on the image's own grid."""
    grid = content.scan.reference.file_grid
    staging.write(f"{stem}.nii.gz", functools.partial(_stream, array, grid))
    named = {str(label.index): label.name for label in labels}
    staging.write(f"{stem}.json", json_bytes({**record, "Labels": {"0": "Background", **named}}))
    staging.write(f"{stem}.tsv", label_tsv(labels))


def _stream(array: Any, grid: Any, stream: Any) -> None:
    stream_labels(stream, array, grid)


def label_tsv(labels: tuple[Label, ...]) -> bytes:
    """Return a BIDS label table: index, name, abbreviation, color, and the codes."""
    rows = ["index\tname\tabbreviation\tcolor\tsnomed_ct\tsnomed_ct_laterality"]
    rows.append("0\tBackground\tBG\t#000000\tn/a\tn/a")
    rows += [
        f"{la.index}\t{la.name}\t{la.abbreviation}\t{la.color}\t{la.snomed}\t"
        f"{la.side_snomed or 'n/a'}"
        for la in labels
    ]
    return ("\n".join(rows) + "\n").encode()


def measurements_csv(content: Content) -> bytes:
    """Return the tidy table: one row per muscle, side and measure."""
    return csv_bytes(
        tidy_rows(
            content.measurement,
            content.ai_measurement,
            content.corrected_means,
            content.known_ai_corrected,
        )
    )


def sidecar(content: Content, options: Options, name: str) -> dict[str, Any]:
    """Return what a mask's JSON says; no paths and nothing about the person unless asked."""
    what = {
        "muscles": "Paraspinal muscles, each side; left is the patient's left",
        "tissue": "Lean and fat voxels inside the paraspinal muscles",
    }[name]
    ai = content.ai or {}
    record: dict[str, Any] = {
        "Description": what,
        "Manual": content.ai is None or content.corrected,
        "Space": "voxels and affine of the source image; NIfTI world axes RAS+, millimetres",
        "GeneratedBy": content.program,
        "SegmentationModel": ai.get("backend"),
        "SegmentationWeightsSHA256": ai.get("weights_sha256"),
        "CorrectedByAPerson": content.corrected,
        "SourceImagesSHA256": [v.source.sha256 for v in content.scan.images],
        "Contrasts": [v.contrast.value for v in content.scan.images],
        "ResearchUseOnly": True,
    }
    notes = dict.fromkeys(content.measurement.combined_notes.values())
    if notes:
        record["Notes"] = list(notes)
    if name == "tissue":
        record["FatMethod"] = content.fat_map.method
        record["FatMapKind"] = content.fat_map.kind.value
        record["FatThreshold"] = content.measurement.threshold
        record["PaintedByHandMl"] = content.by_hand_ml
    if options.with_identifiers:
        record["SourceImages"] = [v.source.path for v in content.scan.images]
    if options.reader:
        record["Reader"] = options.reader
    return record

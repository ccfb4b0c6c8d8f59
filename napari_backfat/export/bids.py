"""A BIDS derivatives dataset (BIDS 1.10: discrete segmentations, label tables, provenance)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat import __version__
from napari_backfat.export.nifti import masks_of, measurements_csv, sidecar, write_mask
from napari_backfat.io.tables import RECORD, json_bytes, read_json
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.export.content import Content
    from napari_backfat.export.options import Options
    from napari_backfat.export.staging import Section

_BIDS_VERSION = "1.10.0"
_README = """# Paraspinal muscles

Masks made with napari-backfat, as BIDS derivatives. Research use only.

- `*_desc-muscles_dseg.nii.gz`: 1 to 8, the muscles of each side; names in the `.tsv` beside it.
- `*_desc-tissue_dseg.nii.gz`: 1 lean, 2 fat, inside the muscles.
- `*_desc-muscles_measurements.csv`: volumes, areas and fat, one row per muscle, side and measure.

Masks have the voxels and the affine of the image they were drawn on (`space-orig`); nothing was
resampled, so there is no `res` entity. Images are named by the SHA-256 of their files only.
"""


def export_bids(content: Content, options: Options, staging: Section) -> None:
    """Write one subject; a dataset that is there already grows by it.

    Files: ``dataset_description.json``, ``README.md``, ``.bidsignore`` (once), and below
    ``sub-LABEL/anat`` the two masks with sidecar and label table, and the measurements.
    """
    _write_once(staging, content)
    subject = f"sub-{options.subject or content.case_id}"
    for name, array, labels in masks_of(content):
        record = sidecar(content, options, name)
        record["SpatialReference"] = "orig"
        record["snomed_ct"] = {"Description": "SNOMED CT concept of the structure"}
        record["snomed_ct_laterality"] = {"Description": "SNOMED CT concept of its side"}
        stem = f"{subject}/anat/{subject}_space-orig_desc-{name}_dseg"
        write_mask(content, staging, stem, array, labels, record)
    staging.write(
        f"{subject}/anat/{subject}_space-orig_desc-muscles_measurements.csv",
        measurements_csv(content),
    )


def _write_once(staging: Section, content: Content) -> None:
    description = staging.folder / "dataset_description.json"
    if description.exists():
        known = read_json(description, RECORD)
        makers = known.get("GeneratedBy") or [{}]
        if known.get("DatasetType") != "derivative" or not any(
            isinstance(m, dict) and m.get("Name") == "napari-backfat" for m in makers
        ):
            raise BackfatError(
                f"{staging.folder} is another BIDS dataset; choose an empty folder, or one that "
                "holds derivatives of this program."
            )
        return
    record: dict[str, Any] = {
        "Name": "Paraspinal muscle masks",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "napari-backfat",
                "Version": __version__,
                "Description": "Segmentation and measurement of paraspinal muscles",
            }
        ],
    }
    staging.write("dataset_description.json", json_bytes(record))
    if not staging.has("README.md"):
        staging.write("README.md", _README.encode())
    if not staging.has(".bidsignore"):
        staging.write(".bidsignore", b"*_measurements.csv\n")

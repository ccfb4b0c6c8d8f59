"""What the person asked for when exporting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Choices of an export.

    Attributes
    ----------
    with_identifiers : bool
        Whether paths of the images and what the DICOM header says about the person go into files
        that would not hold them otherwise.
    de_identify : bool
        DICOM only: new UIDs and no patient data, with a copy of the source series treated alike.
    key : str
        Secret words from which the new UIDs are made; the same words give the same UIDs in every
        export. Empty: new ones each time.
    subject : str
        BIDS subject label; empty: made of the images' hashes.
    reader : str
        Name of the person who answers for the masks; empty: not named.
    labelmap : bool
        DICOM SEG as LABELMAP (smaller, not yet read everywhere) instead of BINARY.
    dicom : Path or None
        DICOM series the scan was converted from, for a case that was opened from NIfTI.
    overwrite : bool
        Whether existing files are replaced.
    """

    with_identifiers: bool = False
    de_identify: bool = False
    key: str = field(default="", repr=False)
    subject: str = ""
    reader: str = ""
    labelmap: bool = False
    dicom: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.with_identifiers and self.de_identify:
            raise BackfatError(
                "Choose one: export with identifiers, or de-identify (both were asked for)."
            )
        if self.subject and not self.subject.isalnum():
            raise BackfatError(
                f"'{self.subject}' cannot be a BIDS subject; use letters and digits only."
            )

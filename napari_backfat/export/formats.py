"""Every format a case can be exported to: one table, one function that does it all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.export.bids import export_bids
from napari_backfat.export.nifti import export_musclemap, export_nifti
from napari_backfat.export.staging import Section, Staging

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_backfat.export.content import Content
    from napari_backfat.export.options import Options


@dataclass(frozen=True)
class Format:
    """One way out.

    Attributes
    ----------
    description : str
        For menus and help.
    write : callable
        Stages the files of a `Content` with `Options`; raises `BackfatError`.
    needs_dicom : bool
        Whether the source must be a DICOM series.
    """

    description: str
    write: Callable[[Content, Options, Section], None]
    needs_dicom: bool = False


def _seg(content: Content, options: Options, staging: Section) -> None:
    from napari_backfat.export.dicom import export_seg  # highdicom is loaded when it is needed

    export_seg(content, options, staging)


def _sr(content: Content, options: Options, staging: Section) -> None:
    from napari_backfat.export.dicom import export_sr

    export_sr(content, options, staging)


FORMATS: dict[str, Format] = {
    "seg": Format("DICOM segmentation (SEG)", _seg, needs_dicom=True),
    "sr": Format("DICOM measurement report (SR), with the segmentation", _sr, needs_dicom=True),
    "nifti": Format("NIfTI masks with label table", export_nifti),
    "bids": Format("BIDS derivatives dataset", export_bids),
    "musclemap": Format("NIfTI with MuscleMap label numbers", export_musclemap),
}
"""Every format by its short name."""


def export(
    content: Content, formats: Sequence[str], folder: str | Path, options: Options
) -> tuple[Path, ...]:
    """Export a case.

    Parameters
    ----------
    content : Content
        The case at one moment.
    formats : sequence of str
        Names from `FORMATS`.
    folder : str or Path
        Where the files go; made if absent. Several formats get a folder each.
    options : Options
        The person's choices.

    Returns
    -------
    tuple of Path
        The files. After a failure there is none of them, and what stood there before is unchanged.

    Raises
    ------
    BackfatError
        If something cannot be exported or written.
    """
    wanted = list(dict.fromkeys(formats))
    if "sr" in wanted and "seg" in wanted:
        wanted.remove("seg")  # a report brings its segmentation along
    with Staging(folder, overwrite=options.overwrite) as staging:
        for name in wanted:
            section = staging.section(name if len(wanted) > 1 else "")
            FORMATS[name].write(content, options, section)
    return staging.paths

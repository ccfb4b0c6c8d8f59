"""The open case against an earlier scan of the same person, from that case's saved tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.table_schema import read_table
from napari_backfat.measure.compare import Comparison, Side, compare
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.tables import table_job

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.io.table_schema import TableDocument
    from napari_backfat.review.tables import TableRequest

_TABLE = "tables.json"
_LEVEL = "level"


@dataclass(frozen=True, eq=False)
class EarlierScan:
    """What changed since an earlier scan.

    Attributes
    ----------
    comparison : Comparison
        Every change of every level that both scans hold completely.
    labels : dict of str to str
        What each measure is called, by its key.
    meanings : dict of str to str
        What each measure is, by its key.
    folder : Path
        Case folder of the earlier scan.
    """

    comparison: Comparison
    labels: dict[str, str]
    meanings: dict[str, str]
    folder: Path


def side_of(document: TableDocument) -> Side:
    """Return one side of a comparison from its table document."""
    return Side(
        by=document.by,
        slab_mm=document.slab_mm,
        method=document.method.model_dump(),
        levels=document.levels.model_dump() if document.levels else None,
        spacing_mm=document.scan.spacing_mm,
        rows=[row.model_dump() for row in document.rows],
    )


def earlier_job(
    request: TableRequest, folder: str | Path
) -> Generator[Progress, None, EarlierScan]:
    """Compare a case, level by level, with the saved case of an earlier scan.

    Parameters
    ----------
    request : TableRequest
        Copy of the case, for a table by level.
    folder : str or Path
        Case folder of the earlier scan.

    Returns
    -------
    EarlierScan

    Raises
    ------
    BackfatError
        If the folder holds no table by level, is of the same scan, or the two do not compare; see
        `measure.compare.compare`.
    """
    yield Progress(0.0, "Reading the earlier scan")
    earlier = _read(Path(folder))
    if set(earlier.scan.images_sha256) & set(request.images):
        raise BackfatError(
            f"{folder} is a case of the scan that is open; choose the case of the earlier one."
        )
    later = yield from table_job(request)
    return EarlierScan(
        compare(side_of(earlier), side_of(later)),
        {measure.key: measure.label for measure in later.measures},
        {measure.key: measure.meaning for measure in later.measures},
        Path(folder),
    )


def _read(folder: Path) -> TableDocument:
    path = folder / _TABLE
    if not path.is_file():
        raise BackfatError(
            f"{folder} holds no {_TABLE}; choose the case folder of the earlier scan, saved by "
            "this program."
        )
    document = read_table(path)
    if document.by != _LEVEL:
        raise BackfatError(
            f"The case in {folder} was saved without vertebral levels; open it, place its disc "
            "lines, confirm their names and save it again."
        )
    return document

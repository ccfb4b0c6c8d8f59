"""A save with the tables for other programs beside the case's own files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.table_schema import table_json
from napari_backfat.io.tables import csv_bytes
from napari_backfat.io.workbook import workbook_bytes
from napari_backfat.measure.by_level import RegionKind
from napari_backfat.measure.table import tidy_rows
from napari_backfat.model.errors import BackfatError
from napari_backfat.review.tables import table_job, table_request
from napari_backfat.separate.corrected_scan import corrected_job

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_backfat.io.session import CaseFiles
    from napari_backfat.model.case import AiResult
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.results import CorrectedMuscles
    from napari_backfat.model.volume import Scan
    from napari_backfat.review.session import ReviewSession
    from napari_backfat.review.tables import TableRequest

TABLES = ("tables.csv", "tables.xlsx", "tables.json")
_log = logging.getLogger(__name__)


def full_save_job(
    session: ReviewSession, folder: str | Path
) -> Generator[Progress, None, tuple[str, int]]:
    """Save a case with its tables; what is saved is copied now, on the calling thread.

    The rows are those of the vertebral levels inside the scan, or of the whole scan where there
    are none. Tables are made for other programs and can be made again: if that fails, the case is
    saved without them.

    Parameters
    ----------
    session : ReviewSession
        With an open case.
    folder : str or Path
        Case folder.

    Returns
    -------
    Generator
        Ends with what `ReviewSession.accept_saved` takes.
    """
    snapshot = session.snapshot()
    case, files = session.case, snapshot[0]
    assert case is not None
    wanted = [RegionKind.LEVEL] * (case.vertebrae is not None) + [RegionKind.WHOLE]
    copies = files.muscles, files.tissue
    keeper = session.corrected
    assert keeper is not None
    means = keeper.means  # None where the masks are newer
    requests = [table_request(case, by, copies=copies, means=means) for by in wanted]
    known = case.corrected if means is not None else None
    return _save(session, folder, snapshot, requests, _Numbers(case.ai, known, case.ai_corrected))


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What is known of the corrected means when a save begins."""

    ai: AiResult | None
    corrected: CorrectedMuscles | None
    ai_corrected: CorrectedMuscles | None


def _save(
    session: ReviewSession,
    folder: str | Path,
    snapshot: tuple[CaseFiles, Scan, int],
    requests: list[TableRequest],
    known: _Numbers,
) -> Generator[Progress, None, tuple[str, int]]:
    files, scan, revision = snapshot
    made: dict[str, bytes] = {}
    try:
        files, requests = yield from _with_corrected(files, requests, known)
    except Exception as error:  # noqa: BLE001 - whatever it is, the case itself is saved
        _log.error("the corrected means could not be computed", exc_info=error)
    for request in requests:
        try:
            document = yield from table_job(request)
            rows = csv_bytes([row.model_dump() for row in document.rows])
            contents = rows, workbook_bytes(document), table_json(document)
        except BackfatError:  # no level lies within the scan
            continue
        # A workbook goes through a temporary file, and its format knows no year before 1980.
        except Exception as error:  # noqa: BLE001 - whatever it is, the case itself is saved
            _log.error("the tables could not be made", exc_info=error)
            continue
        made = dict(zip(TABLES, contents, strict=True))
        break
    return (yield from session.save_job(folder, (replace(files, tables=made), scan, revision)))


def _with_corrected(
    files: CaseFiles, requests: list[TableRequest], known: _Numbers
) -> Generator[Progress, None, tuple[CaseFiles, list[TableRequest]]]:
    """Compute what the rows of ``measurements.csv`` still lack, and hand it on to the tables."""
    first, ai = requests[0], known.ai
    now, before = known.corrected, known.ai_corrected
    if now is None:
        means, now = yield from corrected_job(first.scan, first.fat_map, first.muscle)
        requests = [replace(request, means=means) for request in requests]
    if ai is not None and before is None:
        if np.array_equal(ai.muscle, first.muscle):
            before = now
        else:
            before = (yield from corrected_job(first.scan, first.fat_map, ai.muscle))[1]
    rows = tidy_rows(first.measurement, ai.measurement if ai is not None else None, now, before)
    return replace(files, measurements=rows), requests

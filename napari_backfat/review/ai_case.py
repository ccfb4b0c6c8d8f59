"""The AI on one case of a worklist, from its images to a saved case, without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat.model.volume import Contrast
from napari_backfat.review.measurement_error import mask_error_job
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.review.session import ReviewSession

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_backfat.model.progress import Progress
    from napari_backfat.worklist.entry import Entry
    from napari_backfat.worklist.store import Worklist


def analyse_job(
    worklist: Worklist, entry: Entry, target: Path, backend: str, device: str
) -> Generator[Progress, None, None]:
    """Segment, measure and save one case of a worklist.

    Parameters
    ----------
    worklist : Worklist
        Says where the images are.
    entry : Entry
        The case.
    target : Path
        Case folder to write.
    backend : str
        Key of `segment.registry`.
    device : str
        "auto", "cpu", "cuda" or "mps".
    """
    session = ReviewSession()
    job: Generator[Progress, None, Any]
    if entry.case is not None:
        job = session.open_case_job(worklist.place(entry.case))
    else:
        roles = [Contrast(c) for c in entry.contrasts]
        job = session.load_job([worklist.place(i) for i in entry.images], roles)
    session.accept_loaded((yield from job))
    session.accept_segmentation((yield from session.segment_job(backend, device)))
    assert session.case is not None
    assert session.live is not None
    session.live.set_errors((yield from mask_error_job(session.case)))
    yield from full_save_job(session, target)

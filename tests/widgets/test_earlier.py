"""The open case against an earlier scan of the person, chosen in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.review.session import ReviewSession
from tests.phantom import make_case
from tests.widgets.conftest import wait_for, write_pair

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import Any

    from napari_backfat.widgets.earlier_window import EarlierWindow
    from tests.widgets.conftest import Bench

_LINES = VertebralLevels((-0.5, 1.5, 3.5), "L1")


def _end(job: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A saved case of other images, in which a slice of one muscle is missing."""
    (tmp_path / "images").mkdir()
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.1, noise=40.0, seed=5)
    session = ReviewSession()
    session.accept_loaded(_end(ReviewSession.load_job(write_pair(tmp_path / "images", made))))
    muscles = made.muscles.copy()
    muscles[2, muscles[2] == _muscle(made.muscles)] = 0
    session.accept_muscles(muscles)
    session.set_vertebrae(_LINES)
    _end(full_save_job(session, tmp_path / "earlier"))
    session.close()
    return tmp_path / "earlier"


def _muscle(muscles: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    return int(muscles[muscles > 0].min())


def _column(window: EarlierWindow, head: str) -> list[str]:
    heads = [window.table.horizontalHeaderItem(c).text() for c in range(window.table.columnCount())]
    column = heads.index(head)
    return [window.table.item(row, column).text() for row in range(window.table.rowCount())]


def test_changes_are_those_of_both_cases(
    bench: Bench, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review, desk = bench.review, bench.review.spine.earlier
    button = review.levels_panel.earlier
    assert button.isEnabled()
    button.click()
    assert "confirmed names first" in review.message.text()
    review.session.set_vertebrae(_LINES)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(earlier))
    button.click()
    wait_for(lambda: desk.window is not None, 60)
    window = desk.window
    assert window is not None
    assert review.message.text() == ""
    # The bench's muscles hold more fat, by 10 percentage points: beyond any error.
    assert window.measure.currentData() == "mean_fat_fraction"
    changes = [float(text) for text in _column(window, "Change")]
    assert changes
    assert all(abs(change - 10.0) < 1.5 for change in changes)
    assert set(_column(window, "Judgement")) == {"beyond error"}
    assert f"{len(changes)} of {len(changes)} changes" in window.summary.text()
    assert "1.5 percentage points" in window.source.text()

    window.measure.setCurrentIndex(window.measure.findData("volume"))
    muscle = _muscle(bench.made.muscles)
    missing = np.count_nonzero(bench.made.muscles[2] == muscle) * 4.0 * 2.0 * 2.0 / 1000
    grown = [float(t) for t in _column(window, "Change") if t not in ("0.00",)]
    assert grown
    assert all(abs(change - missing) < 0.006 for change in grown)
    assert len(grown) < window.table.rowCount()
    window.copy()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    lines = clipboard.text().split("\n")
    assert lines[0].startswith("Volume (ml): Level\tMuscle\tSide\tEarlier")
    assert len(lines) == window.table.rowCount() + 1
    assert window.outdated.isHidden()
    bench.case.masks.muscle[0, 1:3, 2:4] = 7
    bench.case.masks.sync()
    assert "numbers are from before that" in window.outdated.text()
    assert not window.outdated.isHidden()

    review.session.close()
    assert desk.window is None
    assert not button.isEnabled()


def test_what_cannot_be_compared_is_said(bench: Bench, earlier: Path, tmp_path: Path) -> None:
    review, desk = bench.review, bench.review.spine.earlier
    review.session.set_vertebrae(_LINES)

    def told(folder: Path) -> str:
        desk.compare(str(folder))
        wait_for(lambda: not review.jobs.busy and review.message.text() != "", 60)
        return review.message.text()

    assert "holds no tables.json" in told(tmp_path / "nothing")
    _end(full_save_job(review.session, tmp_path / "same"))
    assert "is a case of the scan that is open" in told(tmp_path / "same")
    review.session.set_vertebrae(VertebralLevels((-0.5, 1.5, 3.5), "L1", l6=True))
    assert "numbered differently" in told(earlier)
    table = earlier / "tables.json"
    table.write_text(table.read_text().replace('"by": "level"', '"by": "whole"'))
    assert "saved without vertebral levels" in told(earlier)
    assert desk.window is None

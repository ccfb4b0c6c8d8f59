"""The worklist panel: two cases read one after the other with keys, beside the review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_backfat.export.collect import is_done
from napari_backfat.io.session import open_case
from napari_backfat.widgets.case_table import COLORS
from napari_backfat.worklist.claims import claim_next
from napari_backfat.worklist.entry import ReadingState, State
from tests.phantom import make_case
from tests.widgets.conftest import Bench, list_of_pairs, settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.widgets.worklist_panel import WorklistPanel
    from napari_backfat.worklist.store import Worklist

COUNT = 3


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    return list_of_pairs(tmp_path, COUNT)


@pytest.fixture
def panel(window: tuple[Any, ReviewWidget]) -> Iterator[WorklistPanel]:
    review = window[1]
    review.case_panel.worklist.click()
    made = review.worklist
    assert made is not None
    review.case_panel.worklist.click()
    assert made is review.worklist  # one list, not two
    made.reader.setText("anna")
    yield made
    made.desk.close()


def cells(panel: WorklistPanel, column: int) -> list[str]:
    found = []
    for row in range(panel.table.rowCount()):
        item = panel.table.item(row, column)
        assert item is not None
        found.append(item.text())
    return found


def test_cases_are_read_one_after_the_other(
    window: tuple[Any, ReviewWidget], panel: WorklistPanel, worklist: Worklist
) -> None:
    viewer, review = window
    bench = Bench(viewer, review, make_case((5, 40, 64)))
    elsewhere = claim_next(worklist, "bert")  # another reader has the first case
    assert elsewhere is not None
    panel.open_worklist(str(worklist.folder))
    wait_for(lambda: panel.table.rowCount() == COUNT)
    assert cells(panel, 1) == ["in review", "new", "new"]
    shade = panel.table.item(0, 1)
    assert shade is not None
    assert shade.background().color().name().upper() == COLORS[State.IN_REVIEW][0]

    bench.click_button(panel.next_case)
    wait_for(lambda: panel.desk.held is not None)
    first = panel.desk.held
    assert first is not None
    assert first.entry_id != elsewhere.entry_id
    assert bench.case.folder == str(first.folder)
    wait_for(lambda: panel.desk.is_ahead)  # the third case is read meanwhile
    bench.key(Qt.Key.Key_6)
    bench.stroke((5, 10), (5, 16))
    painted = bench.case.masks.muscle.copy()
    assert painted.any()
    panel.note.setText("small")
    panel.desk.spend(5.0)
    bench.key(Qt.Key.Key_F2)
    wait_for(lambda: panel.desk.held is not None and panel.desk.held != first)
    entry = worklist.entry(first.entry_id)
    assert entry.state(1) is State.DONE
    assert entry.readings["anna"].note == "small"
    assert entry.readings["anna"].seconds >= 5.0
    saved = open_case(first.folder)
    assert is_done(saved)
    assert (saved.files.muscles == painted).all()
    assert panel.note.text() == ""

    second = panel.desk.held
    assert second is not None
    assert bench.case.folder == str(second.folder)
    bench.key(Qt.Key.Key_F3)
    assert worklist.entry(second.entry_id).state(1) is State.FLAGGED
    bench.key(Qt.Key.Key_F4)
    assert "nothing left" in panel.status.text()
    wait_for(lambda: sorted(cells(panel, 1)) == ["done", "flagged", "in review"])
    panel.filter.setCurrentIndex(panel.filter.findText("Flagged"))
    assert cells(panel, 1) == ["flagged"]
    panel.filter.setCurrentIndex(0)
    panel.mine.setChecked(True)
    assert len(cells(panel, 0)) == 2
    panel.search.setText("small")
    assert cells(panel, 5) == ["small"]


def test_an_empty_case_is_done_only_by_a_second_word(
    window: tuple[Any, ReviewWidget], panel: WorklistPanel, worklist: Worklist
) -> None:
    viewer, review = window
    bench = Bench(viewer, review, make_case((5, 40, 64)))
    panel.open_worklist(str(worklist.folder))
    bench.click_button(panel.next_case)
    wait_for(lambda: panel.desk.held is not None)
    held = panel.desk.held
    assert held is not None
    bench.answers.yes_to_all = False
    bench.key(Qt.Key.Key_F2)
    assert bench.answers.asked == ["Done, without any muscle?"]
    assert panel.desk.held is held
    assert worklist.entry(held.entry_id).readings["anna"].state is ReadingState.IN_REVIEW
    bench.answers.yes_to_all = True
    bench.key(Qt.Key.Key_F2)
    wait_for(lambda: worklist.entry(held.entry_id).state(1) is State.DONE)
    wait_for(lambda: panel.desk.held is not None and not review.jobs.busy)


def test_closing_a_case_leaves_it_for_later(
    window: tuple[Any, ReviewWidget], panel: WorklistPanel, worklist: Worklist
) -> None:
    _, review = window
    panel.open_worklist(str(worklist.folder))
    panel.open_next()
    wait_for(lambda: panel.desk.held is not None)
    held = panel.desk.held
    assert held is not None
    lease = worklist.entry(held.entry_id).readings["anna"].lease
    assert lease is not None
    assert lease.pid is not None
    review.session.close()
    settle()
    reading = worklist.entry(held.entry_id).readings["anna"]
    assert (reading.state, reading.lease) == (ReadingState.IN_REVIEW, None)
    # A case opened by hand is none of the list's.
    review.desk.open_scan([str(i) for i in held.images])
    wait_for(lambda: review.session.case is not None)
    assert panel.desk.held is None
    assert review.session.case is not None
    assert review.session.case.folder is None
    assert not panel.done.isEnabled()


def test_problems_are_sentences(panel: WorklistPanel, worklist: Worklist, tmp_path: Path) -> None:
    panel.open_worklist(str(tmp_path))
    assert "no worklist" in panel.status.text()
    panel.open_worklist(str(worklist.folder))
    panel.reader.setText("a/b")
    panel.open_next()
    assert "reader's name" in panel.status.text()
    panel.mark_done()
    assert "No case of the worklist is open" in panel.status.text()

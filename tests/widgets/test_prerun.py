"""The AI works through the queue in the background: progress, stop, failures, readers first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

from napari_backfat.io.session import open_case
from napari_backfat.model.progress import Progress
from napari_backfat.segment import backend as backends
from napari_backfat.worklist.claims import claim
from napari_backfat.worklist.entry import AiState
from tests.phantom import make_case
from tests.review.backends import LeanBox
from tests.widgets.conftest import Bench, list_of_pairs, wait_for

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.widgets.review_widget import ReviewWidget
    from napari_backfat.widgets.worklist_panel import WorklistPanel
    from napari_backfat.worklist.store import Worklist

COUNT = 3


class Patient(LeanBox):
    """Goes on only when it is let go, and says so all the time, as a network would."""

    gate = threading.Event()

    def run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        while not self.gate.is_set():
            yield Progress(0.1, "thinking")
            time.sleep(0.02)
        return (yield from super().run(scan, device))


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    return list_of_pairs(tmp_path, COUNT)


@pytest.fixture
def hands(window: tuple[Any, ReviewWidget], monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(backends.BACKENDS, "bundled", Patient)
    Patient.gate.set()
    viewer, review = window
    review.segment_panel.device.setCurrentText("cpu")
    return Bench(viewer, review, make_case((5, 40, 64)))


@pytest.fixture
def panel(hands: Bench, worklist: Worklist) -> Iterator[WorklistPanel]:
    hands.click_button(hands.review.case_panel.worklist)
    made = hands.review.worklist
    assert made is not None
    made.reader.setText("anna")
    made.open_worklist(str(worklist.folder))
    wait_for(lambda: made.table.rowCount() == COUNT)
    yield made
    Patient.gate.set()
    made.prerun.close_run()
    made.desk.close()


def states(worklist: Worklist) -> list[AiState]:
    return [e.ai.state for e in worklist.entries()]


def test_the_queue_gets_its_masks_and_failures_are_told(
    hands: Bench, panel: WorklistPanel, worklist: Worklist
) -> None:
    held, good, bad = worklist.entries()
    claim(worklist, held.id, "bert")
    worklist.place(bad.images[0]).write_bytes(b"no image")
    hands.click_button(panel.prerun.start)
    wait_for(lambda: "through" in panel.prerun.stage.text(), 60)
    assert states(worklist) == [AiState.WAITING, AiState.DONE, AiState.FAILED]
    assert "1 case done, 1 failed" in panel.prerun.stage.text()
    assert f"p2: {worklist.entry(bad.id).ai.problem}" in panel.prerun.stage.text()
    assert not worklist.ai_folder(held.id).exists()  # a reader holds it
    wait_for(lambda: [panel.table.item(r, 2).text() for r in range(COUNT)][2] == "failed")  # type: ignore[union-attr]
    note = panel.table.item(2, 5)
    assert note is not None
    assert note.text() == worklist.entry(bad.id).ai.problem
    saved = open_case(worklist.ai_folder(good.id))
    assert saved.files.provenance["ai"]["backend"] == LeanBox.name
    assert saved.files.measurements
    assert (worklist.ai_folder(good.id) / "tables.xlsx").is_file()  # as the command saves them

    wait_for(lambda: panel.desk.is_ahead)  # read with its masks before anybody asks for it
    hands.key(Qt.Key.Key_F4)
    wait_for(lambda: panel.desk.held is not None)
    assert panel.desk.held is not None
    assert panel.desk.held.entry_id == good.id
    assert (hands.case.masks.muscle == saved.files.muscles).all()
    assert hands.case.masks.muscle.any()
    assert hands.case.folder == str(worklist.reader_folder(good.id, "anna"))

    hands.click_button(panel.prerun.start)
    wait_for(lambda: "No case waits" in panel.prerun.stage.text())
    hands.click_button(panel.prerun.again)
    hands.click_button(panel.prerun.start)
    wait_for(lambda: "0 cases done, 1 failed" in panel.prerun.stage.text())


def test_it_stops_at_once_and_gives_way_to_readers(
    hands: Bench, panel: WorklistPanel, worklist: Worklist
) -> None:
    first, second, third = worklist.entries()
    Patient.gate.clear()
    hands.click_button(panel.prerun.start)
    wait_for(lambda: "thinking" in panel.prerun.stage.text())
    assert panel.prerun.bar.isVisible()
    assert states(worklist) == [AiState.RUNNING, AiState.WAITING, AiState.WAITING]

    # The window goes on meanwhile; the next free case is not the one the AI is at work on.
    hands.key(Qt.Key.Key_F4)
    wait_for(lambda: panel.desk.held is not None)
    assert panel.desk.held is not None
    assert panel.desk.held.entry_id == second.id
    claim(worklist, first.id, "bert")  # on another computer
    wait_for(lambda: states(worklist)[2] is AiState.RUNNING)
    assert states(worklist)[:2] == [AiState.WAITING, AiState.WAITING]

    hands.click_button(panel.prerun.cancel)
    assert "stopped" in panel.prerun.stage.text()
    assert panel.prerun.start.isEnabled()
    wait_for(lambda: not panel.prerun.busy)
    assert states(worklist) == [AiState.WAITING] * 3
    assert not worklist.ai_folder(third.id).exists()
    Patient.gate.set()
    wait_for(lambda: not panel.prerun._jobs.busy)
    hands.click_button(panel.prerun.start)
    wait_for(lambda: states(worklist)[2] is AiState.DONE)
    assert states(worklist)[:2] == [AiState.WAITING, AiState.WAITING]

"""Consensus in the window: another reader's masks are taken over by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt

from napari_backfat.io.session import open_case
from tests.widgets.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.conftest import Bench

_SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_another_readers_word_is_taken(bench: Bench, tmp_path: Path) -> None:
    masks, review = bench.case.masks, bench.review
    mine = masks.muscle.copy()
    bench.key(Qt.Key.Key_M, _SHIFT)
    assert "what to compare with" in review.message.text()
    masks.muscle[...] = np.roll(mine, 2, axis=2)
    masks.muscle[1, 1:4, 1:4] = 7
    masks.sync()
    review.session.save(tmp_path / "bert")
    masks.muscle[...] = mine
    masks.sync()
    masks.finish_step("brush")
    review.session.save(tmp_path / "anna")
    other = open_case(tmp_path / "bert").files.muscles
    review.looking.compare.open_reading(str(tmp_path / "bert"))
    wait_for(lambda: review.looking.compare.reading is not None, 60)

    bench.viewer.dims.current_step = (1, 0, 0)
    bench.key(Qt.Key.Key_3)
    bench.move(2, 2)
    bench.key(Qt.Key.Key_T, _SHIFT)
    assert (masks.muscle[1, 1:4, 1:4] == 7).all()
    assert (masks.muscle != mine).sum() == 9
    wait_for(lambda: "taken over" in review.brush_panel.undo.text())
    bench.key(Qt.Key.Key_T, _SHIFT)
    assert "both say the same" in review.message.text()
    bench.click_button(review.brush_panel.undo)
    assert np.array_equal(masks.muscle, mine)
    bench.key(Qt.Key.Key_M, _SHIFT)
    assert np.array_equal(masks.muscle == 3, other == 3)
    assert "from bert" in review.message.text()
    bench.click_button(review.brush_panel.undo)
    assert np.array_equal(masks.muscle, mine)

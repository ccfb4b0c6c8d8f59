"""Learning from corrected slices, the AI on a slab, and redrawing, by key and mouse.

The network is a small one that was taught the case in this test; everything else is as in the
program: model list, job, preview, keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_backfat.model.anatomy import Muscle
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.store import remember
from tests.networks import taught_weights
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_LONG = 240.0  # seconds; a busy machine shares its cores
_KEYS = (1, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know the case of `bench`."""
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    return taught_weights(tmp_path_factory.mktemp("net"), made)


@pytest.fixture
def small(bench: Bench, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench with the small network chosen; its muscles lie two voxels off."""
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "own" / "models.json"))
    model = inspect_folder(folder)
    remember(model, model.promised, None)
    models = bench.review.segment_panel.models
    models.refresh(f"folder:{folder}")
    assert models.key == f"folder:{folder}"
    masks = bench.case.masks
    masks.muscle[...] = np.roll(bench.made.muscles, 2, axis=1)
    masks.sync()
    masks.finish_step("muscle map from file")
    return bench


def _correct(bench: Bench) -> None:
    masks = bench.case.masks
    for z in _KEYS:
        masks.muscle[z] = bench.made.muscles[z]
        masks.sync()
        masks.finish_step("lasso")


def _proposed(bench: Bench) -> bool:
    return "Preview" in [layer.name for layer in bench.viewer.layers]


def _learn(bench: Bench) -> None:
    bench.key(Qt.Key.Key_Y, _SHIFT)
    wait_for(lambda: not bench.review.jobs.busy, _LONG)
    settle()


def test_learn_shows_accepts_and_takes_back_exactly(small: Bench) -> None:
    masks, said = small.case.masks, small.review.brush_panel.message
    small.key(Qt.Key.Key_Y, _SHIFT)
    assert "No slices with muscles corrected by hand" in said.text()
    assert not small.review.jobs.busy
    _correct(small)
    before = masks.muscle.copy(), masks.tissue.copy()
    _learn(small)
    assert _proposed(small), (said.text(), small.review.message.text())
    assert "Learnt from 2 slices" in said.text()
    assert "Shift+Y accepts" in said.text()
    assert np.array_equal(masks.muscle, before[0])
    small.key(Qt.Key.Key_Escape)  # refused
    assert not _proposed(small)
    assert np.array_equal(masks.muscle, before[0])
    assert small.case.adapted == ()

    _learn(small)
    masks.muscle[4, 2:4, 2:4] = 5  # the person went on working in this slice
    masks.sync()
    masks.finish_step("brush")
    steps = len(masks.history.done)
    before = masks.muscle.copy(), masks.tissue.copy()
    small.key(Qt.Key.Key_Y, _SHIFT)  # accepted
    assert not _proposed(small)
    assert len(masks.history.done) == steps + 1
    assert masks.history.undo_label == "learning from slices"
    after = masks.muscle.copy(), masks.tissue.copy()
    for z in (*_KEYS, 4):
        assert np.array_equal(after[0][z], before[0][z])
    wrong = [(m[[0, 2]] != small.made.muscles[[0, 2]]).sum() for m in (before[0], after[0])]
    assert wrong[1] < 0.7 * wrong[0]
    assert small.counts_are_right()
    assert small.case.adapted[0]["parent"] == "small net"
    small.key(Qt.Key.Key_Z, _CTRL)
    assert all(
        np.array_equal(a, b) for a, b in zip((masks.muscle, masks.tissue), before, strict=True)
    )
    assert small.case.adapted == ()
    small.key(Qt.Key.Key_Z, _CTRL | _SHIFT)
    assert all(
        np.array_equal(a, b) for a, b in zip((masks.muscle, masks.tissue), after, strict=True)
    )
    assert small.counts_are_right()
    assert len(small.case.adapted) == 1


def test_learning_can_be_cancelled_and_its_failure_is_told(small: Bench, folder: Path) -> None:
    _correct(small)
    jobs, before = small.review.jobs, small.case.masks.muscle.copy()
    small.key(Qt.Key.Key_Y, _SHIFT)
    assert jobs.busy
    small.key(Qt.Key.Key_Escape)
    assert not jobs.busy
    jobs.wait(int(1000 * _LONG))
    settle()
    assert not _proposed(small)
    assert np.array_equal(small.case.masks.muscle, before)

    weights = folder / "net.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-8])
    try:
        _learn(small)
    finally:
        weights.write_bytes(data)
    assert "damaged or were replaced" in small.review.message.text()
    assert not _proposed(small)
    assert np.array_equal(small.case.masks.muscle, before)


def test_the_ai_here_runs_the_chosen_network_on_the_slab(small: Bench) -> None:
    masks, made = small.case.masks, small.made.muscles
    before = masks.muscle.copy()
    small.viewer.dims.current_step = (1, 0, 0)
    small.key(Qt.Key.Key_4)
    small.review.brush_panel.edit.slab.setValue(8.0)
    small.key(Qt.Key.Key_Y)
    wait_for(lambda: masks.history.undo_label == "AI here", _LONG)
    after = masks.muscle.copy()
    assert (after[:3] != made[:3]).sum() < 0.5 * (before[:3] != made[:3]).sum()
    assert np.array_equal(after[3:], before[3:])
    assert small.counts_are_right()
    small.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, before)


def test_redraw_by_mouse(bench: Bench) -> None:
    masks, z = bench.case.masks, bench.viewer.dims.current_step[0]
    before = masks.muscle.copy()
    bench.key(Qt.Key.Key_3)
    bench.key(Qt.Key.Key_L, _SHIFT)
    panel = bench.review.brush_panel
    assert panel.tool_buttons["redraw"].isChecked()
    rows, columns = np.nonzero(before[z] == Muscle.ERECTOR_SPINAE_LEFT)
    top, bottom = int(rows.min()) + 3, int(rows.max()) + 2
    left, right = int(columns.min()), int(columns.max())
    corners = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
    bench.stroke(*((float(y), float(x)) for y, x in corners))
    wait_for(lambda: masks.history.undo_label == "redraw")
    now = masks.muscle[z] == Muscle.ERECTOR_SPINAE_LEFT
    assert not now[: top - 1].any()
    assert now[top + 1 : bottom, left + 1 : right].all()
    assert now.sum() <= (bottom - top + 2) * (right - left + 2)
    assert np.array_equal(np.delete(masks.muscle, z, 0), np.delete(before, z, 0))
    assert bench.counts_are_right()
    bench.key(Qt.Key.Key_Z, _CTRL)
    assert np.array_equal(masks.muscle, before)
    bench.key(Qt.Key.Key_F)
    bench.key(Qt.Key.Key_L, _SHIFT)  # a tissue is chosen
    assert "choose one first" in panel.message.text()

"""The corrected mean in the window: it comes by itself, and says when it is old."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import binary_dilation

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.widgets.measurement_panel_cells import COLUMNS, CORRECTED, PENDING
from tests.phantom import make_case
from tests.widgets.conftest import Bench, settle, wait_for, write_pair
from tests.widgets.test_tables import _clipboard

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.volume import Volume
    from napari_backfat.widgets.review_widget import ReviewWidget

SHAPE = (5, 60, 90)
ROW, NAME = "Erector spinae L", "Corrected FF"
COLUMN = 1 + COLUMNS.index((CORRECTED, 1))
LEVELS = VertebralLevels((-0.5, 1.5, 4.5), "L1")


@pytest.fixture
def noisy(window: tuple[Any, ReviewWidget], tmp_path: Path) -> Bench:
    """A window with a pair of magnitude images that have the noise of one coil, and air."""
    viewer, review = window
    made = make_case(SHAPE, (4.0, 2.0, 2.0), fat_fraction=0.1, pattern="voxels")
    body = binary_dilation(made.muscles.any(axis=0), iterations=4)
    rng = np.random.default_rng(3)

    def seen(image: Volume) -> Volume:
        one, other = rng.normal(0, 20.0, (2, *SHAPE))
        signal = np.where(body, image.voxels, 0) + one
        return replace(image, voxels=np.hypot(signal, other).astype(np.float32))

    images = tuple(seen(v) for v in made.scan.images)
    made = replace(made, scan=replace(made.scan, images=images, reference=images[0]))
    bench = Bench(viewer, review, made)
    review.desk.open_scan(write_pair(tmp_path, made))
    wait_for(lambda: review.session.case is not None)
    review.session.accept_muscles(made.muscles)
    settle(0.1)
    return bench


def is_current(bench: Bench) -> bool:
    return bench.case.corrected is not None and bench.case.corrected.current


def number(bench: Bench, row: str = ROW) -> str:
    """What the cell of the corrected mean shows."""
    return bench.shown(row, "Mean FF", "corr.")


def tip(bench: Bench) -> str:
    """Tooltip of the present corrected mean of the left erector spinae."""
    table = bench.review.live.table
    rows = {table.item(r, 0).text(): r for r in range(2, table.rowCount())}
    return str(table.item(rows[ROW], COLUMN).toolTip())


def cut(bench: Bench) -> None:
    """Take a part of the muscle away in one slice."""
    masks = bench.case.masks
    plane = masks.muscle[2]
    rows = np.flatnonzero((plane == Muscle.ERECTOR_SPINAE_LEFT).any(axis=1))[:5]
    part = plane[rows]
    part[part == Muscle.ERECTOR_SPINAE_LEFT] = 0
    plane[rows] = part
    masks.sync()


def test_it_comes_after_a_rest_and_is_marked_old_after_a_stroke(noisy: Bench) -> None:
    assert number(noisy) == PENDING
    assert "computed" in tip(noisy)
    wait_for(lambda: is_current(noisy))
    wait_for(lambda: PENDING not in number(noisy))
    assert noisy.case.corrected is not None
    mean = noisy.case.corrected.muscles[Muscle.ERECTOR_SPINAE_LEFT]
    assert mean.value is not None
    assert number(noisy) == f"{100 * mean.value:.1f}"
    assert "95 % interval" in tip(noisy)
    assert number(noisy, "All muscles") not in ("", "\N{EM DASH}")
    plain = float(noisy.shown(ROW, "Mean FF"))
    assert plain > 100 * mean.value  # the noise floor, and fat beside the muscle
    cut(noisy)
    wait_for(lambda: number(noisy).endswith(PENDING))
    assert number(noisy) == f"{100 * mean.value:.1f}{PENDING}"
    assert "masks before" in tip(noisy)
    wait_for(lambda: is_current(noisy))
    wait_for(lambda: PENDING not in number(noisy))
    assert noisy.case.corrected.muscles[Muscle.ERECTOR_SPINAE_LEFT].voxels < mean.voxels


def test_the_copied_table_holds_it_with_its_interval(noisy: Bench) -> None:
    wait_for(lambda: is_current(noisy))
    settle()
    table = noisy.review.live.table
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    header, *rows = _clipboard()
    line = next(r for r in rows if r[:2] == ["Erector spinae", "left"])
    low, value, high = (
        float(line[header.index(f"{NAME} (%) {part}")]) for part in ("95 % low", "now", "95 % high")
    )
    assert low < value < high


def test_levels_are_filled_when_they_are_shown(noisy: Bench) -> None:
    noisy.review.session.set_vertebrae(LEVELS)
    tables = noisy.review.live.tables
    noisy.click_button(tables.buttons["levels"])

    def value() -> float:
        table = tables.regions.table
        assert table is not None
        row = table.words.index(["L2", "Erector spinae", "left"])
        column = [c.title for c in table.columns].index(NAME)
        return float(table.numbers[row, column])

    wait_for(lambda: np.isfinite(value()))
    former = value()
    masks = noisy.case.masks
    masks.muscle[0] = 0
    masks.sync()
    wait_for(lambda: np.isnan(value()))
    wait_for(lambda: np.isfinite(value()))
    assert value() != former


def test_a_scan_without_air_has_a_bound_or_a_dash_with_the_reason(bench: Bench) -> None:
    wait_for(lambda: is_current(bench))
    settle()
    shown = number(bench)
    assert bench.case.corrected is not None
    mean = bench.case.corrected.muscles[Muscle.ERECTOR_SPINAE_LEFT]
    if mean.value is None:
        assert shown == "\N{EM DASH}"
        assert mean.why in tip(bench)
    else:
        assert shown == f"{100 * mean.value:.1f}"

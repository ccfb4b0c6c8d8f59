"""The tables sort, copy themselves, jump to slices and follow the brush."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_backfat.measure.profile import slice_profile
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.widgets.measurement_panel_regions import RegionTable
from napari_backfat.widgets.measurement_panel_rows import Column, Table
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from tests.widgets.conftest import Bench

_CTRL = Qt.KeyboardModifier.ControlModifier
_LEVELS = VertebralLevels((-0.5, 1.5, 3.5), "L1")


def _names(bench: Bench) -> list[str]:
    table = bench.review.live.table
    return [table.item(row, 0).text() for row in range(2, table.rowCount())]


def _click_cell(table: Any, row: int, column: int) -> None:
    place = table.visualItemRect(table.item(row, column)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settle(0.05)


def _clipboard() -> list[list[str]]:
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    return [line.split("\t") for line in clipboard.text().splitlines()]


def _cut(bench: Bench, muscle: Muscle, slices: slice) -> None:
    masks = bench.case.masks
    masks.muscle[slices][masks.muscle[slices] == muscle] = 0
    masks.sync()
    settle()


def test_click_on_a_head_sorts_and_a_third_click_brings_anatomy_back(bench: Bench) -> None:
    table = bench.review.live.table
    _cut(bench, Muscle.MULTIFIDUS_LEFT, slice(2, 5))
    _cut(bench, Muscle.ERECTOR_SPINAE_RIGHT, slice(1, 5))
    anatomical = [m.display_name for m in MUSCLES]
    assert _names(bench)[:-1] == anatomical
    assert bench.case.measurement is not None
    volumes = {m.display_name: v.volume_ml for m, v in bench.case.measurement.muscles.items()}
    held = [name for name in anatomical if volumes[name] > 0]
    _click_cell(table, 0, 1)
    assert _names(bench)[: len(held)] == sorted(held, key=lambda n: -volumes[n])
    assert _names(bench)[-1] == "All muscles"
    assert table.item(0, 1).text() == "Volume (ml) ▼"
    _click_cell(table, 0, 1)
    assert _names(bench)[: len(held)] == sorted(held, key=lambda n: volumes[n])
    _click_cell(table, 0, 1)
    assert _names(bench)[:-1] == anatomical
    assert table.item(0, 1).text() == "Volume (ml)"


def test_numbers_stay_with_their_muscle_when_sorted(bench: Bench) -> None:
    before = {name: bench.shown(name, "Fat") for name in _names(bench)}
    _click_cell(bench.review.live.table, 0, 7)
    assert {name: bench.shown(name, "Fat") for name in _names(bench)} == before


def test_control_c_copies_muscles_with_units(bench: Bench) -> None:
    table = bench.review.live.table
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_C, _CTRL)
    header, *rows = _clipboard()
    assert header[:5] == [
        "Muscle", "Side", "Volume (ml) AI", "Volume (ml) now", "Volume (ml) change",
    ]  # fmt: skip
    assert len(rows) == 9
    assert {len(row) for row in rows} == {len(header)}
    assert bench.case.measurement is not None
    for row, muscle in zip(rows, MUSCLES, strict=False):
        measure = bench.case.measurement.muscles[muscle]
        assert row[1] == muscle.side.value
        shown = row[header.index("Volume (ml) now")]
        if measure.volume_ml:
            assert abs(float(shown) / measure.volume_ml - 1) < 1e-5
        else:
            assert shown == ""


def test_a_real_double_click_goes_to_the_largest_slice(bench: Bench) -> None:
    _cut(bench, Muscle.MULTIFIDUS_LEFT, slice(0, 4))
    table = bench.review.live.table
    place = table.visualItemRect(table.item(2, 3)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settle(0.05)
    assert bench.viewer.dims.current_step[0] == 4


def test_levels_table(bench: Bench) -> None:
    tables = bench.review.live.tables
    bench.click_button(tables.buttons["levels"])
    assert tables.stack.currentWidget() is tables.empty
    bench.review.session.set_vertebrae(_LEVELS)
    settle()
    assert tables.stack.currentWidget() is tables.regions
    table = tables.regions.table
    assert table is not None
    masks = bench.case.masks
    rows = [w for w in table.words if w == ["L2", "Multifidus", "left"]]
    assert len(rows) == 1
    row = table.words.index(rows[0])
    voxels = int((masks.muscle[:2] == Muscle.MULTIFIDUS_LEFT).sum())
    assert np.isclose(table.numbers[row, 4], voxels * masks.geometry.voxel_ml)
    assert [w[0] for w in table.words].count("L3") == [w[0] for w in table.words].count("L2")


def test_levels_table_sorts_by_its_header_copies_and_jumps(bench: Bench) -> None:
    _cut(bench, Muscle.MULTIFIDUS_LEFT, slice(0, 2))
    bench.review.session.set_vertebrae(_LEVELS)
    tables = bench.review.live.tables
    bench.click_button(tables.buttons["levels"])
    view = tables.regions
    header = view.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(4) + 10, 8)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settle(0.05)
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_C, _CTRL)
    titles, *rows = _clipboard()
    assert titles[4] == "Volume (ml)"
    volumes = [float(row[4]) for row in rows]
    assert volumes in (sorted(volumes), sorted(volumes, reverse=True))
    assert len(set(volumes)) > 1
    assert ["L2", "Multifidus", "left"] not in [row[:3] for row in rows]
    at = next(n for n, row in enumerate(rows) if row[:3] == ["L3", "Multifidus", "left"])
    index = view.model().index(at, 5)
    view.scrollTo(index)
    settle(0.05)
    bench.viewer.dims.set_current_step(0, 0)
    place = view.visualRect(index).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settle(0.05)
    assert bench.viewer.dims.current_step[0] in (2, 3)


def test_slices_table_equals_the_masks_and_follows_the_brush(bench: Bench) -> None:
    tables = bench.review.live.tables
    bench.click_button(tables.buttons["slices"])
    table = tables.regions.table
    assert table is not None
    masks = bench.case.masks
    column = [c.header for c in table.columns].index("ES L CSA (cm²)")
    z = bench.viewer.dims.current_step[0]
    area = (masks.muscle[z] == Muscle.ERECTOR_SPINAE_LEFT).sum() * masks.geometry.voxel_area_cm2
    assert np.isclose(table.numbers[z, column], area)
    bench.key(Qt.Key.Key_3)
    bench.stroke((4, 7), (4, 14))

    def grown() -> bool:
        now = tables.regions.table
        return now is not None and now.numbers[z, column] > area

    wait_for(grown, 3)
    text = tables.copy()
    profile = slice_profile(masks.ledger, masks.geometry, masks.fat_map.kind)
    line = text.splitlines()[1 + z].split("\t")
    wanted = profile.csa_cm2([Muscle.ERECTOR_SPINAE_LEFT])[z]
    assert abs(float(line[column]) / wanted - 1) < 1e-5
    assert bench.counts_are_right()


@pytest.mark.parametrize("sorted_by", [-1, 2])
def test_only_cells_that_changed_are_drawn(qapp: object, sorted_by: int) -> None:
    columns = (Column("Level"), Column("Volume", "ml", 1), Column("Fat", "ml", 1))
    numbers = np.array([[np.nan, 5.0, 1.0], [np.nan, 3.0, 3.0], [np.nan, np.nan, 2.0]])
    words, slices = [["L1"], ["L2"], ["L3"]], np.arange(3)
    view = RegionTable()
    view.set_table(Table(columns, words, numbers, slices))
    view.sortByColumn(sorted_by, Qt.SortOrder.DescendingOrder)
    model = view.model()
    told: list[tuple[int, int, int, int]] = []
    model.dataChanged.connect(
        lambda a, b, *_: told.append((a.row(), a.column(), b.row(), b.column()))
    )
    view.set_table(Table(columns, words, numbers.copy(), slices))
    assert told == []
    more = numbers.copy()
    more[1, 1] = 3.5
    view.set_table(Table(columns, words, more, slices))
    row = 1 if sorted_by < 0 else 0  # most fat stands first
    assert told == [(row, 1, row, 1)]
    assert model.index(row, 1).data() == "3.5"
    other = more.copy()
    other[0, 2] = 9.0  # another order where it is sorted: all of it
    view.set_table(Table(columns, words, other, slices))
    assert told[-1] == ((0, 2, 0, 2) if sorted_by < 0 else (0, 0, 2, 2))
    view.deleteLater()

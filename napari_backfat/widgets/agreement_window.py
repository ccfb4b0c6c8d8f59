"""The comparison of all fat methods on one case, as a table in a window of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import (
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.separate.recipe import FAT_FRACTION
from napari_backfat.widgets.plain_table import DASH, copy_cells, set_heads
from napari_backfat.widgets.result_window import ResultWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.model.risk_results import RelativeOdds
    from napari_backfat.review.fat_agreement import AgreementRow, MethodResult

_HEADS = (
    ("Method", "How lean and fat are told apart; bold: the one in force"),
    ("Muscle", "All back muscles together, or one muscle and side"),
    ("Fat from", "Border between lean and fat: a fat fraction, or an intensity"),
    ("Volume (ml)", "Whole muscle"),
    ("Lean (ml)", "Below the border"),
    ("Fat (ml)", "At or beyond the border"),
    ("Share (%)", "Fat over lean plus fat"),
    ("Mean FF (%)", "Threshold-free fat fraction; of the ratio of sums, that ratio"),
    ("Odds", "Relative odds of the risk model, which reads the fat fraction and no threshold"),
    ("What if", "The same model fed with the thresholded volume; no result, it shows the leverage"),
    ("Remark", "Why a number is missing or not to be relied on"),
)
_MUSCLE, _OF_ALL = 1, (8, 9)


class AgreementWindow(ResultWindow):
    """A sortable-by-eye table: back muscles first, single muscles on demand.

    Parameters
    ----------
    results : sequence of MethodResult
        What was compared.
    parent : QWidget, optional
        The window stays above it and goes with it.
    """

    def __init__(self, results: Sequence[MethodResult], parent: QWidget | None = None) -> None:
        super().__init__("fat_agreement", "Fat methods on this case", parent)
        self._results = list(results)
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setAccessibleName("Fat methods side by side")
        set_heads(self.table, _HEADS)
        self.each = QPushButton("Show each muscle")
        self.each.setToolTip("One line for each muscle and method, instead of all together")
        self.each.setCheckable(True)
        self.each.toggled.connect(self._fill)
        copy = QPushButton("Copy table")
        copy.setToolTip("Tab-separated, for a spreadsheet")
        copy.clicked.connect(self.copy)
        self.summary = QLabel(_summary(self._results))
        self.summary.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(self.outdated)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)
        layout.addLayout(self.foot(self.each, copy, tip="Close this window; nothing was changed"))
        rows = self.table.verticalHeader()
        assert rows is not None
        rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._fill(False)
        self.resize(1180, 460)

    def _fill(self, each: bool) -> None:
        lines = [
            (result, row)
            for result in self._results
            for row in (result.rows if each else result.rows[:1]) or (None,)
        ]
        self.table.setRowCount(len(lines))
        for number, (result, row) in enumerate(lines):
            bold = QFont(self.table.font())
            bold.setBold(result.in_force)
            for column, text in enumerate(_cells(result, row)):
                item = QTableWidgetItem(text)
                item.setFont(bold)
                if 2 <= column <= 9:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                if column in (0, len(_HEADS) - 1):
                    item.setToolTip("\n".join((*result.warnings, text)))
                self.table.setItem(number, column, item)
        # What is the same in all rows, or stands for the whole back only, leaves its place to the
        # remarks, which are sentences.
        for column in _OF_ALL:
            self.table.setColumnHidden(column, each)
        self.table.setColumnHidden(_MUSCLE, not each)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(_HEADS) - 1, QHeaderView.ResizeMode.Stretch)

    def copy(self) -> None:
        """Put the table into the clipboard, tab-separated with a line of heads."""
        copy_cells(self.table, [head for head, _ in _HEADS])


def _cells(result: MethodResult, row: AgreementRow | None) -> list[str]:
    name = f"\N{BLACK RIGHT-POINTING TRIANGLE} {result.title}" if result.in_force else result.title
    if result.image and result.image != FAT_FRACTION:
        name += f" on the {result.image} image"
    if row is None:
        return [name, *[DASH] * (len(_HEADS) - 2), result.failed]
    border = DASH
    if row.border is not None:
        fraction = result.image == FAT_FRACTION
        border = f"{100 * row.border:.1f} %" if fraction else f"{row.border:.4g}"
    whole = row.muscle is None
    return [
        name,
        row.name,
        border,
        _number(row.volume_ml, 1),
        _number(row.lean_ml, 1),
        _number(row.fat_ml, 1),
        _number(row.fat_share, 1, 100),
        _number(row.mean_fat_fraction, 2, 100),
        _odds(result.odds) if whole else "",
        _odds(result.odds_if_thresholded) if whole else "",
        row.note,
    ]


def _odds(odds: RelativeOdds | None) -> str:
    return DASH if odds is None else _number(odds.value, 2)


def _number(value: float | None, decimals: int, factor: float = 1.0) -> str:
    return DASH if value is None else f"{factor * value:.{decimals}f}"


def _summary(results: Sequence[MethodResult]) -> str:
    """Say how far the methods lie apart, in one sentence or two."""
    fats = [r.rows[0].fat_ml for r in results if r.rows and r.rows[0].fat_ml is not None]
    text = "No method could tell lean from fat here."
    if fats:
        text = (
            f"Fat of the back muscles: {min(fats):.1f} to {max(fats):.1f} ml, depending on the "
            "method alone. State the method with every number."
        )
    what_if = [
        r.odds_if_thresholded.value
        for r in results
        if r.odds_if_thresholded is not None and r.odds_if_thresholded.value is not None
    ]
    odds = [r.odds.value for r in results if r.odds is not None and r.odds.value is not None]
    if odds and what_if:
        text += (
            f" The estimate reads the fat fraction (odds {min(odds):.2f} to {max(odds):.2f}); fed "
            f"with thresholded volumes it would lie between {min(what_if):.2f} and "
            f"{max(what_if):.2f}."
        )
    elif results and results[0].odds is not None and results[0].odds.blank is not None:
        text += f" No relative odds: {results[0].odds.blank.text}"
    return text

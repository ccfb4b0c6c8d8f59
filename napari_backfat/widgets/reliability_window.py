"""How far two readers agree over all cases of a list, as a table in a window of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.measurement_panel_cells import MINUS
from napari_backfat.widgets.plain_table import DASH, copy_cells, set_heads
from napari_backfat.widgets.result_window import ResultWindow
from napari_backfat.worklist.icc import FORMS, RECOMMENDED

if TYPE_CHECKING:
    from napari_backfat.worklist.readings import ReaderStudy

_MEASURES = {
    "volume_ml": "Volume (ml)",
    "fat_fraction": "Mean FF (%)",
    "fat_share": "Fat share (%)",
}
_HEADS = (
    ("Muscle", "One muscle and side, or all together"),
    ("Measure", "Volume; mean fat fraction of the images; share of voxels called fat"),
    ("Cases", "Cases in which both readers have this muscle"),
    ("ICC", "Intraclass correlation of the chosen form; 1 is perfect"),
    ("95 % interval", "Report it with the ICC; with few cases it is wide"),
    ("In words", "What the interval says by Koo and Li (2016): poor below 0.5, moderate to 0.75, "
                 "good to 0.9, excellent above"),
    ("Bias", "Mean of second minus first reader, in the unit of the measure"),
    ("Limits of agreement", "Between them lie about 95 % of the differences of two readers"),
)  # fmt: skip
_OF_FORM, _BIAS = (3, 4, 5), 6
_NO_ICC = "There is no intraclass correlation where the cases do not differ in this measure"


class ReliabilityWindow(ResultWindow):
    """One row for each muscle and measure.

    Parameters
    ----------
    study : ReaderStudy
        What was compared.
    parent : QWidget, optional
        The window stays above it and goes with it.
    """

    def __init__(self, study: ReaderStudy, parent: QWidget | None = None) -> None:
        super().__init__("reader_reliability", "Agreement of two readers over cases", parent)
        self._study = study
        self.form = QComboBox()
        self.form.setToolTip("Which of the six forms of Shrout and Fleiss (1979) is shown")
        for kind, about in FORMS.items():
            advice = " (report this one)" if kind == RECOMMENDED else ""
            self.form.addItem(f"{kind}: {about}{advice}", kind)
        self.form.setCurrentIndex(list(FORMS).index(RECOMMENDED))
        self.form.currentIndexChanged.connect(lambda _: self._fill())
        self.table = QTableWidget(len(study.reliability), len(_HEADS))
        self.table.setAccessibleName("Agreement by muscle and measure")
        self._heads = _heads(study)
        set_heads(self.table, self._heads)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.summary = QLabel(_summary(study))
        self.summary.setWordWrap(True)
        copy = QPushButton("Copy table")
        copy.setToolTip("Tab-separated, for a spreadsheet")
        copy.clicked.connect(self.copy)
        layout = QVBoxLayout(self)
        layout.addWidget(self.summary)
        layout.addWidget(self.form)
        layout.addWidget(self.table, 1)
        layout.addLayout(self.foot(copy, tip="Close this window; nothing was changed"))
        self._fill()
        self.resize(980, 480)
        if not study.reliability:  # the sentence says why; an empty table would only puzzle
            for part in (self.form, self.table, copy):
                part.setVisible(False)
            layout.insertStretch(1)
            self.resize(560, 150)

    def _fill(self) -> None:
        kind = str(self.form.currentData())
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for number, row in enumerate(self._study.reliability):
            form, change = row.forms[kind], row.difference
            cells = (
                row.muscle,
                _MEASURES.get(row.measure, row.measure),
                str(form.cases),
                _number(form.value, 3),
                _range(form.low, form.high, 3),
                form.grade if math.isfinite(form.value) else DASH,
                _number(change.mean, 2),
                _range(change.low, change.high, 2),
            )
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if column >= 2:
                    item.setTextAlignment(right)
                if column in _OF_FORM and not math.isfinite(form.value):
                    item.setToolTip(_NO_ICC)
                self.table.setItem(number, column, item)

    def copy(self) -> None:
        """Put the table into the clipboard, tab-separated with a line of heads."""
        heads = [head for head, _ in self._heads]
        heads[3] = str(self.form.currentData())
        copy_cells(self.table, heads)


def _heads(study: ReaderStudy) -> list[tuple[str, str]]:
    """Name the readers where the sign of a number depends on who is the first."""
    first, second = study.readers
    heads = list(_HEADS)
    heads[_BIAS] = (
        f"Bias ({second} {MINUS} {first})",
        f"Mean of {second}'s minus {first}'s value, in the unit of the measure",
    )
    return heads


def _number(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return DASH
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)


def _range(low: float, high: float, decimals: int) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{_number(low, decimals)} to {_number(high, decimals)}"


def _summary(study: ReaderStudy) -> str:
    """Say who was compared, on what, and how to read it."""
    first, second = study.readers
    count = len(study.cases)
    text = f"{first} and {second}, {count} case{'s' * (count != 1)} that both have finished"
    if study.left_out:
        text += f" ({len(study.left_out)} left out: {'; '.join(study.left_out)})"
    if not study.reliability:
        return f"{text}. An intraclass correlation needs at least 3 cases."
    few = min(row.recommended.cases for row in study.reliability) < 30
    text += (
        f". {RECOMMENDED} is the form to report: later a case is read once, by a reader like "
        "these, and a constant difference between readers matters. Give it with its interval"
    )
    return text + (", which is wide with fewer than about 30 cases." if few else ".")

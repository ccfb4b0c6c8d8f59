"""What changed since an earlier scan, one measure at a time, in a window of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
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

if TYPE_CHECKING:
    from napari_backfat.measure.compare import Change
    from napari_backfat.review.earlier import EarlierScan

_HEADS = (
    ("Level", "Vertebral level, from disc to disc; only levels that both scans hold completely"),
    ("Muscle", "Muscle, or muscles together"),
    ("Side", "The patient's side"),
    ("Earlier", "Value in the earlier scan"),
    ("Later", "Value in the scan that is open"),
    ("Change", "Later minus earlier"),
    ("Change (% of earlier)", "Change in per cent of the earlier value"),
    ("Smallest detectable", "A smaller change cannot be told from measurement error"),
    ("Judgement", "Whether the change is larger than the smallest detectable one"),
)
_FIRST_NUMBER, _JUDGEMENT = 3, len(_HEADS) - 1
_WORDS = {True: "beyond error", False: "within error", None: "not known"}
_FIRST = "mean_fat_fraction"


class EarlierWindow(ResultWindow):
    """Changes of one measure in every level and muscle, with what they are judged by.

    Parameters
    ----------
    found : EarlierScan
        What was compared.
    parent : QWidget, optional
        The window stays above it and goes with it.

    Attributes
    ----------
    measure : QComboBox
        Which measure is shown.
    table : QTableWidget
        One row for each level, muscle and side.
    """

    def __init__(self, found: EarlierScan, parent: QWidget | None = None) -> None:
        super().__init__("earlier_scan", "Changes since an earlier scan", parent)
        self._changes = found.comparison.changes
        self.measure = QComboBox()
        self.measure.setToolTip("Measure that is shown")
        for key in dict.fromkeys(change.measure for change in self._changes):
            unit = next(c.unit for c in self._changes if c.measure == key).replace("cm2", "cm²")
            label = found.labels.get(key, key)
            self.measure.addItem(f"{label} ({unit})" if unit else label, key)
            self.measure.setItemData(
                self.measure.count() - 1,
                found.meanings.get(key, ""),
                Qt.ItemDataRole.ToolTipRole,
            )
        self.measure.setCurrentIndex(max(0, self.measure.findData(_FIRST)))
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setAccessibleName("Changes since the earlier scan")
        set_heads(self.table, _HEADS)
        self.summary, self.source = QLabel(), QLabel()
        notes = QLabel(" ".join(found.comparison.notes))
        # A case is known by its folder and the one around it; the rest of the path is for the tip.
        folder = QLabel(f"Earlier scan: {' / '.join(found.folder.parts[-2:])}")
        folder.setToolTip(str(found.folder))
        for label in (self.summary, self.source, notes, folder):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        copy = QPushButton("Copy table")
        copy.setToolTip("The measure on display, tab-separated, for a spreadsheet")
        copy.clicked.connect(self.copy)
        top = QHBoxLayout()
        label = QLabel("Measure")
        label.setBuddy(self.measure)
        top.addWidget(label)
        top.addWidget(self.measure)
        top.addWidget(self.summary, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.outdated)
        layout.addWidget(folder)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.source)
        layout.addWidget(notes)
        layout.addLayout(self.foot(copy, tip="Close this window; nothing was changed"))
        self.measure.currentIndexChanged.connect(lambda _: self._fill())
        self._fill()
        self.resize(980, 560)

    def _fill(self) -> None:
        key = self.measure.currentData()
        shown = [change for change in self._changes if change.measure == key]
        self.table.setRowCount(len(shown))
        for row, change in enumerate(shown):
            for column, text in enumerate(_cells(change)):
                item = QTableWidgetItem(text)
                if _FIRST_NUMBER <= column < _JUDGEMENT:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                font = item.font()
                font.setBold(bool(change.beyond))
                item.setFont(font)
                self.table.setItem(row, column, item)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        beyond, known = sum(bool(c.beyond) for c in shown), [c for c in shown if c.sdc is not None]
        self.summary.setText(
            f"{beyond} of {len(known)} changes are larger than the smallest detectable change."
            if known
            else "No smallest detectable change is known for this measure."
        )
        sources = dict.fromkeys(change.sdc_source for change in known)
        self.source.setText(" ".join(f"Smallest detectable change: {text}." for text in sources))

    def copy(self) -> None:
        """Put the measure on display into the clipboard, with its name in the first head."""
        heads = [head for head, _ in _HEADS]
        copy_cells(self.table, [f"{self.measure.currentText()}: {heads[0]}", *heads[1:]])


def _cells(change: Change) -> list[str]:
    return [
        change.level,
        change.muscle,
        change.side,
        _number(change.earlier, 2),
        _number(change.later, 2),
        _number(change.difference, 2, signed=True),
        _number(change.percent, 1, signed=True),
        _number(change.sdc, 2),
        _WORDS[change.beyond],
    ]


def _number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    if value is None:
        return DASH
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)

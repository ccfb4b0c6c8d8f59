"""Every control says what it does, and every number says its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QLineEdit,
    QMenu,
    QScrollBar,
    QSpinBox,
    QTableView,
    QWidget,
)

from napari_backfat.widgets.agreement_window import AgreementWindow
from napari_backfat.widgets.export_dialog import ExportDialog, ReportDialog
from napari_backfat.widgets.findings_window import FindingsWindow
from napari_backfat.widgets.measurement_panel import MeasurementPanel
from napari_backfat.widgets.reliability_window import ReliabilityWindow
from napari_backfat.worklist.readings import ReaderStudy
from tests.widgets.conftest import Bench, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNIT = re.compile(
    r"%|\bmm\b|\bcm\b|\bkg\b|millimet|\bml\b|cm²|\byears?\b|min/week|MET-min|minutes|\bslices?\b|\blayers\b"
    r"|units? of the image|own units|no unit"
)
# Heads of columns that hold words, names or counts; all others must name a unit in brackets.
NOT_MEASURED = {
    "", "AI", "now", "Δ", "corr.",
    "Method", "Muscle", "Side", "Level", "Levels", "Disc", "Slice", "Slices",
    "Part", "Remark", "Fat from", "Odds", "What if", "Case", "State", "Readers", "Note",
    "Asymmetry", "Asymmetry (%)", "What", "What was found",
    "Measure", "Cases", "ICC", "95 % interval", "In words",  # no unit, or the measure's beside it
    "Limits of agreement",
}  # fmt: skip
_CONTROLS = (QAbstractButton, QAbstractSpinBox, QAbstractSlider, QComboBox, QLineEdit)


def controls(root: QWidget) -> Iterator[QWidget]:
    """Yield what a person can press, turn, drag or type into, except the inner parts of those."""
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, _CONTROLS) or isinstance(widget, QScrollBar):
            continue
        parent = widget.parentWidget()
        inner = isinstance(parent, (QAbstractSpinBox, QAbstractSlider, QComboBox))
        # Close, Cancel and OK of a dialog say it in full; Qt's own parts are named qt_... .
        standard = isinstance(parent, QDialogButtonBox) or widget.objectName().startswith("qt_")
        of_qt = type(widget).__name__ in {"QTableCornerButton", "QToolBarExtension"} or (
            isinstance(widget, QAbstractButton) and parent.metaObject().className() == "QTabBar"
        )
        # pyqtgraph makes a menu for each plot that nothing opens (`plot_style.plain_plot`).
        of_qt = of_qt or _is_in_menu(widget)
        if not (inner or standard or of_qt or _is_corner(widget)):
            yield widget


def _is_corner(widget: QWidget) -> bool:
    """Return whether it is the unnamed corner button that Qt gives to tables."""
    return isinstance(widget.parentWidget(), QTableView) and isinstance(widget, QAbstractButton)


def _is_in_menu(widget: QWidget) -> bool:
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QMenu):
        parent = parent.parentWidget()
    return parent is not None


def said(widget: QWidget) -> str:
    return f"{type(widget).__name__} {getattr(widget, 'text', lambda: '')()!r}"


def missing_tips(roots: Iterable[QWidget]) -> list[str]:
    return [
        f"{root.objectName() or type(root).__name__}: {said(w)} in {type(w.parent()).__name__}"
        for root in roots
        for w in controls(root)
        if len(w.toolTip().strip()) < 8
    ]


def missing_units(roots: Iterable[QWidget]) -> list[str]:
    found = []
    for root in roots:
        for widget in controls(root):
            if not isinstance(widget, (QSpinBox, QDoubleSpinBox, QAbstractSlider)):
                continue
            parts = [widget.toolTip()]
            if isinstance(widget, (QSpinBox, QDoubleSpinBox)):
                parts += [widget.prefix(), widget.suffix()]
            if not UNIT.search(" ".join(parts)):
                found.append(f"{type(root).__name__}: {said(widget)} {' '.join(parts)!r}")
    return found


def heads(root: QWidget) -> Iterator[tuple[str, str, str]]:
    """Yield (table, head, tooltip) of every column that is shown."""
    for table in root.findChildren(QTableView):
        name = table.objectName() or type(table.parent()).__name__
        if isinstance(table, MeasurementPanel):
            for row in (0, 1):
                for column in range(1, table.columnCount()):
                    cell = table.item(row, column)
                    if cell is not None and cell.text():
                        yield name, cell.text(), cell.toolTip()
            continue
        model = table.model()
        for column in range(model.columnCount()):
            across = Qt.Orientation.Horizontal
            text = model.headerData(column, across, Qt.ItemDataRole.DisplayRole)
            tip = model.headerData(column, across, Qt.ItemDataRole.ToolTipRole)
            yield name, str(text), str(tip or "")


def missing_in_heads(roots: Iterable[QWidget]) -> list[str]:
    found = []
    for root in roots:
        for table, text, tip in heads(root):
            if len(tip) < 8:
                found.append(f"{table}: column {text!r} has no tooltip")
            if text not in NOT_MEASURED and not re.search(r"\(.+\)", text):
                found.append(f"{table}: column {text!r} has no unit")
    return found


@pytest.fixture
def parts(bench: Bench) -> Iterator[list[QWidget]]:
    """Everything of the window that a person meets, with a case open."""
    review = bench.review
    review.plots._build()
    review.open_worklist()
    assert review.worklist is not None
    estimate = review.risk.show()
    windows: list[QWidget] = [
        AgreementWindow([], review),
        FindingsWindow([], review),
        ReliabilityWindow(ReaderStudy(("anna", "bert"), {}, [], []), review),
        ExportDialog(review, from_dicom=True),
        ReportDialog(review),
    ]
    review.tour.start()
    assert review.tour.card is not None
    settle(0.2)
    yield [
        review, review.live, review.plots, review.worklist, estimate, review.tour.card, *windows,
    ]  # fmt: skip
    review.tour.end()
    estimate.close()
    for window in windows:
        window.close()
        window.deleteLater()


def test_every_control_has_a_tooltip_and_every_number_a_unit(
    bench: Bench, parts: list[QWidget]
) -> None:
    assert len([w for root in parts for w in controls(root)]) > 120  # the walk found them
    assert "\n".join(missing_tips(parts)) == ""
    assert "\n".join(missing_units(parts)) == ""


def test_every_column_has_a_tooltip_and_every_measure_a_unit(
    bench: Bench, parts: list[QWidget]
) -> None:
    found: list[str] = []
    choice: Any = bench.review.live.tables
    for button in choice.buttons.values():
        bench.click_button(button)
        assert list(heads(choice))
        found += missing_in_heads([choice])
    found += missing_in_heads([p for p in parts if p is not bench.review.live])
    assert "\n".join(sorted(set(found))) == ""


def test_the_walk_notices_what_is_missing(bench: Bench) -> None:
    panel = bench.review.brush_panel
    panel.help.setToolTip("")
    panel.edit.slab.setToolTip("Thickness")
    panel.edit.slab.setSuffix("")
    assert missing_tips([panel.history]) == ["QWidget: QPushButton '?' in QWidget"]
    assert len(missing_units([panel])) == 1

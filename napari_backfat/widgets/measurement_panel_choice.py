"""The measurement tables with the choice between them; only the shown one is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.measure.profile import slice_profile
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.measurement_panel import MeasurementPanel
from napari_backfat.widgets.measurement_panel_regions import RegionTable
from napari_backfat.widgets.measurement_panel_rows import NO_LEVELS, table_of
from napari_backfat.widgets.plain_table import only_read
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from napari_backfat.model.case import Case

KINDS = {
    "muscles": "AI value, present value and difference of each muscle",
    "levels": "Every muscle within each vertebral level, from disc to disc",
    "discs": "Every muscle within 10 mm around the middle of each disc",
    "slices": "Area and fat of every muscle in each slice",
}


class MeasurementTables(QWidget):
    """Per muscle, per level, per disc or per slice.

    Signals
    -------
    slice_requested(int)
        A row was double-clicked: the slice of its largest area, working index Z.
    kind_chosen(str)
        Another table is shown: one of `KINDS`.
    """

    slice_requested = Signal(int)
    kind_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(STYLE)
        self.muscles = MeasurementPanel()
        self.regions = RegionTable()
        for table in (self.muscles, self.regions):
            only_read(table)
        self.empty = QLabel(NO_LEVELS)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._case: Case | None = None
        self._kind = "muscles"
        self.buttons: dict[str, QToolButton] = {}
        group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(3)
        for kind, tip in KINDS.items():
            button = check_button(f"Per {kind[:-1]}", f"{tip} (click)")
            policy = button.sizePolicy()
            policy.setHorizontalPolicy(policy.Policy.Maximum)
            button.setSizePolicy(policy)
            button.clicked.connect(lambda _=False, k=kind: self.show_kind(k))
            group.addButton(button)
            row.addWidget(button)
            self.buttons[kind] = button
        self.buttons["muscles"].setChecked(True)
        hint = QLabel("Click a column's head to sort, double-click a row to see its slice")
        themed(hint, "color: #8A93A0; font-size: 11px;")
        hint.setMinimumWidth(0)
        row.addWidget(hint, 1)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the table for a spreadsheet, with units (Ctrl+C in it)")
        self.copy_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.copy_button.setStyleSheet("padding: 1px 10px;")
        self.copy_button.clicked.connect(self._on_copy)
        row.addWidget(self.copy_button)
        self.stack = QStackedWidget()
        for page in (self.muscles, self.regions, self.empty):
            self.stack.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addLayout(row)
        column.addWidget(self.stack, 1)
        self.muscles.slice_requested.connect(self.slice_requested)
        self.regions.slice_requested.connect(self.slice_requested)

    @property
    def kind(self) -> str:
        """Which of `KINDS` is shown."""
        return self._kind

    def show_kind(self, kind: str) -> None:
        """Show one of `KINDS`."""
        self._kind = kind
        self.buttons[kind].setChecked(True)
        self.set_case(self._case)
        self.kind_chosen.emit(kind)

    def set_case(self, case: Case | None) -> None:
        """Show the present numbers of a case; None empties the tables."""
        self._case = case
        if self._kind == "muscles":
            ai = case.ai.measurement if case is not None and case.ai is not None else None
            if case is None:
                self.muscles.set_measurement(None, None)
            else:
                means = case.corrected, case.ai_corrected
                self.muscles.set_measurement(case.measurement, ai, *means)
            self.stack.setCurrentWidget(self.muscles)
            return
        table = None
        if case is not None:
            masks = case.masks
            profile = slice_profile(masks.ledger, masks.geometry, masks.fat_map.kind)
            still = case.corrected is not None and case.corrected.current
            known = case.corrected_regions if still else {}
            table = table_of(self._kind, profile, masks.geometry, case.vertebrae, known)
        self.regions.set_table(table)
        self.stack.setCurrentWidget(self.empty if table is None else self.regions)

    def _on_copy(self) -> None:
        self.copy()

    def copy(self) -> str:
        """Copy the shown table; returns the text."""
        return self.muscles.copy() if self._kind == "muscles" else self.regions.copy()

"""The form for what else is known about the person; nothing here moves a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.context import (
    FACTOR_SUGGESTIONS,
    GUIDANCE,
    GUIDANCE_SOURCE,
    WHY_NOT_COMPUTED,
    Factor,
    FactorGroup,
    PersonalContext,
)
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.instruments import BY_NAME, INSTRUMENTS
from napari_backfat.widgets.risk_style import note
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from typing import Any


class ContextPanel(QWidget):
    """Factors and scores of questionnaires, entered by hand.

    Signals
    -------
    context_changed(PersonalContext)
        A valid entry was added, removed or rewritten.
    """

    context_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("risk_context")
        self.context = PersonalContext()
        self.list = QListWidget()
        self.list.setMinimumHeight(60)
        self.group = QComboBox()
        for group in FactorGroup:
            self.group.addItem(group.value, group)
        self.factor = QComboBox()
        self.factor.setEditable(True)
        self.value = QLineEdit()
        self.value.setPlaceholderText("value, in your words")
        self.add_factor = QPushButton("Add")
        self.instrument = QComboBox()
        self.instrument.setEditable(True)
        self.instrument.addItems([i.name for i in INSTRUMENTS])
        self.score = QDoubleSpinBox()
        self.score.setRange(-1000, 100_000)
        self.score.setDecimals(1)
        self.score.setFixedWidth(90)
        for box in (self.factor, self.instrument):
            box.setMinimumContentsLength(12)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.value.setMinimumWidth(70)
        self.date = QLineEdit()
        self.date.setPlaceholderText("YYYY-MM-DD")
        self.date.setFixedWidth(92)
        self.add_score = QPushButton("Add")
        self.remove = QPushButton("Remove")
        self.remarks = QPlainTextEdit()
        self.remarks.setPlaceholderText("Remarks")
        self.remarks.setTabChangesFocus(True)
        self.remarks.setMaximumHeight(44)
        self.about = note()
        for widget, tip in (
            (self.list, "What is recorded with the case; it never enters the estimate"),
            (self.group, "Kind of the factor"),
            (self.factor, "Factor from the list, or your own words"),
            (self.value, "What is known of it, with its unit"),
            (self.add_factor, "Add this factor to the list"),
            (self.instrument, "Questionnaire or test from the list, or your own"),
            (self.score, "Score as the instrument counts it; points have no unit"),
            (self.date, "Day on which it was filled in: year-month-day"),
            (self.add_score, "Add this score to the list"),
            (self.remove, "Take the chosen entry off the list"),
            (self.remarks, "Free text, saved with the case"),
        ):
            widget.setToolTip(tip)
        self.problem = note()
        themed(self.problem, "color: #E08A1E; font-size: 11px;")
        why = note(WHY_NOT_COMPUTED)
        why.setStyleSheet("font-size: 11px; font-weight: bold;")
        guidance = note(GUIDANCE)
        guidance.setToolTip(GUIDANCE_SOURCE)
        source = note(f"Source: {GUIDANCE_SOURCE}")
        themed(source, "font-size: 10px; color: #9AA3AD;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(3)
        layout.addWidget(why)
        layout.addLayout(_row(self.group, self.factor, self.value, self.add_factor))
        layout.addLayout(_row(self.instrument, self.score, self.date, self.add_score))
        layout.addWidget(self.about)
        layout.addWidget(self.problem)
        layout.addWidget(self.list, 1)
        layout.addLayout(_row(self.remarks, self.remove))
        layout.addWidget(guidance)
        layout.addWidget(source)
        self.group.currentIndexChanged.connect(self._suggest)
        self.instrument.currentTextChanged.connect(self._describe)
        self.add_factor.clicked.connect(self._on_factor)
        self.add_score.clicked.connect(self._on_score)
        self.remove.clicked.connect(self._on_remove)
        self.remarks.textChanged.connect(self._on_remarks)
        self._suggest()
        self._describe(self.instrument.currentText())

    def set_context(self, context: PersonalContext) -> None:
        """Show a record without announcing it as an entry."""
        self.context = context
        self.list.clear()
        rows = context.model_copy(update={"remarks": ""}).lines()
        self.list.addItems(rows)
        if self.remarks.toPlainText().strip() != context.remarks:
            self.remarks.blockSignals(True)
            self.remarks.setPlainText(context.remarks)
            self.remarks.blockSignals(False)

    def _suggest(self, _: object = None) -> None:
        self.factor.clear()
        self.factor.addItems(list(FACTOR_SUGGESTIONS[self.group.currentData()]))

    def _describe(self, name: str) -> None:
        known = BY_NAME.get(name.strip())
        self.about.setText(
            f"{known.about}, total {known.low:g} to {known.high:g}. {known.source}"
            f"{f' Not checked: {known.unverified}.' if known.unverified else ''}"
            if known is not None
            else "Not in the list: any name and score are taken as they are."
        )

    def _on_factor(self) -> None:
        entry = {
            "group": self.group.currentData(),
            "name": self.factor.currentText(),
            "value": self.value.text(),
        }
        if self._take({"factors": [*self._plain("factors"), entry]}):
            self.value.clear()

    def _on_score(self) -> None:
        entry = {
            "name": self.instrument.currentText().strip(),
            "score": self.score.value(),
            "date": self.date.text(),
        }
        self._take({"instruments": [*self._plain("instruments"), entry]})

    def _on_remove(self) -> None:
        row = self.list.currentRow()
        factors, instruments = self._plain("factors"), self._plain("instruments")
        if 0 <= row < len(factors):
            del factors[row]
        elif 0 <= row - len(factors) < len(instruments):
            del instruments[row - len(factors)]
        self._take({"factors": factors, "instruments": instruments})

    def _on_remarks(self) -> None:
        self._take({"remarks": self.remarks.toPlainText()})

    def _plain(self, name: str) -> list[dict[str, Any]]:
        items: tuple[Factor, ...] = getattr(self.context, name)
        return [item.model_dump() for item in items]

    def _take(self, changes: dict[str, Any]) -> bool:
        try:
            found = PersonalContext.parse(self.context.model_dump() | changes)
        except BackfatError as error:
            self.problem.setText(str(error))
            return False
        self.problem.clear()
        if found != self.context:
            self.set_context(found)
            self.context_changed.emit(found)
        return True


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(3)
    for widget in widgets:
        row.addWidget(widget, 1 if isinstance(widget, (QComboBox, QPlainTextEdit)) else 0)
    return row

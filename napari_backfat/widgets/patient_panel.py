"""The form about the person: what the risk models read, each field may stay unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import MINUTES_PER_WEEK, VIGOROUS_MET, Patient
from napari_backfat.widgets.theme_colors import themed

if TYPE_CHECKING:
    from napari_backfat.model.person import Person

_UNKNOWN = "unknown"
_DIAGNOSES = (
    ("diabetes", "Diabetes"),
    ("dyslipidaemia", "Dyslipidaemia"),
    ("osteoporosis", "Osteoporosis"),
    ("osteoarthritis", "Osteoarthritis"),
)


class PatientPanel(QWidget):
    """Form for `Patient`.

    Signals
    -------
    patient_changed(Patient)
        What holds of the entries; the form says what was left out and why.
    """

    patient_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        form = QFormLayout()
        form.setVerticalSpacing(4)
        self.age = _number(120, 0, " years", "Age at the scan")
        self.sex = _choice((("female", "female"), ("male", "male")), "Sex as recorded")
        self.height_cm = _number(
            260, 0, " cm", "Recorded with the case; no risk model here reads it"
        )
        self.weight_kg = _number(
            400, 1, " kg", "Recorded with the case; no risk model here reads it"
        )
        self.moderate = _number(
            MINUTES_PER_WEEK, 0, " min/week", "Moderate activity at work, on the way and at leisure"
        )
        self.vigorous = _number(
            MINUTES_PER_WEEK, 0, " min/week", "Vigorous activity at work, on the way and at leisure"
        )
        self.met = _number(
            VIGOROUS_MET * MINUTES_PER_WEEK,
            0,
            " MET-min/week",
            "Enter this instead of the minutes if it is known. "
            "MET-min = 4 x moderate + 8 x vigorous minutes (GPAQ).",
        )
        form.addRow("Age", self.age)
        form.addRow("Sex", self.sex)
        form.addRow("Height", self.height_cm)
        form.addRow("Weight", self.weight_kg)
        form.addRow("Moderate activity", self.moderate)
        form.addRow("Vigorous activity", self.vigorous)
        form.addRow("or total", self.met)
        self.activity_note = QLabel()
        self.activity_note.setWordWrap(True)
        form.addRow("", self.activity_note)
        self.diagnoses: dict[str, QComboBox] = {}
        for key, label in _DIAGNOSES:
            box = _choice((("yes", True), ("no", False)), f"{label}, diagnosed by a doctor")
            self.diagnoses[key] = box
            form.addRow(label, box)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        themed(self.problem, "color: #E08A1E;")
        self._announcing = False
        self._offered: Person | None = None
        self.offer = QLabel()
        self.offer.setWordWrap(True)
        self.use_offer = QPushButton("Use")
        self.use_offer.setToolTip("Enter these values into the form; until then they go nowhere")
        self.use_offer.clicked.connect(self._on_use)
        self.offer_row = QWidget()
        row = QHBoxLayout(self.offer_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.offer, 1)
        row.addWidget(self.use_offer)
        layout = QVBoxLayout(self)
        layout.addWidget(self.offer_row)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addStretch(1)
        for spin in (
            self.age,
            self.height_cm,
            self.weight_kg,
            self.moderate,
            self.vigorous,
            self.met,
        ):
            spin.valueChanged.connect(self._on_entry)
        for combo in (self.sex, *self.diagnoses.values()):
            combo.currentIndexChanged.connect(self._on_entry)
        self._show_offer()

    def entries(self) -> dict[str, Any]:
        """Return what stands in the form, unknown fields as None."""
        return {
            "age_years": _value(self.age),
            "sex": self.sex.currentData(),
            "height_cm": _value(self.height_cm),
            "weight_kg": _value(self.weight_kg),
            "moderate_min_per_week": _value(self.moderate),
            "vigorous_min_per_week": _value(self.vigorous),
            "met_min_per_week": _value(self.met),
            **{key: box.currentData() for key, box in self.diagnoses.items()},
        }

    def set_patient(self, patient: Patient) -> None:
        """Show a patient without announcing it as an entry."""
        if self._announcing:  # it comes from this form, which may also hold what was left out
            return
        values = patient.model_dump(mode="json")
        boxes = {
            "age_years": self.age,
            "height_cm": self.height_cm,
            "weight_kg": self.weight_kg,
            "moderate_min_per_week": self.moderate,
            "vigorous_min_per_week": self.vigorous,
            "met_min_per_week": self.met,
        }
        widgets = [*boxes.values(), self.sex, *self.diagnoses.values()]
        for widget in widgets:
            widget.blockSignals(True)
        for key, box in boxes.items():
            box.setValue(box.minimum() if values[key] is None else values[key])
        self.sex.setCurrentIndex(max(0, self.sex.findData(values["sex"])))
        for key, combo in self.diagnoses.items():
            combo.setCurrentIndex(max(0, combo.findData(values[key])))
        for widget in widgets:
            widget.blockSignals(False)
        self.problem.clear()
        self.activity_note.setText(patient.activity_formula)
        self._show_offer()

    def set_offer(self, person: Person | None) -> None:
        """Offer what the images' header says about the person; nothing is entered by it."""
        self._offered = person
        self._show_offer()

    def _show_offer(self) -> None:
        """Show the offer as long as the form says something else."""
        text = "" if self._offered is None else self._offered.text
        offered = {} if self._offered is None else self._offered.entries
        entries = self.entries()
        differs = any(
            entries[name] is None or not _alike(entries[name], value)
            for name, value in offered.items()
        )
        self.offer.setText(f"From the DICOM header: {text}.")
        self.offer_row.setVisible(bool(text) and differs)

    def _on_use(self) -> None:
        if self._offered is None:
            return
        try:
            patient = Patient.parse(self.entries() | self._offered.entries)
        except BackfatError as error:
            self.problem.setText(str(error))
            return
        self.set_patient(patient)
        self.patient_changed.emit(patient)

    def _on_entry(self, _: Any = None) -> None:
        patient, left_out = Patient.usable(self.entries())
        self.problem.setText(" ".join(left_out))
        self.activity_note.setText(patient.activity_formula)
        self._show_offer()
        self._announcing = True
        self.patient_changed.emit(patient)
        self._announcing = False


def _number(maximum: float, decimals: int, suffix: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(-1, maximum)  # the lowest value stands for "unknown"
    box.setSpecialValueText(_UNKNOWN)
    box.setSuffix(suffix)
    box.setValue(-1)
    box.setToolTip(tip)
    box.setKeyboardTracking(False)
    return box


def _alike(entered: Any, offered: float | str) -> bool:
    """Whether a field shows what is offered, as far as it shows decimals."""
    if isinstance(offered, str):
        return bool(entered == offered)
    return abs(float(entered) - offered) < 1


def _value(box: QDoubleSpinBox) -> float | None:
    return None if box.value() < 0 else float(box.value())


def _choice(entries: tuple[tuple[str, Any], ...], tip: str) -> QComboBox:
    box = QComboBox()
    box.addItem(_UNKNOWN, None)
    for text, data in entries:
        box.addItem(text, data)
    box.setToolTip(tip)
    return box

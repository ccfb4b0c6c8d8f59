"""How lean and fat are told apart: the choice, its switches, and what it means in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.separate.method import METHODS
from napari_backfat.separate.recipe import (
    AUTO,
    FAT_FRACTION,
    MAX_LAYERS,
    Epimuscular,
    NoiseModel,
    Recipe,
    Scope,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.separate.method import SeparationMethod

_SCOPES = {Scope.CASE: "all muscles together", Scope.MUSCLE: "each muscle and side"}
_NOTES_SHOWN = 2
_SHOWN_LETTERS = 16
_LIST_MARGIN_PX = 24


class MethodsPanel(QWidget):
    """A form for a `Recipe`.

    Signals
    -------
    apply_clicked(object)
        The recipe in the form.
    compare_clicked(object)
        Compare all methods with the switches of this recipe.
    """

    apply_clicked = Signal(object)
    compare_clicked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dixon = False
        self._shown: Recipe | None = None
        self._noise_model = NoiseModel.MUSCLE  # of an earlier version, as long as it is in force
        self.method = QComboBox()
        self.method.setObjectName("fat_method")
        # The longest name of a method would make the whole panel wider, at the picture's cost.
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.method.setSizeAdjustPolicy(policy)
        self.method.setMinimumContentsLength(_SHOWN_LETTERS)
        self.image = QComboBox()
        self.image.setToolTip("What is classified; the fat fraction where there is one")
        self.scope = QComboBox()
        for scope, text in _SCOPES.items():
            self.scope.addItem(text, scope)
        self.scope.setToolTip("What one fit stands for; a small or lean muscle may be refused")
        self.intensity = QDoubleSpinBox()
        self.intensity.setRange(0.0, 1e9)
        self.intensity.setDecimals(1)
        self.intensity.setKeyboardTracking(False)
        self.intensity.setToolTip("In the units of the image: read lean and fat under the mouse")
        self.n4 = QCheckBox("Correct shading first (N4)")
        self.n4.setToolTip("For methods on one image; in a fat fraction the shading cancels")
        self.floor = QCheckBox("Take off the noise floor")
        self.floor.setToolTip(
            "Noise lifts the weak fat signal of lean muscle; estimated and taken off both images"
        )
        self.layers = QSpinBox()
        self.layers.setRange(0, MAX_LAYERS)
        self.layers.setToolTip(
            "Outer voxel layers of each muscle, in the slice, that are neither lean nor fat: they "
            "are mixed with what lies beside the muscle"
        )
        self.epimuscular = QCheckBox("Count fat between muscle and fascia")
        self.epimuscular.setChecked(True)
        self.epimuscular.setToolTip(
            "Off: fat outside the outline of the lean tissue (closed by 5 mm) is neither lean nor "
            "fat. Fat between multifidus and erector spinae always counts."
        )
        self.least_biased = QPushButton("Least biased")
        self.least_biased.setObjectName("least_biased")
        self.least_biased.setToolTip(
            "Sets the two switches that bring the fat map nearest to the truth: one outer layer "
            "left out, noise floor taken off. The corrected mean of the table needs neither. "
            "Published references were made without. Then use the method."
        )
        self.apply = QPushButton("Use this method")
        self.apply.setToolTip("Tell lean from fat anew; what was painted by hand stays")
        self.compare = QPushButton("Compare methods…")
        self.compare.setToolTip("All methods on this case, side by side; changes nothing")
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.note.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._compose()
        self.method.currentIndexChanged.connect(self._on_choice)
        self.image.currentIndexChanged.connect(self._on_choice)
        self.least_biased.clicked.connect(self._on_least_biased)
        self.apply.clicked.connect(lambda: self.apply_clicked.emit(self.recipe()))
        self.compare.clicked.connect(lambda: self.compare_clicked.emit(self.recipe()))
        self.set_scan([], [])

    def _compose(self) -> None:
        self.form = QFormLayout()
        self.form.setSpacing(4)
        self.form.addRow("Method", self.method)
        self.form.addRow("On", self.image)
        self.form.addRow("Fitted to", self.scope)
        self.form.addRow("Fat from", self.intensity)
        layers = QHBoxLayout()
        layers.addWidget(self.layers, 1)
        layers.addWidget(self.least_biased, 1)
        self.form.addRow("Outer layers left out", layers)
        buttons = QHBoxLayout()
        buttons.addWidget(self.apply, 1)
        buttons.addWidget(self.compare, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(self.form)
        layout.addWidget(self.n4)
        layout.addWidget(self.floor)
        layout.addWidget(self.epimuscular)
        layout.addLayout(buttons)
        layout.addWidget(self.note)

    # ------------------------------------------------------------------ state from outside

    def set_scan(self, methods: Sequence[SeparationMethod], images: Sequence[str]) -> None:
        """Offer the methods and images of a scan; none at all without a case."""
        self._dixon = FAT_FRACTION in images
        for box in (self.method, self.image):
            box.blockSignals(True)
            box.clear()
        for method in methods:
            self.method.addItem(method.title, method.key)
            self.method.setItemData(
                self.method.count() - 1, method.meaning, Qt.ItemDataRole.ToolTipRole
            )
        for image in images:
            self.image.addItem(image, image)
        names = self.method.view()
        if names is not None:  # whole in the open list
            metrics = self.method.fontMetrics()
            widest = max((metrics.horizontalAdvance(m.title) for m in methods), default=0)
            names.setMinimumWidth(widest + _LIST_MARGIN_PX)
        for box in (self.method, self.image):
            box.blockSignals(False)
        self.setEnabled(bool(methods))
        if not methods:
            self.note.setText("")
        self._on_choice()

    def set_recipe(self, recipe: Recipe, text: str, warnings: Sequence[str]) -> None:
        """Show what is in force, in the form and in words."""
        self._shown = recipe
        self._noise_model = recipe.noise_model if recipe.noise_floor else NoiseModel.MUSCLE
        self.method.setCurrentIndex(max(0, self.method.findData(recipe.method)))
        image = FAT_FRACTION if recipe.image == AUTO and self._dixon else recipe.image
        self.image.setCurrentIndex(max(0, self.image.findData(image)))
        self.scope.setCurrentIndex(self.scope.findData(recipe.scope))
        self.n4.setChecked(recipe.bias_correction)
        self.floor.setChecked(recipe.noise_floor)
        self.layers.setValue(recipe.eroded_layers)
        self.epimuscular.setChecked(recipe.epimuscular is Epimuscular.COUNTED)
        if recipe.method == "fixed" and recipe.threshold is not None:
            self.intensity.setValue(recipe.threshold)
        self.set_text(text, warnings)
        self._on_choice()

    def set_text(self, text: str, warnings: Sequence[str]) -> None:
        """Show the sentence for a methods section and what limits the numbers."""
        lines = [text, *(f"\N{WARNING SIGN} {w}" for w in warnings[:_NOTES_SHOWN])]
        if len(warnings) > _NOTES_SHOWN:
            lines.append(f"{len(warnings) - _NOTES_SHOWN} more remarks: see here")
        self.note.setText("\n".join(lines))
        self.note.setToolTip("\n".join([text, *warnings]))

    # ------------------------------------------------------------------ the form

    def recipe(self) -> Recipe:
        """Return what stands in the form; a stated fat fraction is the slider's business."""
        key = self.method.currentData() or "dixon"
        image = self.image.currentData() or AUTO
        base = self._shown if self._shown is not None else Recipe(key)
        threshold = self.intensity.value() if key == "fixed" else None
        if key == "dixon":
            threshold = base.threshold if base.method == "dixon" else 0.5
        suits = key in METHODS and METHODS[key].suits(image)
        floor = self.floor.isChecked() and self._dixon
        return replace(
            base,
            method=key,
            image=AUTO if not suits or image == FAT_FRACTION else image,
            scope=self.scope.currentData(),
            threshold=threshold,
            bias_correction=self.n4.isChecked(),
            noise_floor=floor,
            noise_model=self._noise_model if floor else NoiseModel.VOXEL,
            eroded_layers=self.layers.value(),
            epimuscular=Epimuscular.COUNTED
            if self.epimuscular.isChecked()
            else Epimuscular.EXCLUDED,
        )

    def _on_least_biased(self) -> None:
        wanted = self.recipe().least_biased
        self._noise_model = wanted.noise_model
        self.layers.setValue(wanted.eroded_layers)
        self.floor.setChecked(wanted.noise_floor)

    def _on_choice(self, _: int = 0) -> None:
        """Enable only what the chosen method reads."""
        key = self.method.currentData()
        if key is None:
            return
        method = METHODS[key]
        on_fraction = method.suits(FAT_FRACTION) and self.image.currentData() == FAT_FRACTION
        self.image.setEnabled(self._dixon and method.suits("water"))
        self.scope.setEnabled(not method.stated)
        self.intensity.setEnabled(key == "fixed")
        self.floor.setEnabled(self._dixon)
        self.least_biased.setEnabled(self._dixon)
        self.n4.setEnabled(method.suits("water") and not on_fraction)
        self.method.setToolTip(method.meaning)

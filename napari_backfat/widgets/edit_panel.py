"""The palette of correction tools, and below it the options of the chosen one only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QDoubleRangeSlider

from napari_backfat.review.edits import Extent
from napari_backfat.widgets.buttons import STYLE, check_button
from napari_backfat.widgets.key_slider import KeySlider
from napari_backfat.widgets.memory import recall_flag, remember
from napari_backfat.widgets.tool_table import (
    BY_NAME,
    EXTENTS,
    MAY_BE_SHOWN_FIRST,
    SHOWN_FIRST,
    TOOLS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = 8
_BUTTON_PX = 22
# No bold: the frame tells which one is chosen, and a row of eight has no room for wider letters.
_PALETTE = STYLE + " QToolButton { padding: 0px; } QToolButton:checked { font-weight: normal; }"
_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_ROWS = (
    ("size", "fill_by", "line", "extent", "slab", "who", "first", "ball"),
    ("image", "window", "window_text", "strength", "kind", "amount", "apply"),
)


class EditPanel(QWidget):
    """Says which tool the person chose and how it is set; decides nothing.

    Signals
    -------
    chosen(str)
        Name of a tool or an action of `tool_table`.
    applied(str)
        An action is to be done now.
    options_changed()
        Something below the palette was set.
    size_chosen(float), ball_chosen(bool)
        Diameter of the brushes in mm; ball instead of disc.
    """

    chosen = Signal(str)
    applied = Signal(str)
    options_changed = Signal()
    size_chosen = Signal(float)
    ball_chosen = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet(_PALETTE)
        self.name = "pan_zoom"
        self._amounts = {s.name: s.amount[5] for s in TOOLS if s.amount is not None}
        self._extents = {name: Extent(value) for name, value in EXTENTS.items()}
        self._first = {n: recall_flag("show first", n) for n in MAY_BE_SHOWN_FIRST}
        self._values_of: dict[str, tuple[float, float]] = {}
        self.buttons: dict[str, QToolButton] = {}
        self.options: dict[str, QWidget] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(self._palette())
        self._make_options()
        for names in _ROWS:
            holder = QWidget()
            holder.setFixedHeight(26)
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(4)
            for name in names:
                row.addWidget(
                    self.options[name], 1 if name in ("size", "window", "strength") else 0
                )
            row.addStretch(0)
            layout.addWidget(holder)
        self.show_tool("pan_zoom")

    # ------------------------------------------------------------------ building

    def _palette(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(2)
        for number, spec in enumerate(TOOLS):
            button = check_button(spec.label, f"{spec.tip} ({spec.shown_key})", tight=True)
            button.clicked.connect(lambda _=False, n=spec.name: self._on_button(n))
            self.buttons[spec.name] = button
            grid.addWidget(button, number // _COLUMNS, number % _COLUMNS)
        return grid

    def _on_button(self, name: str) -> None:
        self.buttons[name].setChecked(True)  # a second click must not take the mark away
        self.chosen.emit(name)

    def _make_options(self) -> None:
        self.diameter = KeySlider(single=0.5, page=5.0)
        self.diameter.setRange(1.0, 40.0)
        self.diameter.setDecimals(1)
        self.diameter.setValue(8.0)
        self.diameter.setToolTip(
            "Diameter of the brush in millimetres ([ smaller, ] larger, or Ctrl+wheel)"
        )
        self.diameter.valueChanged.connect(self.size_chosen)
        self.ball = check_button("3D", "Ball instead of disc: works in neighbouring slices too (T)")
        self.ball.toggled.connect(self.ball_chosen)
        self.image = _combo("Image whose values limit the tool", ())
        self.image.currentTextChanged.connect(self._on_image)
        # superqt's stubs leave this class untyped.
        self.window_slider: Any = QDoubleRangeSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.window_slider.setToolTip(
            "Window of values: fat fraction in %, other images in their own units. "
            "Ctrl+click or Ctrl+drag on the image picks it"
        )
        self.window_slider.setRange(0.0, 100.0)
        self.window_slider.setValue((0.0, 50.0))
        self.window_slider.valueChanged.connect(self._show_window)
        self.window_text = QLabel()
        self.window_text.setMinimumWidth(70)
        self.window_text.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.window_slider.valueChanged.connect(self.options_changed)
        self.strength = KeySlider(single=1.0, page=5.0)
        self.strength.setRange(0.0, 30.0)
        self.strength.setDecimals(0)
        self.strength.setValue(8.0)
        self.strength.setToolTip(
            "How strongly edges stop the brush (no unit): 0 not at all, 8 usual"
        )
        self.strength.valueChanged.connect(self.options_changed)
        self.extent = _combo("Slices that are changed", [e.value for e in Extent])
        self.extent.currentTextChanged.connect(self._on_extent)
        self.slab = _number(" mm", 1, 400, 5, 20, "Thickness of the slab around this slice, in mm")
        self.who = _combo("Muscles that are changed", ("chosen muscle", "all muscles"))
        self.kind = _combo("How to smooth", ("together", "one (median)"))
        self.line = _combo("What the line does", ("divides", "joins"))
        self.fill_by = _combo("What is filled", ("same label", "similar values"))
        self.amount = _number("", 0, 1, 1, 0, "Number of the chosen tool, in mm or ml")
        self.amount.valueChanged.connect(self._on_amount)
        self.first = check_button(
            "Show first",
            "Show in colours what this operation would do (yellow gained, red lost, green "
            "to another muscle) and wait: Enter or its key accepts, Esc refuses. Remembered for "
            "each operation",
        )
        self.first.clicked.connect(self._on_first)
        self.apply = QPushButton("Apply")
        self.apply.setToolTip("Do what the chosen tool does")
        self.apply.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.apply.clicked.connect(lambda: self.applied.emit(self.name))
        for box in (self.who, self.kind, self.line, self.fill_by):
            box.currentTextChanged.connect(lambda _: self._refresh())
        self.slab.valueChanged.connect(self.options_changed)
        self.options = {
            "size": self.diameter, "ball": self.ball, "image": self.image,
            "window": self.window_slider, "window_text": self.window_text,
            "strength": self.strength, "extent": self.extent,
            "slab": self.slab, "who": self.who, "kind": self.kind, "line": self.line,
            "fill_by": self.fill_by, "amount": self.amount, "first": self.first,
            "apply": self.apply,
        }  # fmt: skip

    # ------------------------------------------------------------------ the chosen tool

    def show_tool(self, name: str | None) -> None:
        """Mark a tool and show its options; None (a tool of napari) marks none."""
        self.name = name or ""
        spec = BY_NAME.get(self.name)
        for other, button in self.buttons.items():
            # The mouse keeps its tool while an action shows its options.
            if spec is None or not spec.action or BY_NAME[other].action:
                button.setChecked(other == name)
        if spec is not None and spec.amount is not None:
            prefix, unit, low, high, step, _ = spec.amount
            self.amount.blockSignals(True)
            self.amount.setRange(low, high)
            self.amount.setSingleStep(step)
            self.amount.setPrefix(prefix)
            self.amount.setSuffix(unit)
            self.amount.setToolTip(spec.tip)
            # Qt does not count napari's buttons on both sides, and would cut "mm" off.
            self.amount.setMinimumWidth(self.amount.sizeHint().width() + _BUTTON_PX)
            self.amount.setValue(self._amounts[self.name])
            self.amount.blockSignals(False)
        if self.name in self._extents:
            self.extent.blockSignals(True)
            self.extent.setCurrentText(self._extents[self.name].value)
            self.extent.blockSignals(False)
        self.first.setChecked(self.shows_first(self.name))
        if spec is not None and spec.action:
            self.apply.setText(f"{spec.label}: apply")
            self.apply.setToolTip(f"{spec.tip} ({spec.shown_key})")
        self._refresh()

    def _refresh(self) -> None:
        spec = BY_NAME.get(self.name)
        shown = set(spec.options) if spec is not None else set()
        if self.name in self._first:
            shown.add("first")
        if self.name == "fill" and self.fill_by.currentText() == "same label":
            shown -= {"image", "window"}
        if "window" in shown:
            shown.add("window_text")
        if "extent" in shown and self.extent.currentText() != Extent.SLAB.value:
            shown.discard("slab")
        # First hidden, then shown: Qt lays out the whole window at each widget that appears, and
        # the options of two tools together would widen the dock.
        for wanted in (False, True):
            for name, widget in self.options.items():
                if (name in shown) == wanted:
                    widget.setVisible(wanted)
        self.options_changed.emit()

    def amount_of(self, name: str) -> float:
        """Return the number set for a tool, in the unit of its table entry."""
        return self._amounts[name]

    def extent_of(self, name: str) -> Extent:
        """Return the slices set for a tool."""
        return self._extents.get(name, Extent.SLAB)

    def shows_first(self, name: str) -> bool:
        """Whether an operation is shown before it is written."""
        return name in SHOWN_FIRST or self._first.get(name, False)

    def _on_first(self, wanted: bool) -> None:
        self._first[self.name] = wanted
        remember("show first", self.name, wanted)

    def _on_amount(self, value: float) -> None:
        if self.name in self._amounts:
            self._amounts[self.name] = value
        self.options_changed.emit()

    def _on_extent(self, text: str) -> None:
        if self.name in self._extents:
            self._extents[self.name] = Extent(text)
        self._refresh()

    # ------------------------------------------------------------------ window of values

    def set_images(self, ranges: dict[str, tuple[float, float]], chosen: str) -> None:
        """Offer images with the range of their values; the fat map runs from 0 to 1."""
        self._values_of = dict(ranges)
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems(list(ranges))
        self.image.setCurrentText(chosen)
        self.image.blockSignals(False)
        self._on_image(self.image.currentText())

    def _on_image(self, name: str) -> None:
        low, high = self._values_of.get(name, (0.0, 1.0))
        scale = self._scale(name)
        self.window_slider.blockSignals(True)
        self.window_slider.setRange(low * scale, max(high, low + 1e-3) * scale)
        self.window_slider.setValue((low * scale, (low + high) / 2 * scale))
        self.window_slider.blockSignals(False)
        self._show_window()
        self.options_changed.emit()

    @property
    def limits(self) -> tuple[str, float, float] | None:
        """Image and window (low, high) in its units; None without an image."""
        name = self.image.currentText()
        if not name:
            return None
        low, high = self.window_slider.value()
        return name, low / self._scale(name), high / self._scale(name)

    def set_window(self, name: str, low: float, high: float) -> None:
        """Show a picked window; a part outside the slider's range is cut off."""
        scale = self._scale(name)
        self.window_slider.blockSignals(True)
        first, last = self.window_slider.minimum(), self.window_slider.maximum()
        self.window_slider.setValue(
            (min(max(low * scale, first), last), max(min(high * scale, last), first))
        )
        self.window_slider.blockSignals(False)
        self._show_window()

    def _show_window(self, _: object = None) -> None:
        low, high = self.window_slider.value()
        unit = " %" if self._scale(self.image.currentText()) == 100 else ""
        self.window_text.setText(f"{low:.0f} to {high:.0f}{unit}")

    def _scale(self, name: str) -> float:
        return 100.0 if self._values_of.get(name) == (0.0, 1.0) else 1.0

    # ------------------------------------------------------------------ what can be used

    def set_usable(self, has_case: bool, on_muscle: bool, axial: bool, flat: bool) -> None:
        """Grey what cannot be used now.

        Parameters
        ----------
        has_case : bool
            A case is open.
        on_muscle : bool
            A muscle is chosen, not a tissue.
        axial : bool
            Axial slices are on display.
        flat : bool
            A slice is on display, not the 3D view.
        """
        for spec in TOOLS:
            usable = has_case and (on_muscle or not spec.needs_muscle)
            if spec.name in ("copy", "mirror"):
                usable = usable and axial
            if not spec.action and spec.name != "pan_zoom":
                usable = usable and flat
            self.buttons[spec.name].setEnabled(usable)


def _combo(tip: str, items: Sequence[str]) -> QComboBox:
    box = QComboBox()
    box.addItems(list(items))
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(_SHORT)
    box.setMinimumContentsLength(9)
    box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return box


def _number(
    suffix: str, low: float, high: float, step: float, value: float, tip: str
) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(1)
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setSuffix(suffix)
    box.setValue(value)
    box.setToolTip(tip)
    box.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    return box

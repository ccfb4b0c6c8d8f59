"""A sagittal localiser with the disc lines on it, to be dragged."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from napari_backfat.model.vertebrae import LevelSource, VertebralLevels
from napari_backfat.widgets.plot_style import FAINT, GROUND, HERE, TEXT, PlotField, plain_plot

if TYPE_CHECKING:
    from napari_backfat.model.localiser import Localiser

_GRAB_PX = 8.0
_NEAREST_SLICES = 0.5  # two discs never come closer
_HELP = (
    "Drag a disc line; Shift-click adds one. A click elsewhere goes to that slice of the scan, the "
    "wheel to the next sagittal slice. Dashed: first and last slice of the scan."
)


class LocaliserView(QWidget):
    """A window of its own, because its voxels must not become steps of napari's slice slider.

    The picture keeps the localiser's own voxels; lines are the cuts of the axial slices with it,
    tilted as the scans are.

    Signals
    -------
    moved(object), released(object)
        `VertebralLevels` while a line is dragged, and when it is let go.
    changed(object)
        `VertebralLevels` with a line more.
    slice_requested(int)
        Go to this slice of the case.
    """

    moved = Signal(object)
    released = Signal(object)
    changed = Signal(object)
    slice_requested = Signal(int)

    def __init__(self, localiser: Localiser, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("localiser")
        self.setWindowTitle("Sagittal localiser")
        self.resize(460, 720)
        self.localiser = localiser
        self._levels: VertebralLevels | None = None
        self._held: int | None = None
        self._slice = 0
        self.field = PlotField()
        self.field.setAspectLocked(True)
        self.field.invertY(True)
        self._graphics = pg.GraphicsLayoutWidget(parent=self)
        self._graphics.setBackground(GROUND)
        self.item = plain_plot(self.field, self)
        for axis in ("left", "bottom"):
            self.item.hideAxis(axis)
        self._graphics.addItem(self.item)
        self.picture = pg.ImageItem(axisOrder="row-major")
        self.item.addItem(self.picture)
        low, high = np.percentile(localiser.image.voxels, (1, 99.5))
        self.picture.setLevels((float(low), float(max(high, low + 1e-6))))
        self._here = self._curve(HERE, 1.0, Qt.PenStyle.DotLine)
        self._ends = [self._curve(FAINT, 1.2, Qt.PenStyle.DashLine) for _ in range(2)]
        self.lines: list[pg.PlotCurveItem] = []
        self.names: list[pg.TextItem] = []
        self.position = QSlider(Qt.Orientation.Horizontal)
        self.position.setRange(0, localiser.image.geometry.shape[2] - 1)
        self.position.setToolTip("Sagittal slice, from the patient's right to the left")
        self._where = QLabel()
        row = QHBoxLayout()
        row.addWidget(self.position, 1)
        row.addWidget(self._where)
        about = QLabel(f"{localiser.text}.\n{_HELP}")
        about.setWordWrap(True)
        about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.addWidget(self._graphics, 1)
        layout.addLayout(row)
        layout.addWidget(about)
        self.position.valueChanged.connect(self._show_slice)
        self.field.pressed.connect(self._press)
        self.field.picked.connect(self._drag)
        self.field.dropped.connect(self._drop)
        self.field.wheeled.connect(
            lambda steps: self.position.setValue(self.position.value() + steps)
        )
        self.position.setValue(localiser.middle)
        self._show_slice()

    # ------------------------------------------------------------------ shown

    def set_levels(self, levels: VertebralLevels | None) -> None:
        """Show these levels; ignored while a line is dragged here."""
        if self._held is None:
            self._levels = levels
            self._draw()

    def set_slice(self, index: int) -> None:
        """Mark the case's slice on display."""
        self._slice = index
        self._here.setData(*self._line(index))

    def _curve(self, color: object, width: float, style: Qt.PenStyle) -> pg.PlotCurveItem:
        curve = pg.PlotCurveItem(pen=pg.mkPen(color, width=width, style=style))
        self.item.addItem(curve)
        return curve

    def _show_slice(self, _: int = 0) -> None:
        geometry, x = self.localiser.image.geometry, self.position.value()
        step_z, step_y, _x = geometry.spacing_mm
        self.picture.setImage(self.localiser.image.voxels[:, :, x], autoLevels=False)
        size = (geometry.shape[1] * step_y, geometry.shape[0] * step_z)
        self.picture.setRect(-step_y / 2, -step_z / 2, *size)
        self.field.setRange(
            xRange=(-step_y / 2, size[0] - step_y / 2), yRange=(-step_z / 2, size[1] - step_z / 2)
        )
        self._where.setText(f"{x + 1} of {geometry.shape[2]}")
        depth = self.localiser.scan.shape[0]
        for curve, edge in zip(self._ends, (-0.5, depth - 0.5), strict=True):
            curve.setData(*self._line(edge))
        self.set_slice(self._slice)
        self._draw()

    def _line(self, slice_index: float) -> tuple[list[float], list[float]]:
        """Return the x and y, in mm of the picture, of an axial slice's cut."""
        step_z, step_y, _ = self.localiser.image.geometry.spacing_mm
        front, back = self.localiser.line(slice_index, self.position.value())
        return [front[1] * step_y, back[1] * step_y], [front[0] * step_z, back[0] * step_z]

    def _draw(self) -> None:
        discs = self._levels.discs if self._levels is not None else ()
        while len(self.lines) < len(discs):
            self.lines.append(self._curve(HERE, 2.0, Qt.PenStyle.SolidLine))
        for number, line in enumerate(self.lines):
            line.setVisible(number < len(discs))
            if number < len(discs):
                line.setData(*self._line(discs[number]))
        shown = self._levels.vertebrae if self._levels is not None else ()
        while len(self.names) < len(shown):
            text = pg.TextItem(color=TEXT, anchor=(0, 0.5))
            self.item.addItem(text)
            self.names.append(text)
        guess = "" if self._levels is None or self._levels.numbering_stated else "?"
        for number, text in enumerate(self.names):
            text.setVisible(number < len(shown))
            if number < len(shown):
                text.setText(shown[number] + guess)
                text.setPos(*self._name_place(number, discs))

    def _name_place(self, number: int, discs: tuple[float, ...]) -> tuple[float, float]:
        """Between two lines, or half a vertebra beyond the outermost."""
        half = 17.0 / self.localiser.scan.spacing_mm[0]
        if number == 0:
            at = discs[0] - half
        elif number == len(discs):
            at = discs[-1] + half
        else:
            at = (discs[number - 1] + discs[number]) / 2
        x, y = self._line(at)
        return x[0] + 0.03 * (x[1] - x[0]), y[0]

    # ------------------------------------------------------------------ mouse

    def slice_under(self, x: float, y: float) -> float:
        """Return the continuous slice index Z of the case at a point of the picture, in mm."""
        step_z, step_y, _ = self.localiser.image.geometry.spacing_mm
        return self.localiser.slice_at(y / step_z, x / step_y, self.position.value())

    def _press(self, x: float, y: float) -> None:
        z = self.slice_under(x, y)
        if self.field.with_shift:
            self.add(z)
            return
        discs = self._levels.discs if self._levels is not None else ()
        pixels = [
            abs(d - z) * self.localiser.scan.spacing_mm[0] / self.field.viewPixelSize()[1]
            for d in discs
        ]
        nearest = int(np.argmin(pixels)) if pixels else None
        if nearest is not None and pixels[nearest] <= _GRAB_PX:
            self._held = nearest
        elif -0.5 <= z < self.localiser.scan.shape[0] - 0.5:
            self.slice_requested.emit(round(z))

    def _drag(self, x: float, y: float) -> None:
        if self._held is None or self._levels is None:
            return
        discs, at = self._levels.discs, self._held
        z = self.slice_under(x, y)
        if at > 0:
            z = max(z, discs[at - 1] + _NEAREST_SLICES)
        if at + 1 < len(discs):
            z = min(z, discs[at + 1] - _NEAREST_SLICES)
        z = round(z, 2)
        neighbours = (*discs[:at], z, *discs[at + 1 :])
        if z == discs[at] or any(a >= b for a, b in itertools.pairwise(neighbours)):
            return
        self._levels = self._placed_here(self._levels.moved(at, z))
        self._draw()
        self.moved.emit(self._levels)

    def _drop(self) -> None:
        if self._held is not None:
            self._held = None
            self.released.emit(self._levels)

    def add(self, z: float) -> None:
        """Put a disc line there, also outside the scan; the first one is named by a guess."""
        if self._levels is None:
            made = VertebralLevels(
                (round(z, 2),),
                "T12",
                source=LevelSource.LOCALISER,
                edited=True,
                numbering_stated=False,
                localiser=self.localiser.text,
            )
        elif min(abs(d - z) for d in self._levels.discs) < _NEAREST_SLICES:
            return
        else:
            try:
                made = self._placed_here(self._levels.with_disc(round(z, 2)))
            except ValueError:
                return  # no name is left for another vertebra
        self.changed.emit(made)

    def _placed_here(self, levels: VertebralLevels) -> VertebralLevels:
        return replace(levels, localiser=self.localiser.text)

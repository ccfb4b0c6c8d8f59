"""How the fat map is distributed inside the shown muscles, with the threshold to drag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor

from napari_backfat.measure.histogram import BINS
from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.colors import tissue_rgba
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.widgets.plot_style import (
    GROUND,
    HERE,
    TEXT,
    PlotField,
    font,
    kept_limit,
    muscle_pen,
    plain_plot,
    quiet_axis,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.anatomy import Muscle

_GRAB_PX = 8
_EDGES = np.arange(BINS + 1, dtype=np.float64)
_TIP = (
    "Volume of the shown muscles per percentage point. Blue counts as lean, yellow as fat. Drag "
    "the line to move the fat threshold; hand-painted voxels keep their tissue."
)


def _tint(code: TissueCode) -> QColor:
    red, green, blue, _ = tissue_rgba(code)
    return QColor.fromRgbF(red, green, blue, 0.85)


class HistogramPanel(pg.GraphicsLayoutWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A histogram in steps of 1 % with a threshold line that can be dragged.

    Signals
    -------
    threshold_dragged(float), threshold_done()
        Fat threshold 0..1 while the line moves, in whole percent, and the end of the movement.
    """

    threshold_dragged = Signal(float)
    threshold_done = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("histogram_panel")
        self.setBackground(GROUND)
        self.setToolTip(_TIP)
        self.ci.layout.setContentsMargins(2, 2, 14, 2)
        self.ci.layout.setVerticalSpacing(0)
        self.title = self.ci.addLabel("", row=0, col=0, size="11px")
        self.title.setMaximumHeight(17)
        self.note = self.ci.addLabel("", row=1, col=0, size="11px", color=TEXT.name())
        self.note.setMaximumHeight(16)
        self.item = plain_plot(PlotField(), self)
        self.ci.addItem(self.item, row=2, col=0)
        for name in ("left", "bottom"):
            quiet_axis(self.item.getAxis(name))
        self.item.getAxis("left").setWidth(46)
        self.item.getAxis("bottom").setHeight(34)
        self.item.getAxis("bottom").setTicks([[(v, str(v)) for v in range(0, 101, 20)]])
        self.item.setLabel("left", "ml per 1 %", color=TEXT.name(), **{"font-size": "11px"})
        self.item.setLabel("bottom", "Fat fraction (%)", color=TEXT.name(), **{"font-size": "11px"})
        self.item.vb.setXRange(0, BINS, padding=0.01)
        self._fills = [
            pg.PlotCurveItem(fillLevel=0, brush=_tint(code), pen=None)
            for code in (TissueCode.LEAN, TissueCode.FAT)
        ]
        self._outlines: list[pg.PlotCurveItem] = []
        for fill in self._fills:
            self.item.addItem(fill, ignoreBounds=True)
        self.line = pg.InfiniteLine(
            50.0,
            angle=90,
            pen=pg.mkPen(HERE, width=2),
            label="",
            labelOpts={"position": 0.9, "color": HERE, "fill": (27, 30, 35, 210), "movable": False},
        )
        self.line.label.setFont(font(bold=True))
        self.line.setCursor(Qt.CursorShape.SizeHorCursor)
        self.item.addItem(self.line, ignoreBounds=True)
        field = self.item.vb
        field.pressed.connect(self._on_pressed)
        field.picked.connect(self._on_dragged)
        field.dropped.connect(self._on_done)
        self._ml: NDArray[np.floating[Any]] = np.zeros(BINS)
        self._limit = 0.0
        self._held = self._changed = False
        self._kind: tuple[FatMapKind, bool] | None = None
        self._texts: dict[Any, str] = {}
        self._threshold = 0.5
        self._name_line()

    # ------------------------------------------------------------------ values

    def set_kind(self, kind: FatMapKind, moved: bool = False) -> None:
        """Say what the horizontal axis means.

        Parameters
        ----------
        kind : FatMapKind
            Of the fat map.
        moved : bool
            Whether the method decides by other values than those that are averaged: then every
            border lies at 50 %.
        """
        if (kind, moved) == self._kind:
            return
        self._kind = (kind, moved)
        names = {
            FatMapKind.FAT_FRACTION: "Fat fraction (%)",
            FatMapKind.MIXTURE: "Probability of the fat class (%)",
            FatMapKind.INTENSITY: "Intensity towards fat, border at 50 (%)",
            FatMapKind.NONE: "No fat map",
        }
        moved_name = "Decision of the method, border at 50 (%)"
        self.item.getAxis("bottom").setLabel(moved_name if moved else names[kind])
        self.line.setVisible(kind is not FatMapKind.NONE)

    def set_histogram(
        self,
        title: str,
        ml: NDArray[np.floating[Any]],
        undefined_ml: float,
        sides: Mapping[Muscle, NDArray[np.floating[Any]]] | None = None,
    ) -> None:
        """Show a distribution.

        Parameters
        ----------
        title : str
            Which muscles.
        ml : ndarray, shape (100,)
            Volume in each bin of 1 %, millilitres.
        undefined_ml : float
            Volume without a fat value.
        sides : mapping of Muscle to ndarray, optional
            The same for single muscles, drawn as outlines.
        """
        self._ml = ml
        self._write(self.title, f"<b>{title}</b>")
        total = float(ml.sum()) + undefined_ml
        undefined = f"no fat value: {100 * undefined_ml / total:.1f} %" if total > 0 else "empty"
        self._write(self.note, f"{total:.1f} ml, {undefined}")
        self._fill()
        for outline in self._outlines:
            self.item.removeItem(outline)
        self._outlines = []
        for muscle, values in (sides or {}).items():
            outline = pg.PlotCurveItem(
                _EDGES, values, stepMode="center", pen=muscle_pen(muscle), antialias=False
            )
            outline.setZValue(5)
            self.item.addItem(outline, ignoreBounds=True)
            self._outlines.append(outline)
        limit = kept_limit(self._limit, float(ml.max(initial=0.0)))
        if limit != self._limit:
            self._limit = limit
            self.item.vb.setYRange(0, limit, padding=0)

    def set_threshold(self, threshold: float) -> None:
        """Show the threshold in force, 0..1; a line in the person's hand stays there."""
        if threshold == self._threshold or self._held:
            return
        self._threshold = threshold
        self.line.setValue(100 * threshold)
        self._name_line()
        self._fill()

    def _write(self, label: pg.LabelItem, text: str) -> None:
        if self._texts.get(label) != text:  # laying out rich text is dear
            self._texts[label] = text
            label.setText(text, size="11px", color=TEXT.name())

    def _fill(self) -> None:
        """Colour the bins on both sides of the threshold."""
        at = min(max(round(100 * self._threshold), 0), BINS)
        for fill, part in zip(self._fills, (slice(0, at), slice(at, BINS)), strict=True):
            values = self._ml[part]
            if values.size:
                fill.setData(
                    _EDGES[part.start : part.stop + 1], values, stepMode="center", fillLevel=0
                )
            else:
                fill.clear()

    def _name_line(self) -> None:
        self.line.label.setFormat(f"fat from {100 * self._threshold:.0f} %")
        # The name stands on the side that has room for it.
        self.line.label.setAnchor((1.05, 0.5) if self._threshold > 0.6 else (-0.05, 0.5))

    # ------------------------------------------------------------------ mouse

    def _on_pressed(self, x: float, y: float) -> None:
        """Take the line if it is near; a stray click must not change the tissue of a whole case."""
        reach = _GRAB_PX * self.item.vb.viewPixelSize()[0]
        self._held = self.line.isVisible() and abs(x - self.line.value()) <= reach

    def _on_dragged(self, x: float, y: float) -> None:
        if not self._held:
            return
        percent = min(max(round(x), 0), 100)
        if percent != round(100 * self._threshold):
            self._threshold = percent / 100
            self.line.setValue(percent)
            self._name_line()
            self._fill()
            self._changed = True
            self.threshold_dragged.emit(self._threshold)

    def _on_done(self) -> None:
        if self._held and self._changed:
            self.threshold_done.emit()
        self._held = self._changed = False

"""Area and fat fraction of each muscle along the spine, left against right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal

from napari_backfat.model.anatomy import MuscleGroup, Side, muscle_of
from napari_backfat.widgets.plot_style import (
    FAINT,
    GROUND,
    HERE,
    TEXT,
    PlotField,
    kept_limit,
    muscle_color,
    muscle_pen,
    nice_limit,
    plain_plot,
    polyline,
    quiet_axis,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_backfat.measure.profile import SliceProfile
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.vertebrae import VertebralLevels

FAINT_TEXT = "#9AA1AB"
_SIDES = (Side.LEFT, Side.RIGHT)
_LEVEL_AXIS_PX = 26
_SLICE_AXIS_PX = 40
_TICKS_ALONG = 6
_FLAT_PX = 180
_TIP = (
    "Head at the top. Click or drag to go to a slice; the wheel goes slice by slice. "
    "Solid: patient's left, dashed: right. Dotted lines: discs between the named levels."
)


@dataclass(frozen=True)
class Along:
    """Something measured in every slice.

    Attributes
    ----------
    label, short : str
        Axis label with unit, and a word for the reading above the plot.
    is_area : bool
        Area in cm2, else a fraction in percent.
    decimals : int
        Digits worth showing.
    values : callable
        Takes a `SliceProfile` and muscles; one value per slice, fractions 0..1.
    """

    label: str
    short: str
    is_area: bool
    decimals: int
    values: Callable[[SliceProfile, Sequence[Muscle]], NDArray[np.float64]]


CSA = Along("CSA (cm²)", "CSA", True, 2, lambda p, m: p.csa_cm2(m))
LEAN_CSA = Along("Lean CSA (cm²)", "Lean", True, 2, lambda p, m: p.lean_csa_cm2(m))
MEAN_FF = Along("Mean FF (%)", "FF", False, 1, lambda p, m: p.mean_fat_fraction(m))
FAT_SHARE = Along("Fat share (%)", "Share", False, 1, lambda p, m: p.fat_share(m))


@dataclass(eq=False)
class _Plot:
    """One small multiple: a measure of a muscle group, both sides."""

    group: MuscleGroup
    along: Along
    item: pg.PlotItem
    curves: dict[Side, pg.PlotCurveItem]
    here: pg.InfiniteLine
    discs: pg.PlotCurveItem
    reading: pg.LabelItem
    drawn: dict[Side, NDArray[np.float64]] = field(default_factory=dict)
    limit: float = 0.0
    text: str = ""


class ProfilePanel(pg.GraphicsLayoutWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Small multiples: for each muscle its area and its fat fraction, slices running down.

    Signals
    -------
    slice_chosen(int)
        A slice was clicked, dragged to or wheeled to; working index Z.
    """

    slice_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("profile_panel")
        self.setBackground(GROUND)
        self.setToolTip(_TIP)
        self.ci.layout.setContentsMargins(2, 2, 6, 2)
        self.ci.layout.setHorizontalSpacing(14)
        self.ci.layout.setVerticalSpacing(0)
        self.plots: list[_Plot] = []
        self._profile: SliceProfile | None = None
        self._levels: VertebralLevels | None = None
        self._slice = 0
        self._groups: tuple[MuscleGroup, ...] = ()
        self._shown_measures: tuple[Along, ...] = ()
        self.show_groups(tuple(MuscleGroup))

    # ------------------------------------------------------------------ building

    def show_groups(self, groups: Sequence[MuscleGroup]) -> None:
        """Show these muscles side by side; a single one with more measures."""
        if tuple(groups) == self._groups:
            return
        self._groups = tuple(groups)
        self._build()

    def _measures(self) -> tuple[Along, ...]:
        has_fraction = self._profile is None or self._profile.has_fat_fraction
        if len(self._groups) > 1:
            return (CSA, MEAN_FF if has_fraction else FAT_SHARE)
        return (CSA, LEAN_CSA, MEAN_FF, FAT_SHARE) if has_fraction else (CSA, LEAN_CSA, FAT_SHARE)

    def _build(self) -> None:
        for plot in self.plots:
            plot.item.ctrlMenu.deleteLater()
        self.ci.clear()
        self.plots = []
        measures = self._shown_measures = self._measures()
        for column in range(self.ci.layout.columnCount()):
            self.ci.layout.setColumnStretchFactor(column, 0)
        for number, group in enumerate(self._groups):
            first = len(measures) * number
            title = self.ci.addLabel(
                _title(group), row=0, col=first, colspan=len(measures), size="11px"
            )
            title.setMaximumHeight(17)
            for part, along in enumerate(measures):
                self.plots.append(self._plot(group, along, first + part))
                self.ci.layout.setColumnStretchFactor(first + part, 1)
        self._set_compact()
        self._set_range()
        self._redraw(everything=True)
        self._draw_levels()
        for plot in self.plots:
            plot.here.setValue(self._slice)

    def _plot(self, group: MuscleGroup, along: Along, column: int) -> _Plot:
        first, named = column == 0, along is CSA or len(self._groups) == 1
        reading = self.ci.addLabel("", row=1, col=column, size="11px")
        reading.setMaximumHeight(16)
        box = PlotField()
        item = plain_plot(box, self)
        self.ci.addItem(item, row=2, col=column)
        box.invertY(True)
        item.showAxes((first, False, named, True), showValues=(first, False, named, True))
        for name in ("left", "bottom", "right"):
            quiet_axis(item.getAxis(name))
        item.getAxis("left").setWidth(_SLICE_AXIS_PX if first else 0)
        if first:
            item.getAxis("left").setLabel("slice", color=TEXT.name(), **{"font-size": "11px"})
        item.getAxis("right").setWidth(_LEVEL_AXIS_PX if named else 0)
        item.getAxis("bottom").setHeight(34)
        item.getAxis("bottom").setLabel(along.label, color=TEXT.name(), **{"font-size": "11px"})
        discs = pg.PlotCurveItem(pen=pg.mkPen(FAINT, width=1, style=Qt.PenStyle.DotLine))
        item.addItem(discs, ignoreBounds=True)
        curves = {}
        for side in _SIDES:
            curve = pg.PlotCurveItem(pen=muscle_pen(muscle_of(group, side)), antialias=True)
            item.addItem(curve, ignoreBounds=True)
            curves[side] = curve
        here = pg.InfiniteLine(angle=0, pen=pg.mkPen(HERE, width=1))
        item.addItem(here, ignoreBounds=True)
        box.picked.connect(self._on_picked)
        box.wheeled.connect(self._on_wheel)
        return _Plot(group, along, item, curves, here, discs, reading)

    def resizeEvent(self, event: Any) -> None:
        """Give the axis titles' room to the curves where the dock is flat."""
        super().resizeEvent(event)
        if getattr(self, "plots", None):
            self._set_compact()

    def _set_compact(self) -> None:
        compact = self.height() < _FLAT_PX
        for plot in self.plots:
            axis = plot.item.getAxis("bottom")
            axis.showLabel(not compact)
            axis.setHeight(18 if compact else 34)

    def _depth(self) -> int:
        return 0 if self._profile is None else self._profile.voxels.shape[0]

    def _set_range(self) -> None:
        depth = max(self._depth(), 1)
        step = max(1, round(nice_limit(depth / _TICKS_ALONG)))
        ticks = [(z, str(z)) for z in range(0, depth, step)]
        for plot in self.plots:
            plot.item.vb.setYRange(-0.5, depth - 0.5, padding=0)
            plot.item.getAxis("left").setTicks([ticks])

    # ------------------------------------------------------------------ values

    def set_profile(self, profile: SliceProfile | None) -> None:
        """Show these numbers; only curves that changed are drawn again."""
        former = self._depth()
        self._profile = profile
        if self._measures() != self._shown_measures:
            self._build()
        elif self._depth() != former:
            self._set_range()
            self._redraw(everything=True)
            self._draw_levels()
        else:
            self._redraw()

    def set_slice(self, index: int) -> None:
        """Mark the slice on display."""
        if index == self._slice:
            return
        self._slice = index
        for plot in self.plots:
            plot.here.setValue(index)
        self._show_readings()

    def set_levels(self, levels: VertebralLevels | None) -> None:
        """Draw the discs and name the vertebrae between them."""
        if levels == self._levels:
            return
        self._levels = levels
        self._draw_levels()

    def _draw_levels(self) -> None:
        levels = self._levels
        depth = self._depth()
        names = [] if levels is None else _names_inside(levels, depth)
        discs = np.array([] if levels is None else levels.discs, np.float64)
        for plot in self.plots:
            plot.item.getAxis("right").setTicks([names])
            plot.discs.setData(
                np.tile([0.0, 1e6], discs.size), np.repeat(discs, 2), connect="pairs"
            )

    def values(self, group: MuscleGroup, side: Side, along: Along = CSA) -> NDArray[np.float64]:
        """Return what a curve shows, one value per slice; NaN where the muscle is absent."""
        profile = self._profile
        if profile is None:
            return np.empty(0)
        muscle = muscle_of(group, side)
        values = along.values(profile, [muscle])
        if not along.is_area:
            return 100.0 * values
        held = np.flatnonzero(profile.voxels[:, muscle])
        outside = np.ones(values.size, bool)
        if held.size:  # a gap inside the muscle is an area of 0, what lies beyond its ends is not
            outside[held[0] : held[-1] + 1] = False
        return np.where(outside, np.nan, values)

    def _redraw(self, everything: bool = False) -> None:
        if self._profile is None:
            for plot in self.plots:
                plot.drawn.clear()
                for curve in plot.curves.values():
                    curve.clear()
            self._show_readings()
            return
        fat_top = 0.0
        tops: dict[MuscleGroup, float] = {}
        for plot in self.plots:
            values = {side: self.values(plot.group, side, plot.along) for side in _SIDES}
            for side, new in values.items():
                old = plot.drawn.get(side)
                if old is None or everything or not np.array_equal(old, new, equal_nan=True):
                    x, y = polyline(new)
                    plot.curves[side].setData(x, y, connect="finite")
                    plot.drawn[side] = new
            known = np.concatenate(list(values.values()))
            top = float(np.nanmax(known)) if np.isfinite(known).any() else 0.0
            if plot.along.is_area:  # whole and lean area of a muscle share their scale
                tops[plot.group] = max(tops.get(plot.group, 0.0), top)
                self._set_limit(plot, kept_limit(plot.limit, tops[plot.group]))
            else:
                fat_top = max(fat_top, top)
        for plot in self.plots:  # one scale for all fat fractions, so that muscles compare
            if not plot.along.is_area:
                self._set_limit(plot, min(100.0, kept_limit(plot.limit, fat_top)))
        self._show_readings()

    @staticmethod
    def _set_limit(plot: _Plot, limit: float) -> None:
        if limit != plot.limit:
            plot.limit = limit
            # A hair wider than the numbers, or the first and the last would be dropped.
            plot.item.vb.setXRange(0, limit, padding=0.015)
            half = limit / 2
            plot.item.getAxis("bottom").setTicks(
                [[(v, f"{v:.3g}") for v in (0.0, half)] + [(limit, f"{limit:.3g}")]]
            )

    def _show_readings(self) -> None:
        """Write both sides' values in the present slice above each plot."""
        for plot in self.plots:
            parts = []
            for side in _SIDES:
                drawn = plot.drawn.get(side)
                value = drawn[self._slice] if drawn is not None and self._slice < drawn.size else 0
                known = drawn is not None and np.isfinite(value)
                shown = f"{value:.{plot.along.decimals}f}" if known else "\N{EM DASH}"
                color = muscle_color(muscle_of(plot.group, side)).name()
                parts.append(f'<span style="color:{color}">{side.value[0].upper()} {shown}</span>')
            text = f'<span style="color:{FAINT_TEXT}">{plot.along.short}</span> ' + " ".join(parts)
            if text != plot.text:
                plot.text = text
                plot.reading.setText(text, size="11px")

    # ------------------------------------------------------------------ mouse

    def _on_picked(self, x: float, y: float) -> None:
        self._choose(round(y))

    def _on_wheel(self, steps: int) -> None:
        self._choose(self._slice - steps)

    def _choose(self, index: int) -> None:
        index = min(max(index, 0), self._depth() - 1)
        if index >= 0 and index != self._slice:
            self.set_slice(index)
            self.slice_chosen.emit(index)


def _title(group: MuscleGroup) -> str:
    left, right = (muscle_color(muscle_of(group, side)).name() for side in _SIDES)
    return (
        f'<b style="color:{TEXT.name()}">{group.value.capitalize()}</b>'
        f'&nbsp; <span style="color:{left}">━━ L</span>'
        f'&nbsp; <span style="color:{right}">╍╍ R</span>'
    )


def _names_inside(levels: VertebralLevels, depth: int) -> list[tuple[float, str]]:
    """Return where the vertebrae's names stand: in the middle of what the scan shows of each."""
    edges = np.clip([-0.5, *levels.discs, depth - 0.5], -0.5, depth - 0.5)
    return [
        (float((upper + lower) / 2), name)
        for upper, lower, name in zip(edges[:-1], edges[1:], levels.vertebrae, strict=True)
        if lower - upper > 0.02 * depth
    ]

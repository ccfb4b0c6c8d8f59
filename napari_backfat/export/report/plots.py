"""Profiles along the spine, drawn as shapes: vectors in the PDF and in the HTML alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor

from napari_backfat.export.report.fonts import REGULAR
from napari_backfat.model.anatomy import MuscleGroup, Side, TissueCode, muscle_of
from napari_backfat.model.colors import muscle_rgb
from napari_backfat.model.fat_map import SCALE, FatMapKind

if TYPE_CHECKING:
    from napari_backfat.export.content import Content

_INK, _FAINT = HexColor("#333333"), HexColor("#DDDDDD")
_BAND = HexColor("#F3F0E6")
_LEFT, _BOTTOM, _TOP = 26.0, 22.0, 18.0
_SIZE = 6.2


@dataclass(frozen=True)
class Curve:
    """One line of a profile.

    Attributes
    ----------
    values : tuple of float or None
        One per slice; None where there is nothing.
    rgb : tuple of float
        Colour, 0..1.
    dashed : bool
        Whether it is the right side.
    """

    values: tuple[float | None, ...]
    rgb: tuple[float, float, float]
    dashed: bool


@dataclass(frozen=True)
class Profile:
    """A plot over the slices.

    Attributes
    ----------
    title : str
        With the unit.
    curves : tuple of Curve
        One per muscle and side.
    step_cm : float
        Distance of two slices.
    band : tuple of int, or None
        First and last slice of the stated levels.
    band_name : str
        Name of the levels.
    """

    title: str
    curves: tuple[Curve, ...]
    step_cm: float
    band: tuple[int, int] | None
    band_name: str

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return all(v is None for c in self.curves for v in c.values)


def profiles(content: Content) -> tuple[Profile, Profile]:
    """Return the area of each muscle in every slice, and its fat fraction (or fat share)."""
    counts = content.ledger.counts
    voxels = counts.sum(axis=2)
    area = voxels * content.scan.geometry.voxel_area_cm2
    if content.fat_map.kind is FatMapKind.FAT_FRACTION:
        title = "Mean fat fraction per slice (%)"
        part = content.ledger.fat_sum.sum(axis=2) / SCALE
        whole = content.ledger.defined.sum(axis=2)
    else:
        title = "Fat share per slice (%)"
        part = counts[:, :, [TissueCode.FAT, TissueCode.FAT_BY_HAND]].sum(axis=2).astype(float)
        whole = counts[:, :, 1:].sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        fat = 100.0 * part / whole
    step = content.scan.geometry.spacing_mm[0] / 10.0
    levels = content.levels
    band = (levels.first_slice, levels.last_slice) if levels else None
    name = f"{levels.first_level}\u2013{levels.last_level}" if levels else ""

    def curves(table: np.ndarray, there: np.ndarray) -> tuple[Curve, ...]:
        found = []
        for group in MuscleGroup:
            for side in Side:
                muscle = muscle_of(group, side)
                values = tuple(
                    float(v) if n else None
                    for v, n in zip(table[:, muscle], there[:, muscle], strict=True)
                )
                found.append(Curve(values, muscle_rgb(muscle), side is Side.RIGHT))
        return tuple(found)

    return (
        Profile("Area per slice (cm²)", curves(area, voxels), step, band, name),
        Profile(title, curves(fat, whole), step, band, name),
    )


def draw(profile: Profile, width: float, height: float) -> Drawing:
    """Return a profile as a drawing of the given size in points; left is the head."""
    drawing = Drawing(width, height)
    x0, x1, y0, y1 = _LEFT, width - 4, _BOTTOM, height - _TOP
    n = len(profile.curves[0].values)
    highest = max((v for c in profile.curves for v in c.values if v is not None), default=1.0)
    ticks = _ticks(max(highest, 1e-9))
    top = ticks[-1]

    def at_x(z: float) -> float:
        return x0 + (x1 - x0) * (z + 0.5) / n

    def at_y(value: float) -> float:
        return y0 + (y1 - y0) * value / top

    if profile.band is not None:
        first, last = (at_x(profile.band[0] - 0.5), at_x(profile.band[1] + 0.5))
        drawing.add(Rect(first, y0, last - first, y1 - y0, fillColor=_BAND, strokeColor=None))
        drawing.add(_text((first + last) / 2, y1 + 2, profile.band_name, 5.8, "middle"))
    for tick in ticks:
        drawing.add(Line(x0, at_y(tick), x1, at_y(tick), strokeColor=_FAINT, strokeWidth=0.4))
        drawing.add(_text(x0 - 3, at_y(tick) - 2, f"{tick:g}", _SIZE, "end"))
    length = n * profile.step_cm
    for tick in _ticks(length):
        x = x0 + (x1 - x0) * tick / length
        if x <= x1 + 0.1:
            drawing.add(Line(x, y0, x, y0 - 2, strokeColor=_INK, strokeWidth=0.4))
            drawing.add(_text(x, y0 - 9, f"{tick:g}", _SIZE, "middle"))
    drawing.add(Line(x0, y0, x1, y0, strokeColor=_INK, strokeWidth=0.5))
    drawing.add(_text((x0 + x1) / 2, 3, "cm from the top of the scan", _SIZE, "middle"))
    drawing.add(_text(0, height - 8, profile.title, 7))
    drawing.add(_text(x1, height - 8, "solid: left, dashed: right", 5.8, "end"))
    for curve in profile.curves:
        for run in _runs(curve.values):
            points = [c for z, v in run for c in (at_x(z), at_y(v))]
            if len(run) == 1:  # one slice alone is a short dash
                points = [points[0] - 1, points[1], points[0] + 1, points[1]]
            drawing.add(
                PolyLine(
                    points,
                    strokeColor=Color(*(0.85 * c for c in curve.rgb)),
                    strokeWidth=1.1,
                    strokeDashArray=[3, 1.5] if curve.dashed else None,
                )
            )
    return drawing


def _text(x: float, y: float, text: str, size: float, anchor: str = "start") -> String:
    return String(x, y, text, fontName=REGULAR, fontSize=size, textAnchor=anchor, fillColor=_INK)


def _ticks(highest: float) -> list[float]:
    """Return round numbers from 0 to at or just above the highest value, four to six of them."""
    raw = highest / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw)
    count = math.ceil(highest / step - 1e-9)
    return [round(i * step, 10) for i in range(count + 1)]


def _runs(values: tuple[float | None, ...]) -> list[list[tuple[int, float]]]:
    """Split a curve where it has no value."""
    runs: list[list[tuple[int, float]]] = []
    former = None
    for z, value in enumerate(values):
        if value is not None:
            if former is None:
                runs.append([])
            runs[-1].append((z, value))
        former = value
    return runs

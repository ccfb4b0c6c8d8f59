"""The report's plots as SVG: vectors in the page itself, no plotting library at run time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_backfat.cohort.fit import Odds
    from napari_backfat.cohort.validate import Bin

    Array = NDArray[np.float64]

_INK, _FAINT, _BLUE, _BAND = "#222", "#ccc", "#0072B2", "#0072B2"
_ROW = 22
_LOG_TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)


@dataclass(frozen=True)
class _Frame:
    """A plot area with two linear axes."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 62.0
    bottom: float = 44.0
    top: float = 12.0
    right: float = 14.0

    def px(self, x: float) -> float:
        share = (x - self.x[0]) / (self.x[1] - self.x[0])
        return self.left + share * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        share = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.height - self.bottom - share * (self.height - self.bottom - self.top)

    def axes(self, x_label: str, y_label: str, show: Callable[[float], str]) -> str:
        parts = []
        floor, wall = self.height - self.bottom, self.left
        for x in ticks(*self.x):
            at = self.px(x)
            parts.append(_line(at, floor, at, floor + 4, _INK))
            parts.append(_text(at, floor + 17, show(x), "middle"))
        for y in ticks(*self.y):
            at = self.py(y)
            parts.append(_line(wall, at, self.width - self.right, at, _FAINT))
            parts.append(_text(wall - 6, at + 4, show(y), "end"))
        parts.append(_line(wall, floor, self.width - self.right, floor, _INK))
        parts.append(_line(wall, self.top, wall, floor, _INK))
        middle = (wall + self.width - self.right) / 2
        parts.append(_text(middle, self.height - 8, x_label, "middle"))
        half = (self.top + floor) / 2
        parts.append(
            f'<text x="14" y="{half:.1f}" text-anchor="middle" '
            f'transform="rotate(-90 14 {half:.1f})">{escape(y_label)}</text>'
        )
        return "".join(parts)

    def path(self, x: Sequence[float] | Array, y: Sequence[float] | Array) -> str:
        return " ".join(
            f"{'M' if i == 0 else 'L'}{self.px(a):.1f},{self.py(b):.1f}"
            for i, (a, b) in enumerate(zip(x, y, strict=True))
        )


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers between two ends."""
    step = 10 ** math.floor(math.log10((high - low) / wanted))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= wanted)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def forest(odds: Sequence[Odds]) -> str:
    """Odds ratios with intervals on a log axis, one row each."""
    width, label, numbers = 820.0, 300.0, 150.0
    height = _ROW * len(odds) + 48
    low = min(0.8, *(o.low for o in odds))
    high = max(1.25, *(o.high for o in odds))
    span = math.log(high / low)

    def px(ratio: float) -> float:
        return label + math.log(ratio / low) / span * (width - label - numbers)

    floor = height - 34.0
    parts = [_line(px(1.0), 4, px(1.0), floor, _INK)]
    last = -math.inf
    for tick in _LOG_TICKS:
        if low <= tick <= high and px(tick) - last > 30:
            last = px(tick)
            parts += [_line(last, floor, last, floor + 4, _INK)]
            parts += [_text(last, floor + 17, f"{tick:g}", "middle")]
    parts.append(_text((label + width - numbers) / 2, height - 3, "odds ratio (log)", "middle"))
    for row, o in enumerate(odds):
        y = 4 + _ROW * (row + 0.5)
        parts.append(_text(label - 10, y + 4, f"{_short(o.name)}, {o.step}", "end"))
        parts.append(_line(px(o.low), y, px(o.high), y, _BLUE, 2))
        parts.append(f'<circle cx="{px(o.ratio):.1f}" cy="{y:.1f}" r="4" fill="{_BLUE}"/>')
        words = f"{o.ratio:.2f} ({o.low:.2f} to {o.high:.2f})"
        parts.append(_text(width - numbers + 10, y + 4, words, "start"))
    return _picture(width, height, parts, "Odds ratios with 95 % intervals")


def calibration_plot(bins: Sequence[Bin]) -> str:
    """Observed share against mean probability in tenths of the people."""
    top = min(1.0, 1.1 * max(max(b.high for b in bins), max(b.predicted for b in bins)))
    frame = _Frame(420, 360, (0, top), (0, top))
    parts = [frame.axes("predicted probability", "observed share", lambda v: f"{100 * v:g} %")]
    parts.append(_line(frame.px(0), frame.py(0), frame.px(top), frame.py(top), "#888", dashed=True))
    for b in bins:
        x = frame.px(b.predicted)
        parts.append(_line(x, frame.py(b.low), x, frame.py(min(b.high, top)), _BLUE, 2))
        parts.append(
            f'<circle cx="{x:.1f}" cy="{frame.py(b.observed):.1f}" r="4" fill="{_BLUE}">'
            f"<title>{b.n} people</title></circle>"
        )
    return _picture(420, 360, parts, "Calibration in tenths")


def roc_plot(points: Sequence[tuple[float, float]]) -> str:
    """Draw the true against the false positive rate."""
    frame = _Frame(380, 360, (0, 1), (0, 1))
    parts = [frame.axes("false positive rate", "true positive rate", lambda v: f"{v:g}")]
    parts.append(_line(frame.px(0), frame.py(0), frame.px(1), frame.py(1), "#888", dashed=True))
    x, y = zip(*points, strict=True)
    parts.append(f'<path d="{frame.path(x, y)}" fill="none" stroke="{_BLUE}" stroke-width="2"/>')
    return _picture(380, 360, parts, "Receiver operating characteristic")


def curve_plot(x: Array, middle: Array, low: Array, high: Array, label: str) -> str:
    """Odds ratio along a spline with its band, on a log axis, against the median person."""
    ends = (float(np.log(low).min()), float(np.log(high).max()))
    pad = 0.05 * (ends[1] - ends[0]) or 0.1
    frame = _Frame(460, 340, (float(x[0]), float(x[-1])), (ends[0] - pad, ends[1] + pad))
    parts = [frame.axes(label, "log odds ratio", lambda v: f"{v:g}")]
    around = np.concatenate([x, x[::-1]])
    edge = np.concatenate([np.log(high), np.log(low)[::-1]])
    parts.append(f'<path d="{frame.path(around, edge)} Z" fill="{_BAND}" fill-opacity="0.18"/>')
    parts.append(
        f'<path d="{frame.path(x, np.log(middle))}" fill="none" stroke="{_BLUE}" stroke-width="2"/>'
    )
    return _picture(460, 340, parts, f"Odds ratio along {label}")


def _short(name: str) -> str:
    """C(sex, contr.treatment('male'))[T.female] is "sex: female" to a reader."""
    if name.startswith("C("):
        head, _, level = name.partition("[T.")
        return f"{head[2:].split(',')[0].rstrip(')')}: {level.rstrip(']')}"
    head, _, level = name.partition("[T.")
    return f"{head}: {level.rstrip(']')}" if level else name


def _line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    color: str,
    width: float = 1,
    *,
    dashed: bool = False,
) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}"{dash}/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _picture(width: float, height: float, parts: list[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" role="img" font-family="sans-serif" font-size="12" fill="{_INK}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )

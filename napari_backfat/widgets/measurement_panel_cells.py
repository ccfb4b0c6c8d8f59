"""What stands in the cells of the live table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtGui import QColor, QIcon, QPixmap

from napari_backfat.measure.table import (
    CORRECTED_DECIMALS,
    CORRECTED_KEY,
    CORRECTED_LABEL,
    CORRECTED_MEANING,
    CORRECTED_UNIT,
    MEASURES,
    Measure,
    corrected_of,
    present,
    value_of,
)
from napari_backfat.model.anatomy import Muscle, Side
from napari_backfat.model.colors import muscle_rgb

if TYPE_CHECKING:
    from napari_backfat.model.results import (
        Asymmetry,
        CorrectedMean,
        CorrectedMuscles,
        Measurement,
        MuscleMeasure,
    )

MINUS = "\N{MINUS SIGN}"
PENDING = "\N{HORIZONTAL ELLIPSIS}"
CORRECTED = Measure(
    CORRECTED_KEY, CORRECTED_LABEL, CORRECTED_UNIT, CORRECTED_DECIMALS, lambda _: None,
    CORRECTED_MEANING,
)  # fmt: skip
"""Not of the counts: it comes later, with `CorrectedMuscles`."""
_MEAN = "mean_fat_fraction"
WORDS = {
    "AI": "As the AI left it.",
    "now": "Present masks, live.",
    "Δ": "Present value minus the AI's.",
}
"""Heads of the columns of each measure."""
CORRECTED_WORD = "corr."
COLUMNS: tuple[tuple[Measure, int], ...] = tuple(
    column
    for measure in MEASURES
    for column in (
        *((measure, place) for place in range(len(WORDS))),
        *(((CORRECTED, 1),) if measure.key == _MEAN else ()),
    )
)
"""The columns of numbers from left to right: measure, and place in its triple."""
SHOWN: tuple[Measure, ...] = tuple(dict.fromkeys(measure for measure, _ in COLUMNS))
"""The measures of the table, from left to right."""


def group_of(measure: Measure) -> tuple[int, int]:
    """Return the first column of a measure's group (numbers begin at 1), and how many it has."""
    first = 1 + COLUMNS.index((measure, 0))
    return first, len(WORDS) + (measure.key == _MEAN)


@dataclass(frozen=True)
class State:
    """The numbers of a case, at present or as the AI left them."""

    measurement: Measurement | None = None
    corrected: CorrectedMuscles | None = None

    def row(self, muscle: Muscle | None) -> Row:
        """Return the numbers of a muscle; None: of all together."""
        mean = corrected_of(self.corrected, muscle)
        of = row_of(self.measurement, muscle)
        pending = self.measurement is not None and (
            self.corrected is None or not self.corrected.current
        )
        return Row(of, mean, pending)


@dataclass(frozen=True)
class Row:
    """The numbers of one muscle in one state.

    Attributes
    ----------
    measure : MuscleMeasure or None
        Of the counts.
    mean : CorrectedMean or None
        The corrected mean that is known.
    pending : bool
        Whether another corrected mean is being computed.
    """

    measure: MuscleMeasure | None = None
    mean: CorrectedMean | None = None
    pending: bool = False

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Ends of the corrected mean's interval in per cent; None where it is not of the masks."""
        mean = self.mean
        if mean is None or self.pending or mean.low is None or mean.high is None:
            return None, None
        return 100 * mean.low, 100 * mean.high

    def hint(self, former: Row) -> str:
        """Say what the cell of the corrected mean does not tell; `former` is the AI's row."""
        if self.measure is None or not present(self.measure):
            return ""
        if self.pending:
            old = "; the number is of the masks before" if self.mean else ""
            return f"Being computed{old}."
        low, high = self.interval
        if low is None or high is None:
            return f"No value: {self.mean.why}." if self.mean is not None else ""
        text = f"Corrected mean fat fraction, 95 % interval {low:.1f} to {high:.1f} %."
        before, _, difference = triple(CORRECTED, former, self)
        if before is not None and difference is not None:
            change = format_number(difference, CORRECTED_DECIMALS, signed=True)
            text += f" AI {before:.1f} %, Δ {change}."
        return text


def format_number(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Return the number with a typographic minus; an em dash where there is none."""
    if value is None:
        return "\N{EM DASH}"
    if abs(value) >= 1000:  # a fifth digit would say nothing and not fit
        decimals = 0
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if signed and float(text) == 0:
        text = "0"
    return text.replace("-", MINUS)


def title_of(measure: Measure) -> str:
    """Return label and unit for a column's head."""
    return f"{measure.label} ({measure.unit.replace('cm2', 'cm²')})"


def _corrected_triple(former: Row, mine: Row) -> tuple[float | None, float | None, float | None]:
    """As `triple`; a difference only between numbers that are both of their masks."""
    before, after = (
        100 * r.mean.value
        if r.mean is not None and r.mean.value is not None
        and r.measure is not None and present(r.measure)
        else None
        for r in (former, mine)
    )  # fmt: skip
    both = before is not None and after is not None and not mine.pending
    return before, after, after - before if both else None  # type: ignore[operator]


def triple(
    measure: Measure, former: Row, mine: Row
) -> tuple[float | None, float | None, float | None]:
    """Return AI value, present value, difference; a muscle in one state only is 0 in the other."""
    if measure is CORRECTED:
        return _corrected_triple(former, mine)
    before, after = value_of(measure, former.measure), value_of(measure, mine.measure)
    if None not in (former.measure, mine.measure) and before is None and after is not None:
        before_shown: float | None = 0.0 if measure.unit in ("ml", "cm2") else None
    else:
        before_shown = before
    after_shown = after
    if (
        former.measure is not None
        and present(former.measure)
        and after is None
        and before is not None
    ):
        after_shown = 0.0 if measure.unit in ("ml", "cm2") else None
    difference = (
        after_shown - before_shown if after_shown is not None and before_shown is not None else None
    )
    return before_shown, after_shown, difference


def asymmetry_text(now: Asymmetry | None, ai: Asymmetry | None) -> str:
    """Return "R 4.1 % (AI R 3.9)" and, below it, the difference; a dash where there is none."""
    if now is None:
        return "\N{EM DASH}"
    text = f"{_larger(now)}{now.percent:.1f} %"
    if ai is None:
        return text
    # The sign of a difference needs one direction: towards the patient's right.
    change = _signed(now) - _signed(ai)
    shown = format_number(change, 1, signed=True)
    return f"{text} (AI {_larger(ai)}{ai.percent:.1f})\nΔ {shown}{'' if shown == '0' else ' to R'}"


def _larger(asymmetry: Asymmetry) -> str:
    return asymmetry.larger.value[0].upper() + " " if asymmetry.larger else ""


def _signed(asymmetry: Asymmetry) -> float:
    return -asymmetry.percent if asymmetry.larger is Side.LEFT else asymmetry.percent


def row_of(measurement: Measurement | None, muscle: Muscle | None) -> MuscleMeasure | None:
    """Return the numbers of a muscle; None: of all together."""
    if measurement is None:
        return None
    return measurement.total if muscle is None else measurement.muscles[muscle]


def swatch(muscle: Muscle) -> QIcon:
    """Return a little square in the muscle's colour."""
    pixmap = QPixmap(10, 10)
    red, green, blue = muscle_rgb(muscle)
    pixmap.fill(QColor.fromRgbF(red, green, blue))
    return QIcon(pixmap)

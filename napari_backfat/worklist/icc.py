"""Agreement of readers over cases: intraclass correlation and limits of agreement.

Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol Bull
1979;86:420-428. McGraw KO, Wong SP. Forming inferences about some intraclass correlation
coefficients. Psychol Methods 1996;1:30-46 (intervals: their table 7). Which form, and what its
interval says: Koo TK, Li MY. J Chiropr Med 2016;15:155-163. Limits of agreement: Bland JM, Altman
DG. Lancet 1986;1:307-310.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


FORMS = {
    "ICC(1,1)": "one reading; every case may have been read by other readers",
    "ICC(2,1)": "one reading, absolute agreement; the readers stand for others like them",
    "ICC(3,1)": "one reading, consistency; these readers only, a constant difference is forgiven",
    "ICC(1,k)": "mean of all k readings; every case may have been read by other readers",
    "ICC(2,k)": "mean of all k readings, absolute agreement; the readers stand for others",
    "ICC(3,k)": "mean of all k readings, consistency; these readers only",
}
"""The six forms of Shrout and Fleiss, and what each one is about."""
RECOMMENDED = "ICC(2,1)"
"""Later cases are read once, by a reader like these, and a constant difference matters."""
_GRADES = ((0.5, "poor"), (0.75, "moderate"), (0.9, "good"), (math.inf, "excellent"))


@dataclass(frozen=True)
class Icc:
    """An intraclass correlation.

    Attributes
    ----------
    kind : str
        One of `FORMS`.
    value : float
        Estimate; NaN where nothing varies.
    low, high : float
        Interval of `confidence`.
    confidence : float
        For example 0.95.
    cases, readers : int
        Size of the table.
    """

    kind: str
    value: float
    low: float
    high: float
    confidence: float
    cases: int
    readers: int

    @property
    def grade(self) -> str:
        """What the interval says in the words of Koo and Li: "good", or "moderate to excellent".

        They grade the interval, not the estimate: poor below 0.5, moderate below 0.75, good up to
        0.9, excellent above.
        """
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return "unknown"
        words = [next(w for top, w in _GRADES if v < top) for v in (self.low, self.high)]
        return words[0] if words[0] == words[1] else " to ".join(words)


@dataclass(frozen=True)
class Differences:
    """Paired differences of two readers, second minus first.

    Attributes
    ----------
    mean : float
        Bias.
    sd : float
        Standard deviation of the differences.
    low, high : float
        Limits of agreement, mean -/+ 1.96 sd.
    """

    mean: float
    sd: float
    low: float
    high: float


def icc(table: ArrayLike, confidence: float = 0.95) -> dict[str, Icc]:
    """Return the six forms of Shrout and Fleiss for a complete table.

    With mean squares of cases MSR, of readers MSC, of the rest MSE and within cases MSW, n cases
    and k readers: ICC(1,1) = (MSR - MSW) / (MSR + (k - 1) MSW), ICC(2,1) = (MSR - MSE) / (MSR +
    (k - 1) MSE + k (MSC - MSE) / n), ICC(3,1) = (MSR - MSE) / (MSR + (k - 1) MSE). The forms for
    the mean of k readings follow by Spearman and Brown's k r / (1 + (k - 1) r), and so do their
    intervals.

    Parameters
    ----------
    table : array_like, shape (n, k)
        One row per case, one column per reader; no missing values.
    confidence : float
        Of the intervals, between 0 and 1.

    Returns
    -------
    dict of str to Icc
        By form, in the order of `FORMS`.

    Raises
    ------
    BackfatError
        With fewer than 3 cases or 2 readers, or missing values.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 3 or values.shape[1] < 2:
        raise BackfatError(
            "An intraclass correlation needs at least 3 cases that 2 readers have finished."
        )
    if not np.isfinite(values).all():
        raise BackfatError("An intraclass correlation needs a value of every reader for each case.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}")
    n, k = values.shape
    grand = values.mean()
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    msr = k * float(((rows - grand) ** 2).sum()) / (n - 1)
    msc = n * float(((columns - grand) ** 2).sum()) / (k - 1)
    msw = float(((values - rows[:, None]) ** 2).sum()) / (n * (k - 1))
    rest = values - rows[:, None] - columns + grand
    mse = float((rest**2).sum()) / ((n - 1) * (k - 1))
    nothing = 1e-24 * (float((values**2).mean()) or 1.0)  # rounding of equal columns
    mse, msw = (0.0 if v < nothing else v for v in (mse, msw))
    single = (
        _by_ratio(msr, msw, n, k, n * (k - 1), confidence),
        _two_one(msr, msc, mse, n, k, confidence),
        _by_ratio(msr, mse, n, k, (n - 1) * (k - 1), confidence),
    )
    found = [*single, *(tuple(_of_mean(v, k) for v in form) for form in single)]
    return {
        kind: Icc(kind, value, low, high, confidence, n, k)
        for kind, (value, low, high) in zip(FORMS, found, strict=True)
    }


def differences(first: ArrayLike, second: ArrayLike) -> Differences:
    """Return bias and limits of agreement of two readers; arrays of shape (n,), n >= 2.

    Raises
    ------
    BackfatError
        With fewer than 2 cases.
    """
    delta = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    if delta.size < 2:
        raise BackfatError("Limits of agreement need at least 2 cases.")
    mean, sd = float(delta.mean()), float(delta.std(ddof=1))
    return Differences(mean, sd, mean - 1.96 * sd, mean + 1.96 * sd)


def _two_one(
    msr: float, msc: float, mse: float, n: int, k: int, confidence: float
) -> tuple[float, float, float]:
    below = msr + (k - 1) * mse + k * (msc - mse) / n
    if below <= 0:
        return math.nan, math.nan, math.nan
    value = (msr - mse) / below
    if value >= 1:
        return 1.0, 1.0, 1.0
    # Satterthwaite's degrees of freedom for a MSC + b MSE.
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    spread = (a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1))
    if spread <= 0:
        return value, math.nan, math.nan
    freedom = (a * msc + b * mse) ** 2 / spread
    upper_tail = 1 - (1 - confidence) / 2
    f_low = _f_quantile(upper_tail, n - 1, freedom)
    f_high = _f_quantile(upper_tail, freedom, n - 1)
    others = k * msc + (k * n - k - n) * mse
    low = n * (msr - f_low * mse) / (f_low * others + n * msr)
    high = n * (f_high * msr - mse) / (others + n * f_high * msr)
    return value, low, high


def _f_quantile(share: float, above: float, below: float) -> float:
    """Return the quantile of Fisher's F with these degrees of freedom."""
    from scipy import stats  # a third of a second, which no start of the window should pay

    return float(stats.f.ppf(share, above, below))


def _by_ratio(
    msr: float, error: float, n: int, k: int, freedom: int, confidence: float
) -> tuple[float, float, float]:
    """Return a form that follows from one ratio of mean squares, and its interval."""
    if msr <= 0 and error <= 0:
        return math.nan, math.nan, math.nan
    value = (msr - error) / (msr + (k - 1) * error)
    if error <= 0:
        return 1.0, 1.0, 1.0
    upper_tail = 1 - (1 - confidence) / 2
    ratio = msr / error
    low = ratio / _f_quantile(upper_tail, n - 1, freedom)
    high = ratio * _f_quantile(upper_tail, freedom, n - 1)
    return value, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def _of_mean(single: float, k: int) -> float:
    """Return what a reliability of one reading is for the mean of k (Spearman and Brown)."""
    below = 1 + (k - 1) * single
    return k * single / below if below > 0 else -math.inf if math.isfinite(single) else math.nan

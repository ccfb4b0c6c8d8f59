"""What makes a regression untrustworthy: separation, inputs that repeat one another, few events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import qr
from scipy.optimize import linprog

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.cohort.design import Design

    Array = NDArray[np.float64]

EVENTS_PER_COLUMN = 10.0
"""Below this the estimates are warned of (Peduzzi 1996, J Clin Epidemiol 49:1373; a rule of thumb,
see van Smeden 2016, BMC Med Res Methodol 16:163)."""
FEW_SITES = 10
INFLATION_LIMIT = 10.0
_RANK_TOLERANCE = 1e-8
_SEPARATED = 1e-6


def refuse_unusable(design: Design) -> None:
    """Raise where no finite or unique estimate exists.

    Parameters
    ----------
    design : Design
        The regression.

    Raises
    ------
    BackfatError
        Naming the inputs: columns that follow from others; fewer events than columns; separation
        (some combination of inputs predicts the outcome without error, so that its coefficient is
        infinite; found exactly, by linear programming: Konis 2007, DPhil thesis, Oxford).
    """
    count = design.matrix.shape[1] - 1
    events = int(min(design.outcome.sum(), (1 - design.outcome).sum()))
    if events <= count:
        raise BackfatError(
            f"There are {events} people on the smaller side of {design.outcome_name} and {count} "
            "columns of inputs; leave out inputs, or collect more people."
        )
    repeated = dependent_columns(design.matrix, design.names)
    if repeated:
        raise BackfatError(
            f"These inputs cannot be told apart, because one follows from the others: "
            f"{', '.join(repeated)}; leave one of them out."
        )
    separated = separated_columns(design.matrix, design.outcome, design.names)
    if separated:
        raise BackfatError(
            f"Separation: {', '.join(separated)} predict(s) {design.outcome_name} without error "
            "for some people, so there is no finite odds ratio; merge rare categories or leave the "
            "input out."
        )


def dependent_columns(matrix: Array, names: tuple[str, ...]) -> list[str]:
    """Return the names that take part in an exact linear dependency; empty if there is none."""
    scaled = matrix / np.linalg.norm(matrix, axis=0)
    _, upper, order = qr(scaled, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(upper)) > _RANK_TOLERANCE).sum())
    if rank == matrix.shape[1]:
        return []
    involved: set[int] = set()
    for extra in range(rank, matrix.shape[1]):
        weights = np.linalg.solve(upper[:rank, :rank], upper[:rank, extra])
        involved |= {int(order[i]) for i in np.flatnonzero(np.abs(weights) > 1e-6)}
        involved.add(int(order[extra]))
    return [names[i] for i in sorted(involved) if names[i] != "Intercept"]


def separated_columns(matrix: Array, outcome: Array, names: tuple[str, ...]) -> list[str]:
    """Return the names that separate the outcome, completely or in part; empty if none do.

    Looks for ``b`` with ``(2y - 1) x b >= 0`` for everybody and ``> 0`` for somebody: maximise the
    sum under these conditions with every ``|b| <= 1``. Without separation only ``b = 0`` is
    allowed.
    """
    scaled = matrix / np.abs(matrix).max(axis=0)
    signed = scaled * (2 * outcome - 1)[:, None]
    unique = np.unique(signed, axis=0)  # categories repeat: far fewer conditions
    found = linprog(
        -signed.mean(axis=0),
        A_ub=-unique,
        b_ub=np.zeros(len(unique)),
        bounds=(-1, 1),
        method="highs",
    )
    if found.x is None or -found.fun < _SEPARATED:
        return []
    return [
        name
        for name, b in zip(names, found.x, strict=True)
        if abs(b) > _SEPARATED and name != "Intercept"
    ] or ["the inputs together"]


def inflation(design: Design) -> dict[str, float]:
    """Return the variance inflation of every term.

    For a term of one column the usual factor 1 / (1 - R^2); for one of several columns the
    generalised factor of Fox & Monette 1992 (J Am Stat Assoc 87:178) to the power 1 / columns,
    which is on the same scale.

    Parameters
    ----------
    design : Design
        The regression.

    Returns
    -------
    dict of str to float
        By the term's text; empty with fewer than two terms.
    """
    if len(design.terms) < 2:
        return {}
    correlation = np.atleast_2d(np.corrcoef(design.matrix[:, 1:], rowvar=False))
    whole = np.linalg.slogdet(correlation)[1]
    found = {}
    for term in design.terms:
        own = np.array(term.columns) - 1
        others = np.setdiff1d(np.arange(correlation.shape[0]), own)
        parts = [np.linalg.slogdet(correlation[np.ix_(i, i)])[1] for i in (own, others)]
        found[term.text] = float(np.exp((sum(parts) - whole) / own.size))
    return found


def cautions(design: Design, inflated: dict[str, float], sigma: float) -> list[str]:
    """Return sentences on what weakens an estimate that exists."""
    found = []
    columns = design.matrix.shape[1] - 1
    events = min(design.outcome.sum(), (1 - design.outcome).sum())
    if events / columns < EVENTS_PER_COLUMN:
        found.append(
            f"Only {events / columns:.1f} events per column of inputs (10 is the usual rule of "
            "thumb): the odds ratios are probably too far from 1 and their intervals too short."
        )
    high = [f"{name} ({value:.0f})" for name, value in inflated.items() if value > INFLATION_LIMIT]
    if high:
        found.append(
            f"Inputs that nearly repeat others (variance inflation): {', '.join(high)}. Their odds "
            "ratios cannot be told apart well."
        )
    if design.site is not None:
        if sigma == 0:
            found.append(
                "The sites do not differ by more than chance: their standard deviation is "
                "estimated as 0, and the fit equals one without sites."
            )
        if len(design.site_names) < FEW_SITES:
            found.append(
                f"With {len(design.site_names)} sites the difference between sites, and with it "
                "the level of the risk at another site, is poorly known; the odds ratios suffer "
                "little."
            )
    lost = design.rows_read - len(design.people)
    if lost > 0.1 * design.rows_read:
        found.append(
            f"{lost} of {design.rows_read} rows were left out for empty cells; if the reasons have "
            "to do with the outcome, the result is biased."
        )
    return found

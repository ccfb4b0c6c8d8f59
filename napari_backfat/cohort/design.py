"""From a table and a formula to the columns of a regression, with nothing dropped in silence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}
_SPLINE_DF = (2, 10)
_Z = re.compile(r"^z\((\w+)(?:, *(?:by=)?(\w+))?\)$")


@dataclass(frozen=True)
class Term:
    """One term of the formula and the columns it became.

    Attributes
    ----------
    text : str
        As in the formula.
    columns : tuple of int
        Places in the design.
    kind : {"z", "number", "category", "spline", "other"}
        A Z score, a plain numeric column with more than two values, a category (or a numeric column
        with two values), a spline, or anything else (an interaction, a function).
    variable : str
        The table's column; empty for "other".
    within : str
        Column within whose groups a Z score was made; empty without.
    sd : float
        Standard deviation of the variable in the cohort (1 for a category).
    """

    text: str
    columns: tuple[int, ...]
    kind: str
    variable: str
    within: str = ""
    sd: float = 1.0


@dataclass(frozen=True, eq=False)
class Design:
    """What goes into the regression.

    Attributes
    ----------
    matrix : ndarray of float64, shape (n, p)
        Columns, the constant first.
    names : tuple of str
        Of the columns.
    outcome : ndarray of float64, shape (n,)
        0 or 1.
    outcome_name, formula : str
        The formula as it was used, splines written out.
    terms : tuple of Term
        Without the constant.
    site : ndarray of int or None, shape (n,)
        Codes 0 .. sites - 1.
    site_names : tuple of str
        Of the codes.
    people : DataFrame
        The complete rows.
    rows_read : int
        Rows of the table.
    missing : dict of str to int
        Empty cells per column of those that the formula (or the site) uses.
    scaling : dict of str to dict of str to tuple of float
        Per Z term: group ("all" without groups) to mean and SD.
    """

    matrix: Array
    names: tuple[str, ...]
    outcome: Array
    outcome_name: str
    formula: str
    terms: tuple[Term, ...]
    site: NDArray[np.intp] | None
    site_names: tuple[str, ...]
    people: pd.DataFrame
    rows_read: int
    missing: dict[str, int]
    scaling: dict[str, dict[str, tuple[float, float]]]
    _spec: Any

    def columns_for(self, people: pd.DataFrame) -> Array:
        """Return the design of other people, Z scores and spline knots as in this cohort."""
        return np.asarray(self._spec.get_model_matrix(people, context=_context()), float)


def read_cohort(path: Path) -> pd.DataFrame:
    """Read a cohort table: CSV, one person per row, names in the first line.

    Cells with yes/no or true/false become 1 and 0.

    Raises
    ------
    BackfatError
        If the file cannot be read or has no rows.
    """
    try:
        people = pd.read_csv(path, encoding="utf-8-sig")
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror or error}.") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise BackfatError(f"{path} is not a CSV table ({error}).") from error
    if people.empty:
        raise BackfatError(f"{path} has no rows.")
    for name in people.columns:
        column = people[name]
        if column.dtype == bool:
            people[name] = column.astype(float)
        elif not pd.api.types.is_numeric_dtype(column):
            words = column.dropna().astype(str).str.strip().str.lower()
            if len(words) and set(words) <= set(_WORDS):
                people[name] = words.map(_WORDS).reindex(people.index)
            else:
                people[name] = column.str.strip() if column.dtype != object else column
    return people


def make_design(
    people: pd.DataFrame,
    formula: str,
    site: str | None = None,
    splines: Mapping[str, int] | None = None,
    within: str | None = None,
) -> Design:
    """Build the regression's columns from the complete rows.

    Parameters
    ----------
    people : DataFrame
        From `read_cohort`.
    formula : str
        ``outcome ~ term + term``, in the language of formulaic. ``z(x)`` is the Z score within the
        cohort, ``z(x, by=sex)`` within the groups of a column; ``cr(x, df=4)`` a natural spline.
    site : str, optional
        Column with the site of each person.
    splines : mapping of str to int, optional
        Columns to enter as natural cubic splines, with their degrees of freedom.
    within : str, optional
        Column for every ``z(x)`` without an own ``by``.

    Returns
    -------
    Design

    Raises
    ------
    BackfatError
        For a formula that cannot be read, a column that is not there, an outcome that is not yes
        or no, no complete row, or an input that never varies.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    written = _written_out(formula, splines or {}, within)
    try:
        parsed = Formula(written)
        outcome_side, inputs_side = parsed.lhs, parsed.rhs
    except (AttributeError, ValueError, SyntaxError, FormulaicError) as error:
        raise BackfatError(
            f"The formula '{formula}' cannot be read; write it like 'chronic_back_pain ~ "
            "z(fat_ml) + age'."
        ) from error
    outcome = str(outcome_side).strip()
    used = _used(parsed, people, site)
    missing = {name: int(people[name].isna().sum()) for name in used}
    complete = people.dropna(subset=used).reset_index(drop=True)
    if complete.empty:
        fullest = max(missing, key=lambda name: missing[name])
        raise BackfatError(
            f"No row has all of {', '.join(used)}; most cells are empty in {fullest}."
        )
    y = _outcome(complete, outcome)
    for name in used:
        if name not in (outcome, site) and complete[name].nunique() < 2:
            raise BackfatError(
                f"{name} is {complete[name].iloc[0]} in all {len(complete)} complete rows; leave "
                "it out of the formula."
            )
    try:
        matrix = inputs_side.get_model_matrix(complete, context=_context(), na_action="raise")
    except BackfatError:
        raise
    except Exception as error:  # whatever a term of the user's formula may raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackfatError(f"The formula '{formula}' does not fit the table: {reason}") from error
    spec = matrix.model_spec
    if "Intercept" not in matrix.columns:
        raise BackfatError("The formula must keep its constant; take '- 1' or '+ 0' out.")
    values = np.asarray(matrix, float)
    if not np.isfinite(values).all():
        bad = [
            str(n)
            for n, c in zip(matrix.columns, values.T, strict=True)
            if not np.isfinite(c).all()
        ]
        raise BackfatError(
            f"These inputs are not finite numbers for some people: {', '.join(bad)}."
        )
    site_codes, site_names = _sites(complete, site)
    return Design(
        values,
        tuple(str(name) for name in matrix.columns),
        y,
        outcome,
        written,
        _terms(spec, complete),
        site_codes,
        site_names,
        complete,
        len(people),
        missing,
        _scaling(spec, complete),
        spec,
    )


def group_statistics(values: Any, groups: Any | None) -> dict[str, tuple[float, float]]:
    """Return mean and SD (n - 1) per group, or of "all"."""
    x = np.asarray(values, float)
    key = np.full(x.size, "all") if groups is None else np.asarray(groups).astype(str)
    found = {}
    for name in np.unique(key):
        part = x[key == name]
        sd = float(part.std(ddof=1)) if part.size > 1 else 0.0
        if not sd > 0:
            raise BackfatError(
                f"A Z score needs values that differ; in group '{name}' they do not."
            )
        found[str(name)] = (float(part.mean()), sd)
    return found


def _context() -> dict[str, Any]:
    from formulaic.transforms import stateful_transform

    @stateful_transform  # type: ignore[untyped-decorator]
    def z(data: Any, by: Any = None, _state: Any = None) -> Array:
        state = {} if _state is None else _state
        if "groups" not in state:
            state["groups"] = group_statistics(data, by)
        x = np.asarray(data, float)
        key = np.full(x.size, "all") if by is None else np.asarray(by).astype(str)
        table = np.array([state["groups"][str(k)] for k in key])
        return np.asarray((x - table[:, 0]) / table[:, 1])

    return {"z": z}


def _written_out(formula: str, splines: Mapping[str, int], within: str | None) -> str:
    for name, freedom in splines.items():
        if not _SPLINE_DF[0] <= freedom <= _SPLINE_DF[1]:
            raise BackfatError(
                f"A spline of {name} needs {_SPLINE_DF[0]} to {_SPLINE_DF[1]} degrees of freedom, "
                f"not {freedom}."
            )
        outcome, tilde, inputs = formula.partition("~")
        spline = f"cr({name}, df={freedom}, constraints='center')"
        inputs, count = re.subn(rf"(?<![\w(.]){re.escape(name)}(?![\w(.:*])", spline, inputs)
        if count == 0:
            raise BackfatError(f"--splines names {name}, which is no plain term of the formula.")
        formula = outcome + tilde + inputs
    if within:
        formula = re.sub(r"\bz\( *(\w+) *\)", rf"z(\1, by={within})", formula)
    return formula


def _used(parsed: Any, people: pd.DataFrame, site: str | None) -> list[str]:
    from formulaic.transforms import TRANSFORMS

    names = {str(v) for v in parsed.required_variables} - {"z", "np"} - set(TRANSFORMS)
    names |= {site} if site else set()
    absent = sorted(names - set(people.columns))
    if absent:
        raise BackfatError(
            f"The table has no column {', '.join(absent)}; its columns are "
            f"{', '.join(map(str, people.columns))}."
        )
    return [str(name) for name in people.columns if name in names]


def _outcome(people: pd.DataFrame, name: str) -> Array:
    if name not in people.columns:
        raise BackfatError(f"The outcome must be one column of the table, not '{name}'.")
    found = sorted(people[name].unique(), key=str)
    if not set(found) <= {0, 1}:
        shown = ", ".join(str(v) for v in found[:5])
        raise BackfatError(f"The outcome {name} must be yes/no or 1/0; it holds {shown}.")
    y = people[name].to_numpy(float)
    if y.min() == y.max():
        raise BackfatError(
            f"All {len(y)} complete rows have {name} = {y[0]:g}; there is nothing to compare."
        )
    return y


def _sites(
    people: pd.DataFrame, site: str | None
) -> tuple[NDArray[np.intp] | None, tuple[str, ...]]:
    if site is None:
        return None, ()
    codes, names = pd.factorize(people[site].astype(str), sort=True)
    if len(names) < 2:
        raise BackfatError(
            f"All complete rows have the same {site}; a difference between sites cannot be "
            "estimated, so leave --site out."
        )
    if len(names) > len(people) / 2:
        raise BackfatError(
            f"{site} has {len(names)} different values in {len(people)} rows; that is a number of "
            "people, not of sites."
        )
    return np.asarray(codes, np.intp), tuple(map(str, names))


def _terms(spec: Any, people: pd.DataFrame) -> tuple[Term, ...]:
    found = []
    for term, place in spec.term_slices.items():
        text = str(term)
        columns = tuple(range(place.start, place.stop))
        if text == "1" or not columns:
            continue
        score = _Z.match(text)
        if score:
            variable, within = score.group(1), score.group(2) or ""
            found.append(Term(text, columns, "z", variable, within))
        elif text.startswith("cr("):
            found.append(Term(text, columns, "spline", text[3:].split(",")[0].strip()))
        elif text in people.columns:
            column = people[text]
            many = pd.api.types.is_numeric_dtype(column) and column.nunique() > 2
            sd = float(column.std()) if many else 1.0
            found.append(Term(text, columns, "number" if many else "category", text, sd=sd))
        else:
            plain = re.match(r"^C\((\w+)(?:,.*)?\)$", text)
            kind = "category" if plain else "other"
            found.append(Term(text, columns, kind, plain.group(1) if plain else ""))
    return tuple(found)


def _scaling(spec: Any, people: pd.DataFrame) -> dict[str, dict[str, tuple[float, float]]]:
    found = {}
    for term in spec.terms:
        score = _Z.match(str(term))
        if score:
            by = people[score.group(2)] if score.group(2) else None
            found[str(term)] = group_statistics(people[score.group(1)], by)
    return found

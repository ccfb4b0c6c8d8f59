"""Readings of a worklist side by side: who may see what, and agreement over all cases."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.session import open_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.worklist.agreement import Agreement, compare_readings
from napari_backfat.worklist.entry import AI
from napari_backfat.worklist.icc import RECOMMENDED, Differences, Icc, differences, icc
from napari_backfat.worklist.store import SETTINGS, Worklist

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.worklist.entry import Entry

MEASURES = {
    "volume_ml": ("volume_a_ml", "volume_b_ml"),
    "fat_fraction": ("fat_a", "fat_b"),
    "fat_share": ("fat_share_a", "fat_share_b"),
}
"""Measures of the agreement over cases, and where `Agreement` holds them."""


@dataclass(frozen=True)
class Reliability:
    """How far two readers agree on one measure of one muscle, over cases.

    Attributes
    ----------
    muscle, measure : str
        Which; units as in `Agreement`.
    forms : dict of str to Icc
        The six forms, see `worklist.icc.FORMS`.
    difference : Differences
        Second reader minus first.
    """

    muscle: str
    measure: str
    forms: dict[str, Icc]
    difference: Differences

    @property
    def recommended(self) -> Icc:
        """ICC(2,1), the form to report; see docs/worklist.md."""
        return self.forms[RECOMMENDED]


@dataclass(frozen=True)
class ReaderStudy:
    """All cases that two readers have finished.

    Attributes
    ----------
    readers : tuple of str
        First and second.
    cases : dict of str to list of Agreement
        By label of the case.
    reliability : list of Reliability
        Where at least 3 cases have a value of both.
    left_out : list of str
        Cases that could not be used, and why.
    """

    readers: tuple[str, str]
    cases: dict[str, list[Agreement]]
    reliability: list[Reliability]
    left_out: list[str]


def place_in_worklist(folder: str | Path) -> tuple[Worklist, Entry, str] | None:
    """Return worklist, case and reader that a case folder belongs to; None for other folders."""
    folder = Path(folder).resolve()
    root = folder.parent.parent.parent
    if folder.parent.parent.name != "cases" or not (root / SETTINGS).is_file():
        return None
    worklist = Worklist(root)
    return worklist, worklist.entry(folder.parent.name), folder.name


def refuse_while_blind(folder: str | Path) -> None:
    """Refuse to show a reading of a blind list before all readers of its case are done.

    Raises
    ------
    BackfatError
        If one is missing.
    """
    found = place_in_worklist(folder)
    if found is None or found[2] == AI:
        return
    worklist, entry, _ = found
    wanted = worklist.settings.readings
    if worklist.settings.blind and wanted > 1 and not entry.is_complete(wanted):
        raise BackfatError(
            f"{entry.label} is still being read blindly ({len(entry.done_by())} of {wanted} "
            "readings are done); readings are compared when all are done."
        )


def readings_of(worklist: Worklist, entry: Entry) -> dict[str, Path]:
    """Return the folders of a case's finished readings; empty while some are to come."""
    if not entry.is_complete(worklist.settings.readings):
        return {}
    return {reader: worklist.reader_folder(entry.id, reader) for reader in entry.done_by()}


def study(
    worklist: Worklist, readers: tuple[str, str] | None = None, confidence: float = 0.95
) -> Generator[Progress, None, ReaderStudy]:
    """Compare two readers over all cases that both have finished.

    Parameters
    ----------
    worklist : Worklist
        With 2 or more readings per case.
    readers : tuple of str, optional
        Which two; left out, the two with most cases in common, in alphabetical order.
    confidence : float
        Of the intervals.

    Yields
    ------
    Progress
        Over the cases.

    Returns
    -------
    ReaderStudy

    Raises
    ------
    BackfatError
        If no case was finished by both.
    """
    finished = {e.id: readings_of(worklist, e) for e in worklist.entries()}
    labels = {e.id: e.label for e in worklist.entries()}
    pair = readers or _most_common(list(finished.values()))
    common = {i: f for i, f in finished.items() if pair is not None and set(pair) <= set(f)}
    if pair is None or not common:
        raise BackfatError(
            "No case of this worklist has been finished by two readers and all readers it needs."
        )
    cases: dict[str, list[Agreement]] = {}
    left_out: list[str] = []
    for number, (entry_id, folders) in enumerate(common.items()):
        label = labels[entry_id]
        yield Progress(number / len(common), label)
        try:
            first, second = (open_case(folders[reader]) for reader in pair)
            rows = compare_readings(first, second)
        except BackfatError as error:
            left_out.append(f"{label}: {error}")
            continue
        cases[label if label not in cases else entry_id] = rows
    return ReaderStudy(pair, cases, reliability(list(cases.values()), confidence), left_out)


def reliability(cases: list[list[Agreement]], confidence: float = 0.95) -> list[Reliability]:
    """Return the agreement over cases for every muscle and measure with at least 3 pairs.

    A muscle that only one reader has in a case is not in that case's pairs.
    """
    found = []
    names = list(dict.fromkeys(row.muscle for rows in cases for row in rows))
    for name, (measure, fields) in itertools.product(names, MEASURES.items()):
        rows = [row for case in cases for row in case if row.muscle == name]
        pairs = np.array(
            [
                [getattr(row, f) for f in fields]
                for row in rows
                if row.volume_a_ml > 0
                and row.volume_b_ml > 0
                and all(math.isfinite(getattr(row, f)) for f in fields)
            ]
        ).reshape(-1, 2)
        if len(pairs) >= 3:
            change = differences(pairs[:, 0], pairs[:, 1])
            found.append(Reliability(name, measure, icc(pairs, confidence), change))
    return found


def _most_common(finished: list[dict[str, Path]]) -> tuple[str, str] | None:
    pairs = Counter(
        pair for folders in finished for pair in itertools.combinations(sorted(folders), 2)
    )
    if not pairs:
        return None
    first, second = max(sorted(pairs), key=lambda p: pairs[p])
    return first, second

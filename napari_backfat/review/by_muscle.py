"""Several readings beside the open case: whose word each muscle follows, and what a rule makes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.edit.patch import Patch
from napari_backfat.model.anatomy import MUSCLES, N_MUSCLE_CODES
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.compare import Reading, reading_job
from napari_backfat.review.edits import Edits
from napari_backfat.review.take import label_of
from napari_backfat.worklist.consensus import majority, staple, tissue_for
from napari_backfat.worklist.entry import CONSENSUS
from napari_backfat.worklist.readings import place_in_worklist, readings_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.case import Case
    from napari_backfat.model.masks import Change, Masks

MAJORITY, STAPLE = "majority", "STAPLE"
_PAIRS = N_MUSCLE_CODES * N_MUSCLE_CODES


@dataclass(frozen=True, eq=False)
class Sources:
    """What a muscle can be taken from.

    Attributes
    ----------
    readings : tuple of Reading
        The readers', two or more, in a fixed order.
    rules : tuple of Reading
        What majority and STAPLE make of all of them.
    undecided : dict of str to int
        Voxels of the whole scan that a rule left open, by name of the rule; they are background.
    dice : ndarray, shape (muscles + 1,)
        Lowest Dice of any two readings, per muscle in the order of `MUSCLES`, then all muscles
        together (a voxel is common where both name the same muscle); NaN where nobody has it.
    worst : ndarray, shape (muscles + 1,), int
        Slice (axis Z) in which most voxels are disputed; -1 if none is.
    voxels : ndarray, shape (sources, muscles), int64
        Size in each of `all`.
    """

    readings: tuple[Reading, ...]
    rules: tuple[Reading, ...]
    undecided: dict[str, int]
    dice: NDArray[np.float64]
    worst: NDArray[np.int64]
    voxels: NDArray[np.int64]

    @property
    def all(self) -> tuple[Reading, ...]:
        """Readings, then rules."""
        return self.readings + self.rules

    def named(self, name: str) -> Reading:
        """Return one of `all` by its name."""
        return next(r for r in self.all if r.name == name)


def folders_beside(case: Case) -> dict[str, Path]:
    """Return the finished readings of the case's worklist entry, by reader, without itself.

    Empty if the case lies in no worklist, or readings are still to come.
    """
    place = place_in_worklist(case.folder) if case.folder is not None else None
    if place is None:
        return {}
    worklist, entry, reader = place
    return {r: f for r, f in readings_of(worklist, entry).items() if r != reader}


def own_reading(case: Case, present: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> Reading | None:
    """Return the masks of the open case as a reading; None if it is a consensus, and so is none."""
    place = place_in_worklist(case.folder) if case.folder is not None else None
    if place is not None and place[2] == CONSENSUS:
        return None
    name = place[2] if place is not None else ""
    if not name and case.folder is not None:
        name = Path(case.folder).resolve().name
    return Reading(name or "this case", *present)


def sources_job(
    case: Case, own: Reading | None, others: Sequence[Reading], folders: Mapping[str, Path]
) -> Generator[Progress, None, Sources]:
    """Read the readings that are not in memory, and work out the rules.

    Parameters
    ----------
    case : Case
        The open case; only compared with, never changed.
    own : Reading or None
        Its own masks, from `own_reading`; copies, because the person may go on.
    others : sequence of Reading
        Already read.
    folders : mapping of str to Path
        Further case folders to read, by reader.

    Yields
    ------
    Progress

    Returns
    -------
    Sources

    Raises
    ------
    BackfatError
        If there are fewer than two, a folder holds another scan, or is still blind.
    """
    found = [own] if own is not None else []
    found += list(others)
    for folder in folders.values():
        reading = yield from reading_job(case, folder)
        if all(reading.name != r.name for r in found):
            found.append(reading)
    if len(found) < 2:
        raise BackfatError("A consensus needs at least two readings of this scan.")
    yield Progress(0.5, "Majority of the readings")
    maps = [r.muscle for r in found]
    made = {MAJORITY: majority(maps)}
    yield Progress(0.7, "STAPLE of the readings")
    made[STAPLE] = staple(maps)
    tissues = [(r.muscle, r.tissue) for r in found]
    rules = [Reading(n, c.muscles, tissue_for(c.muscles, tissues)) for n, c in made.items()]
    yield Progress(0.9, "Comparing the readings")
    dice, worst = _agreement(maps)
    voxels = np.stack([_sizes(r.muscle) for r in (*found, *rules)])
    undecided = {n: c.undecided for n, c in made.items()}
    return Sources(tuple(found), tuple(rules), undecided, dice, worst, voxels)


def take_all(case: Case, reading: Reading) -> Change | None:
    """Make every muscle what a reading says, as one undo step; the protect list is kept."""
    case.masks.sync()
    here = case.masks.muscle
    rows = np.flatnonzero((here != reading.muscle).any(axis=(1, 2)))
    if rows.size == 0:
        return None
    box = (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(0, here.shape[1]),
        slice(0, here.shape[2]),
    )
    patch = Patch.between(box, here[box], reading.muscle[box].copy())
    return Edits(case).apply(patch, label_of(reading))


class Tally:
    """Counts in which voxels the present masks differ from each source, slice by slice.

    Parameters
    ----------
    masks : Masks
        The present masks.
    sources : Sources
        Compared with.

    Attributes
    ----------
    differs : ndarray, shape (sources, Z, muscles), int64
        Voxels that are the muscle in one and not in the other.
    """

    def __init__(self, masks: Masks, sources: Sources) -> None:
        self._masks, self.sources = masks, sources
        depth = masks.geometry.shape[0]
        self.differs = np.zeros((len(sources.all), depth, len(MUSCLES)), np.int64)
        self._dirty = np.ones(depth, np.bool_)

    def forget(self, slices: tuple[int, int] | None) -> None:
        """Count these slices (first and last) anew when asked next; None: all of them."""
        if slices is None:
            self._dirty[:] = True
        else:
            self._dirty[slices[0] : slices[1] + 1] = True

    def update(self) -> None:
        """Count what was forgotten."""
        for z in np.flatnonzero(self._dirty):
            here = self._masks.muscle[z]
            for number, source in enumerate(self.sources.all):
                there = source.muscle[z]
                apart = here != there
                counts = np.bincount(here[apart], minlength=N_MUSCLE_CODES)
                counts = counts + np.bincount(there[apart], minlength=N_MUSCLE_CODES)
                self.differs[number, z] = counts[1:N_MUSCLE_CODES]
        self._dirty[:] = False

    @property
    def present(self) -> NDArray[np.int64]:
        """Size of each muscle in the present masks, shape (muscles,), voxels."""
        counts: NDArray[np.int64] = self._masks.ledger.counts[:, 1:].sum(axis=(0, 2))
        return counts

    def followed(self, muscle: Muscle | None) -> tuple[tuple[Reading, ...], Reading, int]:
        """Tell whose word a muscle follows now.

        Parameters
        ----------
        muscle : Muscle or None
            None for all muscles together.

        Returns
        -------
        same : tuple of Reading
            Sources that say exactly what the present masks say; readers come before rules.
        nearest : Reading
            The one that differs least.
        voxels : int
            How many voxels differ from that one.
        """
        self.update()
        every = self.sources.all
        columns = slice(None) if muscle is None else slice(muscle - 1, muscle)
        totals = self.differs[:, :, columns].sum(axis=(1, 2))
        nearest = int(np.argmin(totals))
        same = tuple(s for s, n in zip(every, totals, strict=True) if n == 0)
        return same, every[nearest], int(totals[nearest])


def _sizes(muscles: NDArray[np.uint8]) -> NDArray[np.int64]:
    sizes = np.zeros(N_MUSCLE_CODES, np.int64)
    for plane in muscles:  # a tenth of a scan is muscle: counting the rest takes ten times as long
        sizes += np.bincount(plane[plane > 0], minlength=N_MUSCLE_CODES)[:N_MUSCLE_CODES]
    return sizes[1:]


def _agreement(
    maps: Sequence[NDArray[np.uint8]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the lowest Dice of any two maps, and the slice with most disputed voxels."""
    depth, many = maps[0].shape[0], len(MUSCLES)
    lowest = np.full(many + 1, np.nan)
    disputed = np.zeros((depth, many + 1), np.int64)
    for a, b in itertools.combinations(maps, 2):
        joint = np.zeros((N_MUSCLE_CODES, N_MUSCLE_CODES), np.int64)
        for z in range(depth):
            codes = a[z].astype(np.intp) * N_MUSCLE_CODES + b[z]
            counts = np.bincount(codes.ravel(), minlength=_PAIRS).reshape(joint.shape)
            joint += counts
            np.fill_diagonal(counts, 0)
            disputed[z, :many] += counts.sum(axis=0)[1:] + counts.sum(axis=1)[1:]
            disputed[z, many] += counts.sum()
        common = np.diag(joint)[1:]
        sizes = joint.sum(axis=0)[1:] + joint.sum(axis=1)[1:]
        with np.errstate(invalid="ignore"):
            each = np.append(2 * common / sizes, 2 * common.sum() / sizes.sum())
        lowest = np.fmin(lowest, each)
    worst = np.where(disputed.any(axis=0), disputed.argmax(axis=0), -1)
    return lowest, worst

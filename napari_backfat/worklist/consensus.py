"""One mask of several: chosen muscle by muscle, by majority, or by STAPLE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, N_MUSCLE_CODES, Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.worklist.regions import disagreement_regions
from napari_backfat.worklist.staple import majority_of, staple_of
from napari_backfat.worklist.votes import Votes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_MARGIN = 2
_REGION = re.compile(r"region:(\d+)=([A-Za-z])")
_CHOICE = re.compile(r"([a-z_]+)=([A-Za-z])(?::(\d+)-(\d+))?")


@dataclass(frozen=True)
class Choice:
    """Whose muscle is taken, in all slices or in some.

    Attributes
    ----------
    muscle : Muscle
        Which.
    reading : int
        Position of the reading, from 0.
    slices : range or None
        Slices (axis Z) it holds for; None for all.
    """

    muscle: Muscle
    reading: int
    slices: range | None = None


@dataclass(frozen=True)
class RegionChoice:
    """Whose word is taken in one connected place where two readings differ.

    Attributes
    ----------
    number : int
        From `agreement.disagreement_regions`, from 1.
    reading : int
        Position of the reading, from 0.
    """

    number: int
    reading: int


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several readings became.

    Attributes
    ----------
    muscles : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    undecided : int
        Voxels that no rule decided; they are background.
    method : dict
        How it was made, JSON-serialisable.
    """

    muscles: NDArray[np.uint8]
    undecided: int
    method: dict[str, object]


def parse_choice(text: str) -> Choice | RegionChoice:
    """Read a choice: ``multifidus_left=A``, ``psoas_major_right=B:12-20`` or ``region:7=B``.

    Raises
    ------
    BackfatError
        If it is none.
    """
    region = _REGION.fullmatch(text.strip())
    if region is not None:
        return RegionChoice(int(region[1]), ord(region[2].upper()) - ord("A"))
    match = _CHOICE.fullmatch(text.strip())
    names = {m.name.lower(): m for m in MUSCLES}
    if match is None or match[1] not in names:
        raise BackfatError(
            f"'{text}' is no choice; write it like multifidus_left=A, with slices "
            f"multifidus_left=B:3-9, or region:7=B. Muscles: {', '.join(names)}."
        )
    slices = None if match[3] is None else range(int(match[3]), int(match[4]) + 1)
    return Choice(names[match[1]], ord(match[2].upper()) - ord("A"), slices)


def choose(
    readings: Sequence[NDArray[np.uint8]],
    choices: Sequence[Choice | RegionChoice],
    otherwise: int = 0,
) -> Consensus:
    """Take each muscle from one reader, in some slices or places from another.

    Where chosen muscles overlap the voxel is undecided and becomes background: neither reader
    said so.

    Parameters
    ----------
    readings : sequence of ndarray, shape (Z, Y, X), uint8
        `Muscle` ids, one array per reader.
    choices : sequence of Choice or RegionChoice
        Later ones overrule earlier ones; places overrule muscles. Places are those where the first
        two readings differ, and one of these two must be named.
    otherwise : int
        Reading that muscles without a choice are taken from.

    Raises
    ------
    BackfatError
        If a reading, slice or place does not exist.
    """
    shape = _shape(readings)
    source = np.full((len(Muscle), shape[0]), otherwise)
    for choice in (c for c in choices if isinstance(c, Choice)):
        if not 0 <= choice.reading < len(readings):
            raise BackfatError(f"There is no reading {chr(ord('A') + choice.reading)}.")
        slices = choice.slices if choice.slices is not None else range(shape[0])
        if len(slices) == 0 or slices.stop > shape[0]:
            raise BackfatError(
                f"Slices {slices.start} to {slices.stop - 1} do not exist; this scan has 0 to "
                f"{shape[0] - 1}."
            )
        source[choice.muscle, slices.start : slices.stop] = choice.reading
    merged = np.zeros(shape, np.uint8)
    claims = np.zeros(shape, np.uint8)
    for muscle in MUSCLES:
        for z in range(shape[0]):
            inside = readings[source[muscle, z]][z] == muscle
            merged[z][inside] = muscle
            claims[z] += inside
    undecided = claims > 1
    merged[undecided] = Muscle.BACKGROUND
    places = [c for c in choices if isinstance(c, RegionChoice)]
    if places:
        regions, found = disagreement_regions(readings[0], readings[1])
        for place in places:
            if not 1 <= place.number <= len(found):
                raise BackfatError(f"There is no region {place.number}; there are {len(found)}.")
            if place.reading > 1:
                raise BackfatError("A region is where A and B differ; choose A or B for it.")
            inside = regions == place.number
            merged[inside] = readings[place.reading][inside]
            undecided &= ~inside
    record: list[dict[str, object]] = [
        {
            "muscle": c.muscle.name.lower(),
            "reading": chr(ord("A") + c.reading),
            "slices": None if c.slices is None else [c.slices.start, c.slices.stop - 1],
        }
        for c in choices
        if isinstance(c, Choice)
    ]
    record += [{"region": p.number, "reading": chr(ord("A") + p.reading)} for p in places]
    method: dict[str, object] = {
        "method": "chosen",
        "choices": record,
        "otherwise": chr(ord("A") + otherwise),
    }
    return Consensus(merged, int(np.count_nonzero(undecided)), method)


def majority(readings: Sequence[NDArray[np.uint8]]) -> Consensus:
    """Give each voxel the label that most readers gave; a tie is undecided and background.

    With two readers that is what both have in common.
    """
    _shape(readings)
    votes = Votes.of(readings)
    voted = majority_of(votes.answers, N_MUSCLE_CODES)
    return _settled(votes, voted, {"method": "majority", "readings": len(readings)})


def staple(readings: Sequence[NDArray[np.uint8]]) -> Consensus:
    """Estimate the true map and each reader's reliability together (STAPLE for several labels).

    See `staple.staple_of` for method and sources. Only the box around all muscles takes part, with
    two voxels around it: the prior of the background and how reliably readers see it both grow with
    the air that is counted, and with much of it every reader looks perfect. With two readers the
    data cannot tell who is right: the result then follows from small differences in size and is
    not better founded than a choice; three or more are what the method is for.
    """
    _shape(readings)
    votes = Votes.of(readings, _MARGIN)
    if len(votes.counts) == 1:
        raise BackfatError("No reading holds a muscle; there is nothing to agree on.")
    found = staple_of(votes.answers, votes.counts, N_MUSCLE_CODES)
    record = {"iterations": found.iterations, "converged": found.converged}
    return _settled(votes, found.labels, {"method": "STAPLE", "readings": len(readings)} | record)


def tissue_for(
    muscles: NDArray[np.uint8],
    readings: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> NDArray[np.uint8]:
    """Return the tissue of a consensus: each voxel's from the first reader who has it there.

    Parameters
    ----------
    muscles : ndarray, shape (Z, Y, X), uint8
        The consensus.
    readings : sequence of (muscles, tissue)
        Each reader's maps, shape (Z, Y, X), uint8; tissue as `TissueCode`.

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        `TissueCode` values; NONE outside muscles and where no reader has that muscle.
    """
    tissue = np.zeros(muscles.shape, np.uint8)
    open_ = muscles > 0
    for labels, codes in readings:
        here = open_ & (labels == muscles) & (codes != TissueCode.NONE)
        tissue[here] = codes[here]
        open_ &= ~here
    return tissue


def reliability(
    readings: Mapping[str, NDArray[np.uint8]], muscles: NDArray[np.uint8]
) -> dict[str, float]:
    """Return each reader's Dice against a consensus, all muscles together."""
    found = {}
    for name, labels in readings.items():
        common = np.count_nonzero((labels == muscles) & (muscles > 0))
        total = np.count_nonzero(labels) + np.count_nonzero(muscles)
        found[name] = 2 * common / total if total else float("nan")
    return found


def _settled(votes: Votes, labels: NDArray[np.int64], method: dict[str, object]) -> Consensus:
    """Give each voxel the label of its answer; -1 is undecided."""
    muscles = votes.spread(np.maximum(labels, Muscle.BACKGROUND).astype(np.uint8))
    return Consensus(muscles, int(votes.counts[labels < 0].sum()), method)


def _shape(readings: Sequence[NDArray[np.uint8]]) -> tuple[int, int, int]:
    shapes = {r.shape for r in readings}
    if len(readings) < 2 or len(shapes) != 1:
        raise BackfatError("A consensus needs at least two readings on one grid.")
    z, y, x = shapes.pop()
    return z, y, x

"""What a journal of edits records, and how its records lead from the first state to the last."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES
from napari_backfat.model.edit_rules import HAND
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.ledger import joint_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Kind = Literal["base", "reopen", "edit", "undo", "redo", "facts", "ai"]
EDIT_KINDS = frozenset({"edit", "undo", "redo"})
PRIVATE_KINDS = frozenset({"facts", "ai"})
"""Only in the recovery copy: what a saved case holds in files of its own."""

_LEVEL = 1  # of zlib: a stroke must not be felt
_COUNTS = struct.Struct("<II")
_TOP = N_MUSCLE_CODES * N_TISSUE_CODES


class JournalFault(BackfatError):
    """A record cannot follow the ones before it."""


class Entry(BaseModel):
    """One row of the journal; the exact change lies in the record's body.

    Attributes
    ----------
    kind : str
        "base" sets a whole state, "reopen" forgets marks outside muscles (a saved case does not
        keep them), "edit", "undo" and "redo" change voxels, "facts" and "ai" hold the rest of an
        unsaved case.
    time : str
        UTC, ISO 8601 with milliseconds, by the clock of the computer.
    reader : str
        Who worked: the name set, else that of the system's user.
    tool : str
        What was done ("brush", "fat threshold", "AI segmentation", ...); of an undo or redo, what
        was taken back or brought back.
    threshold : float
        Fat threshold in force afterwards, 0..1.
    fat : dict or None
        How the fat map was made, where it changed: kind, method, parameters, notes.
    voxels : int
        Voxels whose muscle or tissue changed.
    ml : float
        Their volume in millilitres.
    net : dict of int to int
        Muscle id to voxels gained (positive) or lost.
    muscles, tissues : tuple of int
        `Muscle` ids before or after, and `TissueCode` values after, of the voxels changed.
    slices : tuple of (int, int)
        Runs of slices touched, first and last, working index Z.
    shape : tuple of int or None
        Grid (Z, Y, X) of a base.
    edits : int
        Edits of the case so far, as its provenance counts them.
    folded : bool
        The exact change is no longer held: it became part of the base that follows.
    facts : dict or None
        Patient, levels and so on, of an unsaved case.
    parts : tuple of (str, int)
        Names and lengths in bytes of the parts of the body.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    time: str
    tool: str
    reader: str = ""
    threshold: float = 0.5
    fat: dict[str, Any] | None = None
    voxels: int = 0
    ml: float = 0.0
    net: dict[int, int] = {}
    muscles: tuple[int, ...] = ()
    tissues: tuple[int, ...] = ()
    slices: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, int, int] | None = None
    edits: int = 0
    folded: bool = False
    facts: dict[str, Any] | None = None
    parts: tuple[tuple[str, int], ...] = ()


class Record(NamedTuple):
    """An entry with its body.

    Attributes
    ----------
    entry : Entry
        The row.
    body : bytes
        The parts one after the other, each compressed by zlib.
    """

    entry: Entry
    body: bytes

    def part(self, name: str) -> bytes | None:
        """Return one part of the body as it is stored, or None."""
        start = 0
        for key, length in self.entry.parts:
            if key == name:
                return self.body[start : start + length]
            start += length
        return None


def make_record(entry: Entry, parts: dict[str, bytes]) -> Record:
    """Join an entry and the parts of its body."""
    sizes = tuple((name, len(data)) for name, data in parts.items())
    return Record(entry.model_copy(update={"parts": sizes}), b"".join(parts.values()))


# ---------------------------------------------------------------------- arrays to bytes


def pack_volume(values: NDArray[np.uint8]) -> bytes:
    """Compress a whole array, uint8."""
    return zlib.compress(np.ascontiguousarray(values).data, _LEVEL)


def unpack_volume(data: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the array that `pack_volume` was given, uint8 (Z, Y, X), writable.

    Raises
    ------
    JournalFault
        If the bytes are not an array of this shape.
    """
    size = int(np.prod(shape))
    raw = _inflate(data, size)
    if len(raw) != size:
        raise JournalFault("A state in the journal has another size than its grid.")
    return np.frombuffer(raw, np.uint8).reshape(shape).copy()


def pack_change(
    index: NDArray[np.integer[Any]], old: NDArray[np.uint8], new: NDArray[np.uint8]
) -> bytes:
    """Compress changed voxels as runs of neighbours with their codes before and after.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Flat voxel indices, strictly rising, below 2**32.
    old, new : ndarray of uint8, shape (n,)
        State codes, see `state_codes`.
    """
    flat = index.astype(np.int64, copy=False)
    first = np.flatnonzero(np.diff(flat, prepend=-2) != 1)
    starts = np.diff(flat[first], prepend=0).astype("<u4")
    lengths = np.diff(first, append=flat.size).astype("<u4")
    head = _COUNTS.pack(flat.size, first.size)
    raw = b"".join((head, starts.tobytes(), lengths.tobytes(), old.tobytes(), new.tobytes()))
    return zlib.compress(raw, _LEVEL)


def unpack_change(
    data: bytes, size: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return index, old and new as `pack_change` was given them, for an array of `size` voxels.

    Raises
    ------
    JournalFault
        If the bytes are not a change of such an array.
    """
    raw = _inflate(data, _COUNTS.size + 10 * size)
    fault = JournalFault("A change in the journal does not fit the grid of its case.")
    if len(raw) < _COUNTS.size:
        raise fault
    count, runs = _COUNTS.unpack_from(raw)
    if count > size or runs > count or len(raw) != _COUNTS.size + 8 * runs + 2 * count:
        raise fault
    starts = np.frombuffer(raw, "<u4", runs, _COUNTS.size).astype(np.int64).cumsum()
    lengths = np.frombuffer(raw, "<u4", runs, _COUNTS.size + 4 * runs).astype(np.int64)
    if lengths.sum() != count or (runs and (lengths.min() < 1 or starts[-1] + lengths[-1] > size)):
        raise fault
    if (starts[1:] < starts[:-1] + lengths[:-1]).any():
        raise fault
    within = np.arange(count) - np.repeat(lengths.cumsum() - lengths, lengths)
    index = np.repeat(starts, lengths) + within
    codes = np.frombuffer(raw, np.uint8, 2 * count, _COUNTS.size + 8 * runs)
    return index, codes[:count], codes[count:]


def _inflate(data: bytes, largest: int) -> bytes:
    """Decompress at most `largest` bytes: a journal may come from anybody."""
    try:
        unzip = zlib.decompressobj()
        raw = unzip.decompress(data, largest + 1)
    except zlib.error as error:
        raise JournalFault("A record of the journal cannot be decompressed.") from error
    if len(raw) > largest or not unzip.eof:
        raise JournalFault("A record of the journal is larger than its case allows.")
    return raw


# ---------------------------------------------------------------------- the state


def state_codes(
    muscle: NDArray[np.uint8], tissue: NDArray[np.uint8], former: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Return one byte per voxel that holds muscle, tissue and the mark remembered outside muscles.

    Inside a muscle it is the joint code ``muscle * 5 + tissue``. Outside it is the tissue painted
    by hand before the voxel left its muscle, which comes back when the muscle is grown again, or 0.

    Parameters
    ----------
    muscle, tissue : ndarray of uint8, any shape
        `Muscle` ids and `TissueCode` values.
    former : ndarray of uint8, same shape, optional
        State codes before; None remembers nothing.
    """
    codes = joint_code(muscle, tissue)
    if former is None:
        codes *= muscle != 0
        return codes
    mark = former % np.uint8(N_TISSUE_CODES)
    kept = np.where(mark >= HAND, mark, np.uint8(0))
    return np.where(muscle == 0, kept, codes).astype(np.uint8, copy=False)


def masks_sha256(muscle: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> str:
    """Return the hash of both maps, (Z, Y, X) in C order."""
    digest = hashlib.sha256(np.ascontiguousarray(muscle).data)
    digest.update(np.ascontiguousarray(tissue).data)
    return digest.hexdigest()


class State:
    """The masks as the records applied so far leave them.

    Attributes
    ----------
    codes : ndarray, shape (Z, Y, X), uint8, or None
        See `state_codes`; None before the first base.
    threshold : float
        Fat threshold in force, 0..1.
    fat : dict or None
        How the fat map in force was made.
    basis : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids that the fat method was applied to.
    """

    def __init__(self) -> None:
        self.codes: NDArray[np.uint8] | None = None
        self.threshold = 0.5
        self.fat: dict[str, Any] | None = None
        self.basis: NDArray[np.uint8] | None = None

    @property
    def muscle(self) -> NDArray[np.uint8]:
        """`Muscle` ids, uint8 (Z, Y, X)."""
        return self._known() // np.uint8(N_TISSUE_CODES)

    @property
    def tissue(self) -> NDArray[np.uint8]:
        """`TissueCode` values, uint8 (Z, Y, X)."""
        codes = self._known()
        tissue = codes % np.uint8(N_TISSUE_CODES)
        tissue[codes < N_TISSUE_CODES] = 0
        return tissue

    def apply(self, record: Record) -> None:
        """Do what a record says.

        Raises
        ------
        JournalFault
            If it does not fit the state; the state is then as it was before.
        """
        entry = record.entry
        if entry.kind in PRIVATE_KINDS or entry.folded:
            return
        if entry.kind == "base":
            data = record.part("codes")
            if data is None or entry.shape is None or min(entry.shape) < 1:
                raise JournalFault("The journal begins without a state.")
            codes = unpack_volume(data, entry.shape)
            if codes.max() >= _TOP:
                raise JournalFault("A state in the journal has unknown labels.")
            basis = _basis(record, entry.shape)
            self.codes, self.basis = codes, basis
        elif entry.kind == "reopen":
            codes = self._known()
            codes[codes < N_TISSUE_CODES] = 0
        else:
            self._change(record)
        self.threshold = entry.threshold
        if entry.fat is not None:
            self.fat = entry.fat

    def _change(self, record: Record) -> None:
        codes = self._known()
        flat = codes.ravel()
        basis = _basis(record, (codes.shape[0], codes.shape[1], codes.shape[2]))
        data = record.part("change")
        if data is not None:
            index, old, new = unpack_change(data, flat.size)
            if new.max(initial=0) >= _TOP or not np.array_equal(flat[index], old):
                raise JournalFault("A change in the journal does not follow from the state before.")
            flat[index] = new
        if record.entry.fat is not None:
            self.basis = basis

    def _known(self) -> NDArray[np.uint8]:
        if self.codes is None:
            raise JournalFault("The journal begins without a state.")
        return self.codes


def _basis(record: Record, shape: tuple[int, int, int]) -> NDArray[np.uint8] | None:
    data = record.part("basis")
    return None if data is None else unpack_volume(data, shape)


def replayed(records: Iterable[Record]) -> State:
    """Return the state that records lead to; raises `JournalFault` if they do not fit."""
    state = State()
    for record in records:
        state.apply(record)
    return state

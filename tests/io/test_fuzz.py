"""Hundreds of damaged files: each is opened, or refused in one sentence, in bounded time."""

from __future__ import annotations

import gzip
import random
import struct
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.io.labels import read_labels
from napari_backfat.io.nifti import read_nifti
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from tests.io.files import affine_for, some_image, write_nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (7, 6, 5)
# Offset and struct format of header fields whose value decides what is read and how much.
NIFTI1_FIELDS = [
    *((offset, "<h") for offset in range(40, 56, 2)),  # dim
    *((offset, "<h") for offset in (70, 72, 252, 254)),  # datatype, bitpix, form codes
    *((offset, "<f") for offset in range(76, 108, 4)),  # pixdim
    *((offset, "<f") for offset in (108, 112, 116)),  # vox_offset, slope, intercept
    *((offset, "<f") for offset in range(256, 328, 4)),  # quaternion, offset, srow
]
NIFTI2_FIELDS = [
    *((offset, "<q") for offset in range(16, 80, 8)),
    *((offset, "<h") for offset in (12, 14)),
    *((offset, "<d") for offset in range(104, 168, 8)),
    (168, "<q"),
    *((offset, "<d") for offset in (176, 184)),
    *((offset, "<i") for offset in (344, 348)),
    *((offset, "<d") for offset in range(352, 496, 8)),
]
VALUES = {
    "h": [0, 1, -1, 2, 3, 4, 7, 8, 16, 64, 128, 255, 512, 768, 1024, 1536, 1792, 32767, -32768],
    "i": [0, 1, -1, 5, 2**31 - 1, -(2**31)],
    "q": [0, 1, -1, 3, 4, 352, 544, 10**6, 2**31, 2**40, 2**63 - 1, -(2**63)],
    "f": [0.0, -1.0, 1.0, 1e-30, 1e30, -3e38, float("nan"), float("inf"), -float("inf"), 352.0],
    "d": [0.0, -1.0, 1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")],
}


def set_fields(rng: random.Random, content: bytearray, version: int) -> None:
    for _ in range(rng.randint(1, 3)):
        offset, kind = rng.choice(NIFTI1_FIELDS if version == 1 else NIFTI2_FIELDS)
        struct.pack_into(kind, content, offset, rng.choice(VALUES[kind[1]]))


def flip_bits(rng: random.Random, content: bytearray, version: int) -> None:
    size = 348 if version == 1 else 540
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(size)] ^= 1 << rng.randrange(8)


def scramble(rng: random.Random, content: bytearray, version: int) -> None:
    del version
    start = rng.randrange(len(content))
    length = rng.randint(1, 64)
    content[start : start + length] = rng.randbytes(len(content[start : start + length]))


def cut(rng: random.Random, content: bytearray, version: int) -> None:
    del version
    del content[rng.randrange(len(content)) :]


MUTATIONS: list[Callable[[random.Random, bytearray, int], None]] = [
    set_fields,
    set_fields,
    flip_bits,
    scramble,
    cut,
]


@pytest.mark.parametrize("version", [1, 2])
def test_only_sentences_come_out(tmp_path: Path, version: int) -> None:
    rng = random.Random(version)
    original = write_nifti(
        tmp_path / "whole.nii", some_image(SHAPE), affine_for(angles_deg=(5, 3, 1)), version=version
    ).read_bytes()
    grid = FileGrid.from_affine(SHAPE, affine_for())
    opened, refused, longest = 0, set(), 0.0
    for number in range(500):
        content = bytearray(original)
        rng.choice(MUTATIONS)(rng, content, version)
        packed = bytes(content)
        if number % 3 == 0:
            packed = bytearray(gzip.compress(packed, mtime=0))
            if number % 2 == 0:
                flip_bits_anywhere(rng, packed)
        path = tmp_path / "mutant.nii.gz"
        path.write_bytes(packed)
        for read in (read_nifti, lambda p: read_labels(p, grid)):
            start = time.perf_counter()
            try:
                loaded = read(path)
            except BackfatError as error:
                refused.add(str(error))
            else:
                opened += 1
                if read is read_nifti:
                    assert np.isfinite(loaded.volume.voxels).all()
                    assert np.isfinite(loaded.volume.geometry.affine).all()
                    assert abs(np.linalg.det(loaded.volume.geometry.affine)) > 0
            longest = max(longest, time.perf_counter() - start)
    assert all("\n" not in sentence and len(sentence) < 500 for sentence in refused)
    assert opened > 50
    assert len(refused) > 30
    assert longest < 5


def flip_bits_anywhere(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)

"""The pool: deformed anatomy made once, so that training spends its time on the network."""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.context import build_slice
from napari_backfat.train.fatness import fat_fraction
from napari_backfat.train.fields import one_blas_thread
from napari_backfat.train.oblique import fine_stack
from napari_backfat.train.others import negative_slice, phantom_slices, trunk_slice, trunk_stack
from napari_backfat.train.placement import place_muscles
from napari_backfat.train.sources import load_muscle_map
from napari_backfat.train.upper import thin_out, upper_parts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.train.config import TrainConfig
    from napari_backfat.train.sources import SliceStack

logger = logging.getLogger(__name__)

# A kind's place decides its seed: new ones come last.
KINDS = (
    "lumbar",
    "phantom",
    "trunk",
    "negative",
    "held_out",
    "held_out_phantom",
    "oblique",
    "oblique_phantom",
    "upper",
)
# Kinds that are drawn with a second fat map, see `deep_fat`.
DEEP_KINDS = ("lumbar", "phantom", "oblique", "oblique_phantom", "upper")
_CHUNK = 20


@dataclass(frozen=True, eq=False)
class Pool:
    """Slices of one kind.

    Attributes
    ----------
    classes, fraction : ndarray, shape (N, *SHAPE), uint8
        Tissue classes, and fat fraction times 250; memory-mapped.
    deep : ndarray, shape (N, *SHAPE), uint8, or None
        Another fat fraction of the same slices, see `deep_fat`.
    """

    classes: NDArray[np.uint8]
    fraction: NDArray[np.uint8]
    deep: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self.classes[index], self.fraction[index]

    def deepened(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Classes and the other fat fraction; the first where the kind has one only."""
        return self.classes[index], (self.fraction if self.deep is None else self.deep)[index]


def counts(config: TrainConfig) -> dict[str, int]:
    """Count the slices of each kind, rounded up to whole chunks."""
    wanted = (
        config.pool_lumbar,
        config.pool_phantom,
        config.pool_trunk,
        config.pool_negative,
        config.held_out,
        config.held_out // 2,
        config.pool_oblique,
        config.pool_oblique_phantom,
        config.pool_upper,
    )
    return {k: -(-n // _CHUNK) * _CHUNK for k, n in zip(KINDS, wanted, strict=True)}


def make_chunk(
    root: Path, maps: tuple[str, ...], seed: int, kind: str, chunk: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make one chunk of slices; the same arguments give the same slices.

    Returns
    -------
    tuple of ndarray, shape (20, *SHAPE), uint8
        Classes and fat fraction times 250.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind), chunk])
    if kind.endswith("phantom"):
        slices = phantom_slices(rng, _CHUNK, oblique=kind.startswith("oblique"))
    elif kind == "trunk":
        stack = trunk_stack(root)
        slices = [trunk_slice(rng, stack) for _ in range(_CHUNK)]
    elif kind == "negative":
        slices = [negative_slice(rng) for _ in range(_CHUNK)]
    else:
        load = fine_stack if kind == "oblique" else load_muscle_map
        stacks = [load(root, name) for name in maps]
        if kind == "upper":
            stacks = upper_parts(stacks)
        slices = [_map_slice(rng, stacks, kind) for _ in range(_CHUNK)]
    fat_rng = np.random.default_rng([seed, KINDS.index(kind), chunk, 1])
    return np.stack(slices), np.stack([fat_fraction(fat_rng, s) for s in slices])


def _map_slice(rng: np.random.Generator, stacks: list[SliceStack], kind: str) -> NDArray[np.uint8]:
    """Draw a slice of one of the label maps and what lies around its muscles."""
    upper = kind == "upper"
    placed = place_muscles(rng, stacks[int(rng.integers(len(stacks)))], kind == "oblique")
    return build_slice(rng, thin_out(rng, placed) if upper else placed, upper)


def build_pool(config: TrainConfig, root: Path, folder: Path) -> None:
    """Make all chunks that are not there yet (so an interrupted build continues).

    Parameters
    ----------
    config : TrainConfig
        Counts and seed.
    root : Path
        Data folder (see `config.data_root`).
    folder : Path
        Where the pool goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs, deep_jobs = [], []
    for kind, n in counts(config).items():
        if n:
            for name in ("classes", "fraction"):
                _provide(folder, f"{kind}_{name}", n)
            jobs += [(config, root, folder, kind, c) for c in _missing(folder, kind, n)]
        if n and kind in DEEP_KINDS:
            _provide(folder, f"{kind}_deep", n)
            deep_jobs += [(config, folder, kind, c) for c in _missing(folder, f"{kind}_deep", n)]
    context = get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, initializer=one_blas_thread) as executor:
        for i, (kind, chunk) in enumerate(executor.map(_work, jobs)):
            if i % 20 == 0:
                logger.info("pool: %d of %d chunks (%s %d)", i + 1, len(jobs), kind, chunk)
        for _ in executor.map(_deepen, deep_jobs):
            pass


def _provide(folder: Path, name: str, n: int) -> None:
    """Make the store of n slices if there is none."""
    path = folder / f"{name}.npy"
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (n, *SHAPE)).flush()


def _missing(folder: Path, name: str, n: int) -> list[int]:
    """List the chunks that were not finished."""
    return [c for c in range(n // _CHUNK) if not _marker(folder, name, c).exists()]


def _marker(folder: Path, name: str, chunk: int) -> Path:
    return folder / f"{name}_{chunk:04d}.done"


def _part(chunk: int) -> slice:
    return slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)


def _put(folder: Path, name: str, chunk: int, made: NDArray[np.uint8]) -> None:
    store = np.lib.format.open_memmap(folder / f"{name}.npy", "r+")
    store[_part(chunk)] = made
    store.flush()


def _work(job: tuple[TrainConfig, Path, Path, str, int]) -> tuple[str, int]:
    config, root, folder, kind, chunk = job
    maps = config.maps_held_out if kind == "held_out" else config.maps
    made = make_chunk(root, maps, config.seed, kind, chunk)
    for name, array in zip(("classes", "fraction"), made, strict=True):
        _put(folder, f"{kind}_{name}", chunk, array)
    _marker(folder, kind, chunk).touch()
    return kind, chunk


def _deepen(job: tuple[TrainConfig, Path, str, int]) -> None:
    """Draw the second fat map of a chunk whose anatomy is there."""
    config, folder, kind, chunk = job
    classes = np.load(folder / f"{kind}_classes.npy", mmap_mode="r")[_part(chunk)]
    rng = np.random.default_rng([config.seed, KINDS.index(kind), chunk, 2])
    made = np.stack([fat_fraction(rng, np.asarray(s), deep=True) for s in classes])
    _put(folder, f"{kind}_deep", chunk, made)
    _marker(folder, f"{kind}_deep", chunk).touch()


def open_pool(folder: Path, kind: str) -> Pool:
    """Open one kind of slices read-only."""
    deep = folder / f"{kind}_deep.npy"
    return Pool(
        np.load(folder / f"{kind}_classes.npy", mmap_mode="r"),
        np.load(folder / f"{kind}_fraction.npy", mmap_mode="r"),
        np.load(deep, mmap_mode="r") if deep.exists() else None,
    )

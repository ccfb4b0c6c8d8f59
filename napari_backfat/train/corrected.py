"""Corrected real cases as the network sees them: slabs in windows, and who is held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.adapt_lesson import label_plane
from napari_backfat.segment.preprocess import resample_plane, slab_matrix, window_for
from napari_backfat.segment.reformat import labels_back, muscles_lean_deg, resample, upright_frame
from napari_backfat.segment.torch_backend import network_channels
from napari_backfat.train.tissues import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.export.collect import CollectedCase
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.segment.network import NetworkSpec

_MARGIN_MM = 20.0  # around the network's own window, for turning and shifting
_LEAST_SLABS = 6  # of a single case: two blocks of slices are held out
_BLOCKS = 6
_HELD_BLOCKS = (1, 4)


@dataclass(frozen=True, eq=False)
class SlabSet:
    """The labelled slabs of one case in windows of the fine network's pixel size.

    Attributes
    ----------
    id : str
        Anonymous identifier of the case.
    folder : Path
        Case folder.
    muscles_sha256 : str
        Hash of the muscle map.
    images : ndarray, shape (N, 2, Y, X), float16
        Channels as `network_channels` gives them, divided by their 99.9th percentile; zero outside
        the scan.
    labels : ndarray, shape (N, Y, X), uint8
        `Muscle` ids, IGNORE outside the scan.
    slices : tuple of range
        Slices that each slab averages: of the working grid, or of `upright` where that is set.
    upright : Geometry or None
        Grid on which an oblique scan is segmented.
    labelled : frozenset of Muscle
        Muscles that the reader labelled; nothing is known of the others.
    is_dixon : bool
        Whether the second channel holds a fat image.
    """

    id: str
    folder: Path
    muscles_sha256: str
    images: NDArray[np.float16]
    labels: NDArray[np.uint8]
    slices: tuple[range, ...]
    upright: Geometry | None
    labelled: frozenset[Muscle]
    is_dixon: bool

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled_row(self) -> NDArray[np.bool_]:
        """Which of the nine labels are known, shape (9,); the background always is."""
        return np.array([m is Muscle.BACKGROUND or m in self.labelled for m in Muscle])


@dataclass(frozen=True)
class Share:
    """Slabs of one case that take part in something.

    Attributes
    ----------
    case : SlabSet
        The case.
    index : tuple of int
        Slabs, in order.
    """

    case: SlabSet
    index: tuple[int, ...]

    def slice_numbers(self) -> tuple[int, ...]:
        """Slices of the grid that is segmented that these slabs average."""
        return tuple(sorted({z for i in self.index for z in self.case.slices[i]}))

    def inside(self, geometry: Geometry) -> NDArray[np.bool_]:
        """Say which voxels of the scan these slabs show.

        Parameters
        ----------
        geometry : Geometry
            Working grid of the scan.

        Returns
        -------
        ndarray, shape (Z, Y, X), bool
        """
        upright = self.case.upright
        chosen = np.zeros((upright or geometry).shape[0], dtype=bool)
        for i in self.index:
            chosen[self.case.slices[i].start : self.case.slices[i].stop] = True
        if upright is None:
            return np.broadcast_to(chosen[:, None, None], geometry.shape)
        z, y, x, start = (np.linalg.inv(upright.affine) @ geometry.affine)[0]
        depth, height, width = (np.arange(n) for n in geometry.shape)
        at = z * depth[:, None, None] + y * height[:, None] + x * width + start
        row = np.clip(np.rint(at).astype(np.int64), 0, len(chosen) - 1)
        inside: NDArray[np.bool_] = chosen[row]
        return inside


@dataclass(frozen=True)
class Split:
    """Who is learned from and who is held out.

    Attributes
    ----------
    train, stop, score : tuple of Share
        Learned from; watched to stop in time; measured at the end. `stop` and `score` are the
        same where there are too few cases for both.
    by_slices : bool
        One case only: blocks of its slices are held out, so the person is the same.
    """

    train: tuple[Share, ...]
    stop: tuple[Share, ...]
    score: tuple[Share, ...]
    by_slices: bool = field(default=False)

    @property
    def sentence(self) -> str:
        """Say how it was split."""
        if self.by_slices:
            return (
                "There is one case only: two blocks of its slices were held out. They show the "
                "same person in the same scan, so the scores say little about other people."
            )
        same = self.stop == self.score
        held = len(self.score)
        text = f"{len(self.train)} cases were learned from and {held} held out whole"
        if same:
            return (
                f"{text}. The held-out cases also decided when to stop, so their scores are "
                "slightly too good."
            )
        return f"{text}; {len(self.stop)} others decided when to stop."


def slabs_of(case: CollectedCase, spec: NetworkSpec) -> SlabSet | None:
    """Cut the labelled slabs of a case as inference cuts them.

    Slices without any muscle take no part: a reader may have stopped before them.

    Parameters
    ----------
    case : CollectedCase
        A corrected case.
    spec : NetworkSpec
        Of the fine network.

    Returns
    -------
    SlabSet or None
        None if no slab has muscle enough.
    """
    muscles, channels, upright = _as_segmented(case)
    geometry = upright or case.scan.geometry
    (depth, height, width), spacing = geometry.shape, geometry.spacing_mm
    if not muscles.any():
        return None
    rows, columns = (np.flatnonzero(muscles.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    centre = (float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2)
    extent = tuple(n * spec.spacing_mm + 2 * _MARGIN_MM for n in spec.window)
    grid = window_for((height, width), spacing[1:], spec.spacing_mm, centre, (extent[0], extent[1]))
    to_slabs = slab_matrix(depth, spacing[0])
    inside = resample_plane(np.ones((height, width), dtype=np.float32), grid) < 0.5
    images, labels, slices = [], [], []
    for weights in to_slabs:
        part = np.flatnonzero(weights)
        if not muscles[part].any():
            continue
        plane = label_plane(muscles[part], grid, case.labelled)
        if not plane.any():
            continue
        plane[inside] = IGNORE
        labels.append(plane)
        images.append(
            np.stack(
                [resample_plane(c[part].mean(axis=0, dtype=np.float32), grid) for c in channels]
            )
        )
        slices.append(range(int(part[0]), int(part[-1]) + 1))
    if not images:
        return None
    return SlabSet(
        case.id,
        case.folder,
        hashlib.sha256(case.muscles.tobytes()).hexdigest(),
        _scaled(np.stack(images)),
        np.stack(labels),
        tuple(slices),
        upright,
        case.labelled,
        case.scan.is_dixon,
    )


def _as_segmented(
    case: CollectedCase,
) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]], Geometry | None]:
    """Muscles and channels on the grid on which the scan is segmented."""
    own, channels = case.scan.geometry, network_channels(case.scan)
    upright = upright_frame(own, muscles_lean_deg(case.muscles, own.spacing_mm[1:]))
    if upright is None:
        return case.muscles, channels, None
    nothing = np.zeros(own.shape[0], dtype=np.float32)
    muscles, _ = labels_back(case.muscles, nothing, own, upright)
    turned = []
    for channel in channels:
        out = np.zeros(upright.shape, dtype=np.float32)
        for part, values in resample(channel, own, upright):
            out[part] = values
        turned.append(out)
    return muscles, turned, upright


def _scaled(images: NDArray[np.float32]) -> NDArray[np.float16]:
    top = np.percentile(images[:, :, ::2, ::2], 99.9, axis=(0, 2, 3), keepdims=True)
    scaled: NDArray[np.float16] = np.clip(images / np.maximum(top, 1e-6), -8, 8).astype(np.float16)
    return scaled


def split_cases(cases: list[SlabSet], seed: int) -> Split:
    """Hold cases out; with a single case, blocks of its slices.

    Up to five cases a quarter (at least one) is held out; from six on a sixth decides when to stop
    and a fifth is measured. The hash of case and seed chooses them.

    Raises
    ------
    BackfatError
        If the only case has too few labelled slices.
    """
    if len(cases) == 1:
        return _split_slices(cases[0])
    order = sorted(cases, key=lambda c: hashlib.sha256(f"{seed}|{c.id}".encode()).hexdigest())
    shares = [Share(c, tuple(range(len(c)))) for c in order]
    n = len(shares)
    if n < 6:
        held = max(1, round(n / 4))
        return Split(tuple(shares[held:]), tuple(shares[:held]), tuple(shares[:held]))
    stop, score = round(n / 6), round(n / 5)
    return Split(
        tuple(shares[stop + score :]), tuple(shares[:stop]), tuple(shares[stop : stop + score])
    )


def _split_slices(case: SlabSet) -> Split:
    n = len(case)
    if n < _LEAST_SLABS:
        raise BackfatError(
            f"The only case has {n} labelled slices; at least {_LEAST_SLABS} are needed to hold "
            "some out. Correct more slices or another case."
        )
    block = np.arange(n) * _BLOCKS // n
    held = np.isin(block, _HELD_BLOCKS)
    train = ~held
    if n >= 3 * _BLOCKS:  # neighbours of held-out slices look nearly the same
        train &= ~np.convolve(held, np.ones(3), mode="same").astype(bool)
    kept = Share(case, tuple(int(i) for i in np.flatnonzero(held)))
    learned = Share(case, tuple(int(i) for i in np.flatnonzero(train)))
    return Split((learned,), (kept,), (kept,), by_slices=True)

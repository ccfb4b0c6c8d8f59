"""What a network can learn from the corrections of one case: slices and what each knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.segment.looking import turned_upright
from napari_backfat.segment.network import IGNORE, N_LABELS
from napari_backfat.segment.preprocess import resample_plane
from napari_backfat.segment.reformat import labels_back
from napari_backfat.segment.torch_backend import network_channels

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.preprocess import PlaneGrid

_SURE = 0.99
_LEAST_SURE = 0.1  # of the window; less of a slab teaches nothing
_MOST_KINDS = 4  # each costs a turned volume in oblique scans


@dataclass(frozen=True, eq=False)
class Lesson:
    """Images, masks and what is known of them, on the grid that the network looks at.

    Attributes
    ----------
    geometry : Geometry
        Upright, if the scan is oblique.
    channels : list of ndarray, shape (Z, Y, X), float32
        Images.
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    known : list of (ndarray of bool (9,), ndarray of bool (Z, Y, X))
        Sets of labels, the largest first, and where all of each set are known.
    """

    geometry: Geometry
    channels: list[NDArray[np.float32]]
    muscle: NDArray[np.uint8]
    known: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]

    def slab(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average the slices of a slab, shape (2, Y, X)."""
        part = np.flatnonzero(weights)
        return np.stack([c[part].mean(axis=0, dtype=np.float32) for c in self.channels])


@dataclass(frozen=True, eq=False)
class Pages:
    """Slabs to learn from.

    Attributes
    ----------
    images : ndarray, shape (N, 2, Y, X), float32
        In the network's window, raw intensities.
    labels : ndarray, shape (N, Y, X), uint8
        Muscle ids, IGNORE where nothing is known; 0 also where a muscle lies that is not known.
    known : ndarray of bool, shape (N, 9)
        Labels that each slab knows.
    slabs : list of int
        Which slabs these are, rising.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    known: NDArray[np.bool_]
    slabs: list[int]


def corrected_table(muscle: NDArray[np.uint8], corrected: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which muscles each slice knows, bool (Z, 9); the background column is false.

    Parameters
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    corrected : ndarray of bool, shape (Z,) or (Z, 9)
        Slices, or muscles of slices, that a person corrected. A slice whose present muscles are
        all corrected knows of every muscle of the case, also that it is not there.
    """
    present = np.zeros((len(muscle), N_LABELS), bool)
    for z, plane in enumerate(muscle):
        present[z] = np.bincount(plane.ravel(), minlength=N_LABELS)[:N_LABELS] > 0
    present[:, 0] = False
    rows = corrected if corrected.ndim == 2 else corrected[:, None]
    table: NDArray[np.bool_] = np.broadcast_to(rows, (len(muscle), N_LABELS)).copy()
    whole = table.any(axis=1) & ~(present & ~table).any(axis=1)
    if not present[table.any(axis=1)].any():
        return np.zeros_like(table)
    # A muscle that no corrected slice shows is not taught, not even that it is absent.
    there = present.any(axis=0) if whole.any() else (present & table).any(axis=0)
    table[whole] = True
    table &= there
    return table


def make_lesson(
    scan: Scan, muscle: NDArray[np.uint8], table: NDArray[np.bool_], frame: Geometry | None
) -> Generator[Progress, None, Lesson]:
    """Collect images, masks and what is known of them, upright if the scan is oblique.

    Parameters
    ----------
    scan : Scan
        One image, or water and fat.
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids.
    table : ndarray of bool, shape (Z, 9)
        From `corrected_table`.
    frame : Geometry or None
        Upright grid of an oblique scan.
    """
    own, channels = scan.geometry, network_channels(scan)
    kinds = np.unique(table[table.any(axis=1)], axis=0)
    slices = [table[:, kind].all(axis=1) for kind in kinds]
    worth = [-int(kind.sum() * z.sum()) for kind, z in zip(kinds, slices, strict=True)]
    chosen = np.argsort(worth, kind="stable")[:_MOST_KINDS]
    chosen = chosen[np.argsort([-kinds[i].sum() for i in chosen], kind="stable")]
    known = [(kinds[i], np.broadcast_to(slices[i][:, None, None], own.shape)) for i in chosen]
    if frame is None:
        return Lesson(own, channels, muscle, known)
    channels = yield from turned_upright(channels, own, frame)
    turned = []
    for kind, where in known:
        marks = [np.ascontiguousarray(where, dtype=np.float32)]
        turned.append((kind, (yield from turned_upright(marks, own, frame))[0] > _SURE))
    upright, _ = labels_back(muscle, np.zeros(own.shape[0], np.float32), own, frame)
    return Lesson(frame, channels, upright, turned)


def slices_to_learn(lesson: Lesson, to_slabs: NDArray[np.float32], grid: PlaneGrid) -> Pages:
    """Cut out of the corrected slices what the network is shown.

    Parameters
    ----------
    lesson : Lesson
        From `make_lesson`.
    to_slabs : ndarray, shape (slabs, Z), float32
        From `preprocess.slab_matrix`.
    grid : PlaneGrid
        The network's window.
    """
    images, labels, known, slabs = [], [], [], []
    for index, weights in enumerate(to_slabs):
        best: tuple[float, NDArray[np.bool_], NDArray[np.intp], NDArray[np.bool_]] | None = None
        for kind, where in lesson.known:
            part = np.flatnonzero(weights)
            part = part[where[part].any(axis=(1, 2))]  # of a slab, the corrected slices
            if not part.size:
                continue
            sure = resample_plane(where[part].mean(axis=0, dtype=np.float32), grid) > _SURE
            worth = float(sure.mean()) * int(kind.sum())
            if sure.mean() >= _LEAST_SURE and (best is None or worth > best[0]):
                best = worth, kind, part, sure
        if best is None:
            continue
        _, kind, part, sure = best
        plane = label_plane(lesson.muscle[part], grid, [m for m in MUSCLES if kind[m]])
        plane[~sure] = IGNORE
        row = kind.copy()
        row[0] = True
        labels.append(plane)
        known.append(row)
        planes = [c[part].mean(axis=0, dtype=np.float32) for c in lesson.channels]
        images.append(np.stack([resample_plane(p, grid) for p in planes]))
        slabs.append(index)
    return Pages(np.stack(images), np.stack(labels), np.stack(known), slabs)


def label_plane(
    planes: NDArray[np.uint8], grid: PlaneGrid, labelled: Collection[Muscle]
) -> NDArray[np.uint8]:
    """Return the most frequent label of each window pixel.

    Parameters
    ----------
    planes : ndarray, shape (n, Y, X), uint8
        Muscle ids of the slices of a slab.
    grid : PlaneGrid
        The window.
    labelled : collection of Muscle
        The others count as background.

    Returns
    -------
    ndarray, shape of the window, uint8
    """
    present = [m for m in MUSCLES if m in labelled and (planes == m).any()]
    shares = [resample_plane((planes == m).mean(axis=0, dtype=np.float32), grid) for m in present]
    if not shares:
        return np.zeros(grid.size, dtype=np.uint8)
    background = 1 - np.sum(shares, axis=0)
    best = np.argmax(np.stack([background, *shares]), axis=0)
    plane: NDArray[np.uint8] = np.array([0, *present], dtype=np.uint8)[best]
    return plane

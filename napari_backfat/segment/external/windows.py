"""Runs a network over a scan in overlapping windows, on the network's own grid, and back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.devices import check_memory
from napari_backfat.segment.external.orientation import Turn
from napari_backfat.segment.preprocess import interpolation_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_backfat.segment.external.manifest import NetworkInput, NetworkOutput, Normalisation

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """From (1, channel, *window) to (1, class, *window)."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a network found, on the scan's working grid.

    Attributes
    ----------
    numbers : ndarray, shape (Z, Y, X), uint16
        Class positions; 0 where none of the named classes is the most probable.
    best : ndarray, shape (Z, Y, X), float32
        Probability of that class, 0 to 1.
    """

    numbers: NDArray[np.uint16]
    best: NDArray[np.float32]


def predict_scan(
    images: Sequence[NDArray[np.float32]],
    spacing_mm: tuple[float, float, float],
    network: NetworkInput,
    output: NetworkOutput,
    run: Run,
    called: str,
) -> Generator[Progress, None, Predicted]:
    """Run a network over a scan.

    The scan is turned to the network's axes by permutations and flips, resampled linearly to its
    voxel size (averaging where that is coarser), and its probabilities are resampled back, so that
    without a change of voxel size the labels are exactly the network's.

    Parameters
    ----------
    images : sequence of ndarray, shape (Z, Y, X), float32
        One per channel.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    network, output : NetworkInput, NetworkOutput
        As the manifest describes them.
    run : callable
        The network: float32 (1, channel, *window) to (1, class, *window).
    called : str
        The model's name, for errors.

    Yields
    ------
    Progress
        After each window and each slice; a window is the longest wait for cancelling.

    Raises
    ------
    BackfatError
        If the network's output does not fit its description, or memory is too small.
    """
    turn = Turn(network.orientation)
    turned = [turn.to_model(image) for image in images]
    shape = turned[0].shape
    grids = [
        _axis_grid(n, have, want)
        for n, have, want in zip(shape, turn.spacing(spacing_mm), network.spacing_mm, strict=True)
    ]
    size = tuple(g.size for g in grids)
    classes = sorted(output.labels)
    needed = 4 * int(np.prod(size)) * (len(classes) + 2 + 2 * len(images))
    check_memory(needed + 6 * int(np.prod(shape)), "cpu")
    yield Progress(0.0, "Preparing the images")
    stack = np.stack([_resample(a, grids) for a in turned])
    flat = turn.slice_axis if network.dimensions == 2 else None
    for channel in stack:
        _normalise(channel, network.normalisation, flat)
    probability = yield from _sweep(stack, network, output, run, flat, classes, called)
    return (yield from _back(probability, grids, shape, classes, turn))


@dataclass(frozen=True, eq=False)
class _AxisGrid:
    """One axis of the network's grid: its size and the matrices there and back; None: the same."""

    size: int
    there: NDArray[np.float32] | None
    back: NDArray[np.float32] | None


def _axis_grid(n: int, have_mm: float, want_mm: float | None) -> _AxisGrid:
    if want_mm is None or abs(want_mm / have_mm - 1) < 1e-3:
        return _AxisGrid(n, None, None)
    step = want_mm / have_mm
    size = max(1, round(n / step))
    there = (n - 1) / 2 + (np.arange(size) - (size - 1) / 2) * step
    back = (size - 1) / 2 + (np.arange(n) - (n - 1) / 2) / step
    # At the outermost voxels the coarser grid may end half a step early: nearest value there.
    back = np.clip(back, 0, size - 1)
    return _AxisGrid(
        size,
        interpolation_matrix(np.clip(there, 0, n - 1), n, step),
        interpolation_matrix(back, size, 1 / step),
    )


def _resample(array: NDArray[np.float32], grids: Sequence[_AxisGrid]) -> NDArray[np.float32]:
    out = array
    for axis, grid in enumerate(grids):
        if grid.there is not None:
            out = np.moveaxis(np.tensordot(grid.there, out, (1, axis)), 0, axis)
    return np.array(out, dtype=np.float32, order="C")


def _normalise(channel: NDArray[np.float32], how: Normalisation, flat: int | None) -> None:
    """Scale one channel (model axes) in place."""
    parts = (
        [channel] if how.scope == "volume" or flat is None else list(np.moveaxis(channel, flat, 0))
    )
    for part in parts:
        where = part != 0 if how.nonzero else np.ones(part.shape, dtype=bool)
        values = part[where]
        if how.kind == "none" or values.size == 0:
            continue
        if how.kind == "fixed":
            part -= how.mean
            part /= how.std
        elif how.kind == "zscore":
            spread = float(values.std())
            part[where] = (values - values.mean()) / (spread if spread > 0 else 1.0)
        else:
            low, high = np.percentile(values, (how.low, how.high))
            part[where] = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)


def _sweep(
    stack: NDArray[np.float32],
    network: NetworkInput,
    output: NetworkOutput,
    run: Run,
    flat: int | None,
    classes: Sequence[int],
    called: str,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Probabilities (1 + classes, *model axes): the most probable other class, then the named."""
    size = stack.shape[1:]
    window = _window(size, network, flat)
    total = np.zeros((len(classes) + 1, *size), dtype=np.float32)
    weights = np.zeros(size, dtype=np.float32)
    bell = _bell(window, flat)
    corners = list(
        itertools.product(
            *(_starts(n, w, network.overlap) for n, w in zip(size, window, strict=True))
        )
    )
    for done, corner in enumerate(corners, start=1):
        box = tuple(slice(c, min(c + w, n)) for c, w, n in zip(corner, window, size, strict=True))
        inside = tuple(slice(0, s.stop - s.start) for s in box)
        piece = np.zeros((1, len(stack), *window), dtype=np.float32)
        piece[0][(slice(None), *inside)] = stack[(slice(None), *box)]
        fed = piece if flat is None else np.squeeze(piece, axis=2 + flat)
        raw = run(np.ascontiguousarray(fed))
        if raw.ndim != fed.ndim or raw.shape[2:] != fed.shape[2:] or raw.shape[0] != 1:
            raise BackfatError(
                f"{called} gives an array of shape {raw.shape} for one of {fed.shape}; a class "
                "axis and otherwise the same shape is needed."
            )
        if raw.shape[1] <= max(classes):
            raise BackfatError(
                f"{called} gives {raw.shape[1]} classes, but its labels go up to {max(classes)}."
            )
        share = _collapse(_activate(raw[0], output.activation), classes, output.activation)
        if flat is not None:
            share = np.expand_dims(share, 1 + flat)
        part = bell[inside]
        total[(slice(None), *box)] += share[(slice(None), *inside)] * part
        weights[box] += part
        yield Progress(0.05 + 0.8 * done / len(corners), f"Window {done} of {len(corners)}")
    total /= weights
    return total


def _window(size: tuple[int, ...], network: NetworkInput, flat: int | None) -> tuple[int, ...]:
    if network.patch is not None:
        patch = list(network.patch)
    else:
        sides = [n for axis, n in enumerate(size) if axis != flat]
        patch = [-(-n // network.multiple) * network.multiple for n in sides]
    if flat is not None:
        patch.insert(flat, 1)
    return tuple(patch)


def _starts(n: int, window: int, overlap: float) -> list[int]:
    """First voxels of windows that cover n voxels, evenly spread."""
    if n <= window:
        return [0]
    count = int(np.ceil((n - window) / max(1.0, window * (1 - overlap)))) + 1
    return [round(x) for x in np.linspace(0, n - window, count)]


def _bell(window: tuple[int, ...], flat: int | None) -> NDArray[np.float32]:
    """Weights that fall towards the edges of a window, where networks know least."""
    bell = np.ones((), dtype=np.float32)
    for axis, n in enumerate(window):
        x = (np.arange(n) - (n - 1) / 2) / (n / 8)
        line = np.ones(n) if axis == flat else np.maximum(np.exp(-0.5 * x**2), 1e-3)
        bell = np.multiply.outer(bell, line.astype(np.float32))
    return np.asarray(bell, dtype=np.float32)


def _activate(raw: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    raw = np.asarray(raw, dtype=np.float32)
    if activation == "softmax":
        powers = np.exp(raw - raw.max(axis=0, keepdims=True))
        return np.asarray(powers / powers.sum(axis=0, keepdims=True))
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(raw, -60, 60))))
    return raw


def _collapse(
    share: NDArray[np.float32], classes: Sequence[int], activation: str
) -> NDArray[np.float32]:
    """Keep the named classes, and the strongest of all others as class 0."""
    named = share[list(classes)]
    if activation == "sigmoid":
        rest = 1 - named.max(axis=0)
    else:
        others = [k for k in range(len(share)) if k not in set(classes)]
        rest = share[others].max(axis=0) if others else np.zeros(share.shape[1:], np.float32)
    return np.concatenate([rest[None], named])


def _back(
    probability: NDArray[np.float32],
    grids: Sequence[_AxisGrid],
    shape: tuple[int, ...],
    classes: Sequence[int],
    turn: Turn,
) -> Generator[Progress, None, Predicted]:
    """Most probable class on the scan's own grid, plane by plane."""
    positions = np.array([0, *classes], dtype=np.uint16)
    numbers = np.zeros(shape, dtype=np.uint16)
    best = np.zeros(shape, dtype=np.float32)
    first, rows, columns = (g.back for g in grids)
    for i in range(shape[0]):
        if first is None:
            plane = probability[:, i]
        else:
            near = np.flatnonzero(first[i])
            plane = np.tensordot(first[i, near], probability[:, near], (0, 1))
        if rows is not None:
            plane = rows @ plane
        if columns is not None:
            plane = plane @ columns.T
        winner = plane.argmax(axis=0)
        numbers[i] = positions[winner]
        best[i] = plane.max(axis=0)
        yield Progress(0.85 + 0.14 * i / shape[0], "Drawing the muscles on the scan's grid")
    return Predicted(
        np.ascontiguousarray(turn.to_working(numbers)), np.ascontiguousarray(turn.to_working(best))
    )

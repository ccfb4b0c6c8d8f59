"""Regions that trade edges may enclose, and the layer under the skin that tells the two apart."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from napari_backfat.separate.swap_edges import plane_agreement, traded_border
from napari_backfat.separate.swap_graph import exchanged_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_RIM_MM = (3.0, 12.0)
_CORE_MM = 24.0
_ALL_BODY = 0.97  # of the picture: no skin is in it, only bowel gas and the like
_SMOOTH_MM = 2.5  # narrower parts of a region are taken for chance
_BRIDGE = 3  # voxels
_EVEN_MM = 5.0
_TURN = -0.25  # correlation between neighbouring planes below which they disagree
_LEAST_MM3 = 500.0
_HALF = 0.25  # of the body in the slices concerned: beyond it, either part may be the wrong one

_GUESS = "Which of the two sides is exchanged could not be told; the smaller is shown."


def rim_and_core(
    sign: NDArray[np.float32], total: NDArray[np.float32], spacing_mm: tuple[float, float, float]
) -> tuple[float, float, NDArray[np.float64]]:
    """Return the fat fraction of the layer under the skin, and of what lies deeper.

    Only slices count in which the body's outline is seen, not cut by the edges of the picture;
    where the picture cuts it, depth is not counted from the cut.

    Returns
    -------
    rim, core : float
        Medians, 0..1; NaN if there is too little of it.
    rims : ndarray, shape (Z,), float64
        Median of the layer in each slice; NaN where there is too little.
    """
    rims, cores = (np.full(len(sign), np.nan) for _ in range(2))
    step = max(1, len(sign) // 40)
    floor = 0.1 * float(np.percentile(total[len(total) // 2], 99))
    for z in range(0, len(sign), step):
        body = np.pad(ndimage.binary_fill_holes(total[z] > floor), 20, mode="edge")
        # Padding repeats the edge: a body cut by the picture has no skin there.
        body = ndimage.binary_opening(body, iterations=2)
        if body[20:-20, 20:-20].mean() > _ALL_BODY or not body.any():
            continue
        depth = ndimage.distance_transform_edt(body, sampling=spacing_mm[1:])[20:-20, 20:-20]
        ring = (depth > _RIM_MM[0]) & (depth <= _RIM_MM[1])
        core = depth > _CORE_MM
        if min(ring.sum(), core.sum()) >= 100:
            rims[z] = (float(np.median(sign[z][ring])) + 1) / 2
            cores[z] = (float(np.median(sign[z][core])) + 1) / 2
    if not np.isfinite(rims).any():
        return float("nan"), float("nan"), rims
    return float(np.nanmedian(rims)), float(np.nanmedian(cores)), rims


def candidates(
    sign: NDArray[np.float32],
    body: NDArray[np.bool_],
    total: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    step: int = 1,
) -> Iterator[tuple[str, NDArray[np.bool_], str]]:
    """Yield regions that may hold exchanged water and fat.

    Parameters
    ----------
    sign, body, total : ndarray, shape (Z, Y, X)
        As `swap_edges.signed_fraction` returns them.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    step : int
        Only every `step`-th slice is looked at.

    Yields
    ------
    kind : str
        Value of `SwapKind`.
    region : ndarray, shape (Z, Y, X), bool
    hint : str
        A sentence on how the region was chosen; may be empty.
    """
    for axis in (1, 2):
        turns = np.flatnonzero(plane_agreement(sign[::step], body[::step], axis) < _TURN)
        if turns.size:
            region = np.zeros(body.shape, bool)
            bounds = [0, *(int(t) + 1 for t in turns), body.shape[axis]]
            for low, high in itertools.pairwise(bounds):
                if bounds.index(low) % 2 == 0:
                    np.moveaxis(region, axis, 0)[low:high] = True
            if (region & body).sum() > 0.5 * body.sum():
                region = ~region
            found, hint = _side(region, body, sign, spacing_mm, step)
            yield "one side of a plane", found, hint
            return  # what the patches say is for the scan as it should be, after this one
    thin = (spacing_mm[0] * step, *spacing_mm[1:])
    state = exchanged_state(sign[::step], body[::step], total[::step], thin)
    smooth = max(1, round(_SMOOTH_MM / min(spacing_mm[1:])))
    disk = np.hypot(*np.mgrid[-smooth : smooth + 1, -smooth : smooth + 1]) <= smooth
    state = ndimage.binary_opening(state, disk[None])
    labels, _ = ndimage.label(state)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    area = body[::step].sum(axis=(1, 2))
    for label in np.argsort(-sizes)[:8]:
        if sizes[label] * float(np.prod(thin)) < _LEAST_MM3:
            break
        found = ndimage.binary_closing(labels == label, disk[None])
        region = np.repeat(found, step, axis=0)[: len(body)]
        rows = found.any(axis=(1, 2))
        if found.sum() > _HALF * float(area[rows].sum()):
            even = _even(found, body[::step], spacing_mm)
            flat = _flat(even, sign[::step], body[::step], spacing_mm)
            options = [found, even] if flat is None else [found, even, flat]
            shares = [traded_border(sign[::step], body[::step], o)[0] for o in options]
            best = options[int(np.argmax(shares))]
            region = np.repeat(best, step, axis=0)[: len(body)]
            yield "one side of a plane", *_side(region, body, sign, spacing_mm, step)
        else:
            yield "region", _best(region, sign, body), ""


def _best(
    region: NDArray[np.bool_], sign: NDArray[np.float32], body: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the region or a rounder or slightly larger one, whose border is most of all a trade.

    Patches that hold tissue of both states leave dents, which a convex outline closes.
    """
    hull = np.stack([convex_hull_image(p) if p.sum() > 8 else p for p in region])
    disk = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    # Two areas that touch by a narrow bridge were joined by chance.
    core = ndimage.binary_opening(region, disk, iterations=_BRIDGE)
    if core.any():
        parts, _ = ndimage.label(core)
        largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        core = ndimage.binary_propagation(largest, mask=region & _near(largest, disk))
    variants = [region, core, ndimage.binary_dilation(region, disk), hull]
    variants += [ndimage.binary_dilation(hull, disk), ndimage.binary_erosion(hull, disk)]
    scores = []
    for variant in variants:
        share, pairs, _ = traded_border(sign, body, variant)
        scores.append(share if pairs >= 20 else 0.0)
    return np.asarray(variants[int(np.argmax(scores))], bool)


def _near(region: NDArray[np.bool_], disk: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(region, disk, iterations=2))


def _even(
    region: NDArray[np.bool_], body: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Let the majority of the neighbourhood decide, within the body."""
    sigma = (0.0, *(_EVEN_MM / mm for mm in spacing_mm[1:]))
    share = ndimage.gaussian_filter((region & body).astype(np.float32), sigma)
    return np.asarray(
        (share > 0.5 * ndimage.gaussian_filter(body.astype(np.float32), sigma)) & body
    )


def _flat(
    region: NDArray[np.bool_],
    sign: NDArray[np.float32],
    body: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.bool_] | None:
    """Return the part of the body beyond the plane that fits a region best; None if none does."""
    rows = np.flatnonzero(region.any(axis=(1, 2)))
    some = rows[:: max(1, len(rows) // 8)]
    places = np.argwhere(body[some])
    known = region[some][tuple(places.T)]
    if known.all() or not known.any():
        return None
    where = places[:, 1:] * np.array(spacing_mm[1:])
    means = [where[known].mean(axis=0), where[~known].mean(axis=0)]
    normal = np.linalg.solve(np.cov(where.T), means[0] - means[1])
    angle = float(np.arctan2(normal[1], normal[0]))
    y, x = (np.arange(n) * mm for n, mm in zip(body.shape[1:], spacing_mm[1:], strict=True))
    best, score = None, 0.0
    for turn in np.deg2rad((0, -4, 4, -8, 8, -14, 14, -20, 20)):
        across = y[:, None] * np.cos(angle + turn) + x[None, :] * np.sin(angle + turn)
        sides = np.sort(across[tuple(places[:, 1:].T)])
        middle = float(sides[int((1 - known.mean()) * (len(sides) - 1))])
        for shift in np.arange(-24.0, 25.0, float(min(spacing_mm[1:]))):
            beyond = across > middle + shift
            share, pairs, _ = traded_border(
                sign[some], body[some], np.broadcast_to(beyond, body[some].shape)
            )
            if pairs >= 20 and share > score:
                best, score = beyond, share
    if best is None:
        return None
    flat = np.zeros(region.shape, bool)
    flat[rows] = best
    return flat


def _side(
    region: NDArray[np.bool_],
    body: NDArray[np.bool_],
    sign: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    step: int,
) -> tuple[NDArray[np.bool_], str]:
    """Return which of two large parts is the exchanged one, by the layer under the skin."""
    rows = np.flatnonzero(region.any(axis=(1, 2)))
    rest = np.zeros(region.shape, bool)
    rest[rows] = ~region[rows]
    if body[rows].mean() > _ALL_BODY:
        return region, _GUESS
    values: tuple[list[NDArray[np.float32]], ...] = ([], [])
    for z in rows[::step]:
        filled = np.pad(ndimage.binary_fill_holes(body[z]), 20, mode="edge")
        depth = ndimage.distance_transform_edt(filled, sampling=spacing_mm[1:])[20:-20, 20:-20]
        ring = (depth > _RIM_MM[0]) & (depth <= _RIM_MM[1])
        for part, found in zip((region, rest), values, strict=True):
            found.append(sign[z][part[z] & ring])
    one, two = (
        float(np.median(v)) if (v := np.concatenate(part)).size >= 100 else float("nan")
        for part in values
    )
    if np.isfinite(one) and np.isfinite(two) and abs(one - two) > 0.4:
        hint = "On this side the layer under the skin is water, on the other it is fat."
        return (region if one < two else rest), hint
    return region, _GUESS

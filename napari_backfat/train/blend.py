"""Persons between persons: the shapes of two label maps mixed, because maps are few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.train.tissues import MIRROR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.train.sources import SliceStack

# What moves as one: the two back muscles of a side share a border, the others stand alone.
_GROUPS = ((1, 3), (2, 4), (5,), (6,), (7,), (8,))
_BACK = (1, 2, 3, 4)
_MARGIN = 12
_LEVELS_APART = 0.06  # in the multifidus' share of the back muscles, about one vertebra
_FAR = -1e3


def multifidus_share(labels: NDArray[np.uint8]) -> float:
    """Share of the multifidus in the back muscles of a slice: about 0.1 at T12, 0.6 at S1."""
    counts = np.bincount(labels.ravel(), minlength=5)
    return float(counts[1:3].sum() / max(1, counts[1:5].sum()))


def blended_slice(
    rng: np.random.Generator, stack: SliceStack, others: Sequence[SliceStack]
) -> NDArray[np.uint8]:
    """Draw a slice of a map and mix its shapes with a slice of the same level of another map.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    stack : SliceStack
        Gives the grid, the slice, and what is no muscle of the eight.
    others : sequence of SliceStack
        Maps to mix with; without one of that level the slice stays as it is.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        Labels on the grid of `stack`.
    """
    labels: NDArray[np.uint8] = stack.labels[int(rng.integers(stack.labels.shape[0]))]
    others = [other for other in others if other is not stack]
    if not others:
        return labels
    other = others[int(rng.integers(len(others)))]
    apart = np.array([multifidus_share(s) for s in other.labels]) - multifidus_share(labels)
    near = np.flatnonzero(np.abs(apart) <= _LEVELS_APART)
    if not len(near):
        return labels
    partner = other.labels[int(rng.choice(near))]
    if rng.random() < 0.5:
        partner = MIRROR[partner[:, ::-1]]
    fitted = _fitted(partner, other.spacing_mm[1:], labels, stack.spacing_mm[1:])
    return labels if fitted is None else mix_shapes(labels, fitted, float(rng.uniform(0.2, 0.8)))


def _fitted(
    partner: NDArray[np.uint8],
    partner_mm: tuple[float, ...],
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, ...],
) -> NDArray[np.uint8] | None:
    """Bring a slice of another person onto the grid, its back muscles centred and as wide."""
    boxes = []
    for slice_, mm in ((partner, partner_mm), (labels, spacing_mm)):
        rows, columns = np.nonzero((slice_ >= 1) & (slice_ <= 4))
        if len(rows) < 100:
            return None
        low = np.array([rows.min(), columns.min()])
        high = np.array([rows.max(), columns.max()])
        boxes.append(((low + high) / 2, (high - low + 1) * np.asarray(mm)))
    (from_centre, from_mm), (to_centre, to_mm) = boxes
    # One factor for both axes: flat and round backs stay flat and round until they are mixed.
    scale = float(np.sqrt(np.prod(from_mm) / np.prod(to_mm)))
    step = scale * np.asarray(spacing_mm) / np.asarray(partner_mm)
    fitted: NDArray[np.uint8] = ndimage.affine_transform(
        partner,
        step,
        offset=from_centre - step * to_centre,
        output_shape=labels.shape,
        order=0,
        mode="constant",
    )
    return fitted


def mix_shapes(
    first: NDArray[np.uint8], second: NDArray[np.uint8], weight: float
) -> NDArray[np.uint8]:
    """Mix the eight muscles of two slices on one grid, by their signed distances.

    The muscles of each group are first moved to the mixed centre, so that a shape that lies
    elsewhere is moved and not faded out. A muscle that only one slice has is kept as that slice
    has it where the weight favours that slice, and left out otherwise.

    Parameters
    ----------
    first, second : ndarray, shape (Y, X), uint8
        Labels; values above 8 are taken from `first` where no muscle comes to lie.
    weight : float
        Of the second, 0 to 1.

    Returns
    -------
    ndarray, shape (Y, X), uint8
        Mixed labels.
    """
    best = np.zeros(first.shape, dtype=np.float32)
    out = np.where(first > 8, first, 0).astype(np.uint8)
    for group in _GROUPS:
        masks = [np.isin(slice_, group) for slice_ in (first, second)]
        if not all(mask.any() for mask in masks):
            keep, slice_ = (weight < 0.5, first) if masks[0].any() else (weight >= 0.5, second)
            if keep:
                _paint(out, best, {v: _signed(slice_ == v) for v in group})
            continue
        centres = [np.array(ndimage.center_of_mass(mask)) for mask in masks]
        centre = (1 - weight) * centres[0] + weight * centres[1]
        moved = [
            ndimage.shift(np.where(mask, slice_, 0), np.rint(centre - own), order=0)
            for mask, slice_, own in zip(masks, (first, second), centres, strict=True)
        ]
        fields = {
            v: (1 - weight) * _signed(moved[0] == v) + weight * _signed(moved[1] == v)
            for v in group
        }
        _paint(out, best, fields)
    return out


def _signed(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance to the border in pixels, positive inside; far outside it is only "far"."""
    field = np.full(mask.shape, _FAR, dtype=np.float32)
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return field
    box = tuple(slice(max(0, s.start - 3 * _MARGIN), s.stop + 3 * _MARGIN) for s in found[0])
    inside = mask[box]
    field[box] = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return field


def _paint(
    out: NDArray[np.uint8], best: NDArray[np.float32], fields: dict[int, NDArray[np.float32]]
) -> None:
    """Give each pixel to the muscle that is deepest there."""
    for value, field in fields.items():
        deeper = field > best
        out[deeper], best[deeper] = value, field[deeper]

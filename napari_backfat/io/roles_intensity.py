"""What the intensities of a set of images say about their roles."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Volume

Piece = tuple[str, float, str]
_FITS = 0.08  # relative residual of a relation between images that counts as fulfilled
_RING_MM = (3.0, 12.0)


def intensity_evidence(volumes: Sequence[Volume]) -> list[list[Piece]]:
    """Weigh the intensities of images that may belong together.

    Parameters
    ----------
    volumes : sequence of Volume
        In the order of the answer. Relations are looked for among images of one shape.

    Returns
    -------
    list of list of (str, float, str)
        For each image: the name of a role (value of `io.roles.Role`), the weight for it (negative:
        against), and a sentence.
    """
    pieces: list[list[Piece]] = [[] for _ in volumes]
    for place, volume in enumerate(volumes):
        pieces[place] += _range_evidence(volume)
    images = [
        i
        for i, v in enumerate(volumes)
        if v.voxels.shape == volumes[0].voxels.shape and not _is_map(pieces[i])
    ]
    planes = {i: _middle(volumes[i]) for i in images}
    if len(images) >= 2:
        _relations(images, planes, volumes, pieces)
    return pieces


def _is_map(pieces: list[Piece]) -> bool:
    return any(weight >= 1.0 for _, weight, _ in pieces)


def _middle(volume: Volume) -> NDArray[np.float64]:
    depth = volume.voxels.shape[0]
    around = sorted({depth // 3, depth // 2, (2 * depth) // 3})
    return volume.voxels[around].astype(np.float64)


def _range_evidence(volume: Volume) -> list[Piece]:
    """Return what the range of values says: signed maps, fractions."""
    step = max(1, int(np.cbrt(volume.voxels.size / 500_000)))
    sample = volume.voxels[::step, ::step, ::step]
    low, high = (float(v) for v in np.percentile(sample, (0.5, 99.5)))
    if low < -0.2 * high and low < 0:
        text = f"values on both sides of zero ({low:.4g} to {high:.4g})"
        return [("field map", 1.0, text), ("phase image", 1.0, text)]
    top = float(sample.max())
    full = next((f for f in (1.0, 100.0, 1000.0) if 0.85 * f <= high <= 1.03 * f), None)
    if full is None or top > 1.2 * full:
        return []
    ring = _ring_median(volume)
    # Plain images often end near 1000 too, some near 100, and hardly any at 1.
    trust = {1.0: 1.0, 100.0: 0.6, 1000.0: 0.2}[full]
    text = f"values from 0 to {full:g}"
    if np.isnan(ring):
        return [("fat fraction", trust, text), ("water fraction", 0.5 * trust, text)]
    share = ring / full
    if share > 0.7:
        return [
            (
                "fat fraction",
                2.5 * trust,
                f"{text}, {100 * share:.0f} % of the scale under the skin",
            )
        ]
    if share < 0.3:
        return [
            (
                "water fraction",
                2.0 * trust,
                f"{text}, {100 * share:.0f} % of the scale under the skin",
            )
        ]
    return [("fat fraction", 0.5 * trust, text)]


def _ring_median(volume: Volume) -> float:
    plane = volume.voxels[volume.voxels.shape[0] // 2]
    mask = ndimage.binary_fill_holes(plane > 0.05 * float(np.percentile(plane, 99)))
    ring = _ring(mask, volume)
    return float(np.median(plane[ring])) if ring.sum() >= 50 else float("nan")


def _ring(body: NDArray[np.bool_], volume: Volume) -> NDArray[np.bool_]:
    body = ndimage.binary_opening(body, iterations=2)
    if not body.any() or body.all():
        return np.zeros(body.shape, bool)
    depth = ndimage.distance_transform_edt(
        np.pad(body, 20, mode="edge"), sampling=volume.geometry.spacing_mm[1:]
    )[20:-20, 20:-20]
    return np.asarray((depth > _RING_MM[0]) & (depth <= _RING_MM[1]))


def _relations(
    images: list[int],
    planes: dict[int, NDArray[np.float64]],
    volumes: Sequence[Volume],
    pieces: list[list[Piece]],
) -> None:
    top = np.maximum.reduce([planes[i] for i in images])
    body = top > 0.15 * np.percentile(top, 99)
    if body.sum() < 500:
        return

    def name(i: int) -> str:
        return Path(volumes[i].source.path).name

    def miss(made: NDArray[np.float64], real: NDArray[np.float64]) -> float:
        """Return the median relative residual after the best common factor."""
        a, b = made[body], real[body]
        factor = float((a @ b) / max(a @ a, 1e-12))
        return float(np.median(np.abs(factor * a - b)) / max(np.median(b), 1e-12))

    pair: tuple[int, int] | None = None
    if len(images) >= 3:
        fits = {
            (a, b, c): miss(planes[a] + planes[b], planes[c])
            for a, b in itertools.combinations(images, 2)
            for c in images
            if c not in (a, b)
        }
        (a, b, c), value = min(fits.items(), key=lambda item: item[1])
        if value < _FITS:
            pair = (a, b)
            text = f"equals the sum of {name(a)} and {name(b)} within {100 * value:.0f} %"
            pieces[c].append(("in-phase", 4.0, text))
            opposite = np.abs(planes[a] - planes[b])
            for d in set(images) - {a, b, c}:
                if (value := miss(opposite, planes[d])) < 2 * _FITS:
                    text = f"equals the difference of {name(a)} and {name(b)}"
                    pieces[d].append(("opposed-phase", 4.0, text))
    if pair is None and len(images) == 2:
        a, b = images
        above = float((planes[a][body] > 1.02 * planes[b][body]).mean())
        below = float((planes[b][body] > 1.02 * planes[a][body]).mean())
        ratio = np.minimum(planes[a], planes[b])[body] / np.maximum(top[body], 1e-12)
        if min(above, below) < 0.05 and max(above, below) > 0.4:
            one, two = (a, b) if above > below else (b, a)
            pieces[one].append(("in-phase", 2.5, f"nowhere darker than {name(two)}"))
            pieces[two].append(("opposed-phase", 2.5, f"nowhere brighter than {name(one)}"))
        elif min(above, below) > 0.1 and float(np.median(ratio)) < 0.35:
            pair = (a, b)
    if pair is not None:
        _water_or_fat(pair, planes, volumes, pieces, name(pair[0]), name(pair[1]))


def _water_or_fat(
    pair: tuple[int, int],
    planes: dict[int, NDArray[np.float64]],
    volumes: Sequence[Volume],
    pieces: list[list[Piece]],
    *names: str,
) -> None:
    a, b = (planes[i][planes[i].shape[0] // 2] for i in pair)
    total = a + b
    ring = _ring(
        ndimage.binary_fill_holes(total > 0.1 * np.percentile(total, 99)), volumes[pair[0]]
    )
    if ring.sum() < 50:
        return
    share = float(np.median(a[ring] / np.maximum(total[ring], 1e-12)))
    if 0.3 < share < 0.7:
        return
    fat, water = pair if share > 0.5 else pair[::-1]
    brighter = 100 * max(share, 1 - share)
    text = f"{brighter:.0f} % of the signal under the skin is in "
    pieces[fat].append(("fat", 2.5, text + names[pair.index(fat)]))
    pieces[water].append(("water", 2.5, text + names[pair.index(fat)]))

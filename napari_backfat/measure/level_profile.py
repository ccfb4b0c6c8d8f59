"""A first proposal of disc positions from the signal along the vertebral bodies.

Marrow holds 20 to 65 % fat and a disc next to none, so on a fat-fraction map the discs are dark
bands at regular distances in front of the spinal canal. Names cannot be read from that pattern;
they are a guess until a person confirms them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MuscleGroup, Side, muscle_of
from napari_backfat.model.vertebrae import LevelSource, VertebralLevels, chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry

STEP_MM = 1.0
"""Sampling of the straightened sagittal plane."""
HALF_WIDTH_MM = 7.0
"""Half width of the strip across the midline that is averaged."""
DEPTH_MM = (18.0, 68.0)
"""Where vertebral bodies are searched, in front of the front edge of the deep back muscles."""
WINDOW_MM = 18.0
"""Front-back length that a disc's band is averaged over; a lumbar body is 30 to 35 mm deep."""
TILTS_DEG = tuple(range(-20, 46, 5))
"""Slopes of a disc against the slice plane; positive when its front lies further to the feet."""
GAPS_MM = (24.0, 46.0)
"""Distance of neighbouring discs in adults."""

MIN_DISCS = 3
MIN_CONTRAST = 0.10
"""Least median difference of fat fraction between marrow and disc for a proposal."""
MIN_WEAKEST = 0.035
"""Least difference at every single disc."""
MAX_IRREGULARITY_MM = 5.0
"""Largest standard deviation of the distances around a smooth (linear) change."""


@dataclass(frozen=True)
class LevelProposal:
    """Disc lines found automatically, or the reason why none are proposed.

    Attributes
    ----------
    levels : VertebralLevels or None
        The proposal; None where the evidence is weak.
    evidence : str
        What it rests on, or what is missing, in one or two sentences.
    contrast : tuple of float
        Marrow minus disc at each line, in the unit of the image (fat fraction 0..1); empty for
        label maps.
    tilt_deg : tuple of float
        Slope of each disc against the slice plane.
    """

    levels: VertebralLevels | None
    evidence: str
    contrast: tuple[float, ...] = ()
    tilt_deg: tuple[float, ...] = ()


def propose_from_signal(
    fat_fraction: NDArray[np.floating[Any]], muscle: NDArray[np.uint8], geometry: Geometry
) -> LevelProposal:
    """Look for the discs on a fat-fraction map; proposes nothing where the evidence is weak.

    Parameters
    ----------
    fat_fraction : ndarray, shape (Z, Y, X), float
        Fat fraction 0..1, NaN where undefined.
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids; multifidus or erector spinae of both sides show where the spine is.
    geometry : Geometry
        Grid of both.

    Returns
    -------
    LevelProposal
        Its numbering is a guess (`VertebralLevels.numbering_stated` is False).
    """
    course = _course(muscle, geometry)
    if course is None:
        return LevelProposal(
            None, "The spine is looked for between the back muscles of both sides; segment first."
        )
    first, plane = _straightened(fat_fraction, geometry, *course)
    length = (plane.shape[0] - 1) * STEP_MM
    if length < 2 * GAPS_MM[0]:
        return LevelProposal(
            None, f"Only {length:.0f} mm of the spine lie beside back muscles; that is too short."
        )
    best: tuple[float, list[int], NDArray[Any], NDArray[Any]] | None = None
    for centre in np.arange(DEPTH_MM[0] + WINDOW_MM / 2, DEPTH_MM[1] - WINDOW_MM / 2 + 1, 3.0):
        response, tilt = _responses(plane, centre)
        total, path = _best_path(response)
        if best is None or total > best[0]:
            best = total, path, response, tilt
    assert best is not None
    _, path, response, tilt = best
    path = _without_weak_ends(path, response)
    contrast = response[path]
    problem = _weakness(path, contrast)
    tilts = tuple(float(tilt[i]) for i in path)
    shown = tuple(float(c) for c in contrast)
    if problem:
        return LevelProposal(None, problem, shown, tilts)
    discs = tuple(first + (i * STEP_MM) / geometry.spacing_mm[0] for i in path)
    below_mm = length - path[-1] * STEP_MM
    levels = _named(discs, below_mm, (geometry.shape[0] - 1) / 2)
    return LevelProposal(
        levels,
        f"{len(path)} dark bands at regular distances in front of the canal; fat fraction of "
        f"marrow minus disc {np.median(contrast):.2f} (weakest {contrast.min():.2f}). The names "
        "are a guess: confirm or shift them.",
        shown,
        tilts,
    )


def _course(
    muscle: NDArray[np.uint8], geometry: Geometry
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Slices with deep back muscles on both sides; smooth column and front row of the midline."""
    _, dy, dx = geometry.spacing_mm
    for group in (MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE):
        left, right = muscle_of(group, Side.LEFT), muscle_of(group, Side.RIGHT)
        found = []
        for z, plane in enumerate(muscle):
            rows_l, columns_l = np.nonzero(plane == left)
            rows_r, columns_r = np.nonzero(plane == right)
            if min(rows_l.size, rows_r.size) * dy * dx < 50:  # mm2: less is no muscle belly
                continue
            middle = (columns_l.mean() + columns_r.mean()) / 2
            rows = np.concatenate([rows_l, rows_r])
            found.append((z, middle, float(np.percentile(rows, 3))))
        if len(found) >= 3:
            table = np.array(found, dtype=np.float64)
            slices = np.arange(int(table[0, 0]), int(table[-1, 0]) + 1, dtype=np.int64)
            degree = min(3, len(found) - 1)
            curves = [_robust_fit(table[:, 0], table[:, n], degree) for n in (1, 2)]
            along = slices.astype(np.float64)
            return slices, curves[0](along), curves[1](along)
    return None


def _robust_fit(
    x: NDArray[np.float64], y: NDArray[np.float64], degree: int
) -> np.polynomial.Polynomial:
    """Fit a polynomial twice, the second time without the farthest tenth."""
    curve = np.polynomial.Polynomial.fit(x, y, degree)
    off = np.abs(y - curve(x))
    keep = off <= np.quantile(off, 0.9)
    if keep.sum() > degree + 1:
        curve = np.polynomial.Polynomial.fit(x[keep], y[keep], degree)
    return curve


def _straightened(
    image: NDArray[np.floating[Any]],
    geometry: Geometry,
    slices: NDArray[np.int64],
    middle: NDArray[np.float64],
    front: NDArray[np.float64],
) -> tuple[int, NDArray[np.float64]]:
    """Sagittal plane along the spine: rows every STEP_MM towards the feet, columns to the front."""
    dz, dy, dx = geometry.spacing_mm
    reach = np.arange(0.0, DEPTH_MM[1] + STEP_MM, STEP_MM)
    half = max(1, round(HALF_WIDTH_MM / dx))
    rows = []
    for z, column, row in zip(slices, middle, front, strict=True):
        y = row - reach / dy
        strip = np.arange(-half, half + 1) + round(column)
        strip = np.clip(strip, 0, image.shape[2] - 1)
        upper = np.clip(np.round(y).astype(int), 0, image.shape[1] - 1)
        values = image[z][np.ix_(upper, strip)]
        known = np.isfinite(values)
        count = known.sum(axis=1)
        # The mean ignores a few voxels without signal; a row with none stays unknown.
        total = np.where(known, values, 0).sum(axis=1)
        line = np.where(count >= strip.size / 2, total / np.maximum(count, 1), np.nan)
        line[(y < 0) | (y > image.shape[1] - 1)] = np.nan
        rows.append(line)
    stack = np.array(rows)
    position = np.arange(len(slices)) * dz
    fine = np.arange(0.0, position[-1] + STEP_MM / 2, STEP_MM)
    columns = [np.interp(fine, position, c) for c in stack.T]  # NaN spreads to its neighbours
    return int(slices[0]), np.stack(columns, axis=1)


def _responses(
    plane: NDArray[np.float64], centre_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much darker than its surroundings each place is, at its best slope."""
    low = round((centre_mm - WINDOW_MM / 2) / STEP_MM)
    high = round((centre_mm + WINDOW_MM / 2) / STEP_MM)
    reach = np.arange(low, high + 1)
    place = np.arange(plane.shape[0], dtype=np.float64)
    responses = []
    for tilt in TILTS_DEG:
        shift = np.tan(np.radians(tilt)) * (reach - (low + high) / 2)
        rows = place[:, None] + shift[None, :]
        inside = (rows >= 0) & (rows <= plane.shape[0] - 1)
        known = np.where(np.isfinite(plane), plane, 0.0)
        weight = np.isfinite(plane).astype(np.float64)
        at = [np.where(inside, rows, 0), np.broadcast_to(reach, rows.shape)]
        values = ndimage.map_coordinates(known, at, order=1, mode="nearest")
        weights = ndimage.map_coordinates(weight, at, order=1, mode="nearest") * inside
        share = weights.sum(axis=1)
        profile = np.where(
            share > 0.5 * reach.size,
            (values * (weights > 0.99)).sum(axis=1) / np.maximum((weights > 0.99).sum(axis=1), 1),
            np.nan,
        )
        responses.append(_darkness(profile))
    stack = np.nan_to_num(np.array(responses), nan=-1.0)
    # A slope must earn its keep: without a preference noise would tilt level discs.
    stack -= 0.0004 * np.abs(np.array(TILTS_DEG))[:, None]
    chosen = stack.argmax(axis=0)
    return stack.max(axis=0), np.array(TILTS_DEG, dtype=np.float64)[chosen]


def _darkness(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of both sides (9 to 16 mm away) minus the middle (up to 3 mm); the weaker side counts.

    Both sides must be brighter, so that the step from one tissue to another is no disc.
    """
    middle = _band(profile, -3, 3)
    above, below = _band(profile, -16, -9), _band(profile, 9, 16)
    weaker = np.fmin(above, below)  # at the end of the scan the one side that there is
    mean = np.where(
        np.isfinite(above) & np.isfinite(below), 0.5 * weaker + 0.25 * (above + below), weaker
    )
    result: NDArray[np.float64] = mean - middle
    return result


def _band(profile: NDArray[np.float64], start_mm: float, stop_mm: float) -> NDArray[np.float64]:
    """Take the running mean over a band; NaN where less than half of it is known."""
    offsets = np.arange(round(start_mm / STEP_MM), round(stop_mm / STEP_MM) + 1)
    index = np.arange(profile.size)[:, None] + offsets[None, :]
    inside = (index >= 0) & (index < profile.size)
    values = np.where(inside, profile[np.clip(index, 0, profile.size - 1)], np.nan)
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count >= offsets.size / 2, total / np.maximum(count, 1), np.nan)


def _best_path(response: NDArray[np.float64]) -> tuple[float, list[int]]:
    """Places with regular gaps that hold the largest sum of responses (dynamic programming)."""
    low, high = (round(g / STEP_MM) for g in GAPS_MM)
    best_total, best_path = -np.inf, [int(response.argmax())]
    for usual in range(28, 42, 2):
        score = response.copy()
        former = np.full(response.size, -1)
        for i in range(low, response.size):
            earlier = np.arange(max(0, i - high), i - low + 1)
            cost = 0.05 * np.square((i - earlier - usual / STEP_MM) / 5.0)
            gains = score[earlier] - cost
            k = int(gains.argmax())
            if gains[k] > 0:
                score[i] += gains[k]
                former[i] = earlier[k]
        end = int(score.argmax())
        if score[end] > best_total:
            path = [end]
            while former[path[-1]] >= 0:
                path.append(int(former[path[-1]]))
            best_total, best_path = float(score[end]), path[::-1]
    return best_total, best_path


def _without_weak_ends(path: list[int], response: NDArray[np.float64]) -> list[int]:
    """Drop bands at both ends that are far weaker than the rest: rests of sacral discs, noise."""
    least = max(MIN_WEAKEST, 0.3 * float(np.median(response[path])))
    while len(path) > 1 and response[path[-1]] < least:
        path = path[:-1]
    while len(path) > 1 and response[path[0]] < least:
        path = path[1:]
    return path


def _weakness(path: list[int], contrast: NDArray[np.float64]) -> str:
    """Return why these places are no proposal; empty if they are one."""
    if len(path) < MIN_DISCS:
        return (
            f"{len(path)} dark bands were found in front of the canal; {MIN_DISCS} are needed to "
            "tell discs from anything else."
        )
    if np.median(contrast) < MIN_CONTRAST or contrast.min() < MIN_WEAKEST:
        return (
            f"Discs and marrow differ too little (fat fraction {np.median(contrast):.2f}, weakest "
            f"{contrast.min():.2f}; {MIN_CONTRAST:.2f} and {MIN_WEAKEST:.3f} are needed)."
        )
    gaps = np.diff(path) * STEP_MM
    off = gaps - np.polyval(np.polyfit(np.arange(gaps.size), gaps, min(1, gaps.size - 1)),
                            np.arange(gaps.size))  # fmt: skip
    if gaps.size > 2 and off.std() > MAX_IRREGULARITY_MM:
        return f"The bands are {gaps.round().astype(int).tolist()} mm apart: too irregular."
    return ""


def _named(discs: tuple[float, ...], below_mm: float, middle: float) -> VertebralLevels:
    """Guess names: a long stretch without discs is the sacrum, else a scan is centred on L3."""
    names = chain()
    if below_mm > GAPS_MM[1]:
        first = names.index("L5") - (len(discs) - 1)
    else:
        first = names.index("L3") - int(np.searchsorted(discs, middle))
    first = min(max(first, 0), len(names) - 1 - len(discs))
    return VertebralLevels(discs, names[first], source=LevelSource.PROFILE, numbering_stated=False)

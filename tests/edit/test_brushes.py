"""Footprints, windows, edges, outlines and fills as array operations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.edit.flood import connected
from napari_backfat.edit.limits import before_edges, edge_scale, in_window, window_of
from napari_backfat.edit.outline import enclosed
from napari_backfat.edit.stamp import swept

SHAPE = (8, 60, 70)
SPACING = (4.0, 0.8, 1.3)


def _placed(found: object) -> np.ndarray:
    out = np.zeros(SHAPE, bool)
    if found is not None:
        box, where = found  # type: ignore[misc]
        out[box] = where
    return out


@settings(max_examples=30, deadline=None)
@given(
    start=st.tuples(st.floats(-3, 14), st.floats(-5, 64), st.floats(-5, 74)),
    move=st.tuples(st.floats(-2, 2), st.floats(-9, 9), st.floats(-9, 9)),
    diameter=st.floats(0.1, 25),
    axes=st.sampled_from([(0, 1, 2), (1, 2), (0, 2), (0, 1)]),
)
def test_a_stroke_is_every_voxel_within_the_radius_of_its_way(
    start: tuple[float, ...], move: tuple[float, ...], diameter: float, axes: tuple[int, ...]
) -> None:
    hidden = [a for a in range(3) if a not in axes]
    begin = [float(round(v)) if a in hidden else v for a, v in enumerate(start)]
    end = [b if a in hidden else b + m for a, (b, m) in enumerate(zip(begin, move, strict=True))]
    painted = _placed(swept(SHAPE, SPACING, axes, begin, end, diameter))
    # The same thing said slowly: distance of each voxel to many points of the way.
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1)
    nearest = np.full(SHAPE, np.inf)
    on_way = np.zeros(SHAPE, bool)
    for share in np.linspace(0, 1, 25):
        point = np.array(begin) * (1 - share) + np.array(end) * share
        nearest = np.minimum(nearest, np.linalg.norm((grid - point) * SPACING, axis=-1))
        voxel = np.rint(point).astype(int)
        if all(0 <= v < n for v, n in zip(voxel, SHAPE, strict=True)):
            on_way[tuple(voxel)] = True
    slack = 0.4  # the sampled way is coarser than the true one
    sure = nearest <= diameter / 2 - slack
    if hidden:
        flat = np.zeros(SHAPE, bool)
        index = round(end[hidden[0]])
        if 0 <= index < SHAPE[hidden[0]]:
            flat[tuple(index if a == hidden[0] else slice(None) for a in range(3))] = True
        sure &= flat
        assert not (painted & ~flat).any()
    assert painted[sure].all()
    beyond = nearest > diameter / 2 + slack
    assert not (painted & beyond & (nearest > np.linalg.norm(SPACING))).any()


@pytest.mark.parametrize("spacing", [(4.0, 0.8, 1.3), (1.0, 1.0, 1.0), (0.5, 2.0, 0.7)])
def test_a_ball_has_the_volume_of_a_ball(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(60 / s) for s in spacing)
    centre = [n / 2 for n in shape]
    found = swept(shape, spacing, (0, 1, 2), centre, centre, 40.0)
    assert found is not None
    volume = found[1].sum() * np.prod(spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)


def test_a_brush_finer_than_a_voxel_paints_one_voxel_and_an_unbroken_line() -> None:
    dot = _placed(swept(SHAPE, SPACING, (1, 2), (3, 10.2, 20.4), (3, 10.2, 20.4), 0.1))
    assert np.argwhere(dot).tolist() == [[3, 10, 20]]
    line = _placed(swept(SHAPE, SPACING, (1, 2), (3, 5, 5), (3, 40, 60), 0.1))
    rows = np.flatnonzero(line[3].any(axis=1))
    assert rows.tolist() == list(range(5, 41))


def test_a_brush_outside_the_volume_paints_nothing() -> None:
    assert swept(SHAPE, SPACING, (1, 2), (3, -40, 5), (3, -30, 5), 8) is None
    assert swept(SHAPE, SPACING, (1, 2), (40, 10, 5), (40, 12, 5), 8) is None


def test_a_picked_window_is_the_tissue_and_not_the_few_voxels_beside_it() -> None:
    rng = np.random.default_rng(0)
    lean = rng.normal(0.1, 0.02, 200)
    low, high = window_of(np.concatenate([lean, rng.normal(0.9, 0.02, 20)]))
    assert low < 0.06
    assert 0.14 < high < 0.25
    assert in_window(np.array([0.1, 0.9, np.nan]), (low, high)).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="no defined value"):
        window_of(np.array([np.nan]))


def test_the_edge_brush_stops_at_a_fascia_and_fills_a_flat_place_like_a_plain_brush() -> None:
    rng = np.random.default_rng(1)
    spacing = (1.0, 1.0)
    image = rng.normal(100, 4, (80, 80))
    image[:, 40:42] = 300  # a bright fascia, two voxels wide
    scale = edge_scale(image, spacing)
    footprint = np.hypot(*np.mgrid[-15:16, -15:16]) <= 15
    seed = np.array([[15, 15]])
    near = image[20:51, 19:50]  # the fascia is six voxels right of the seed
    kept = before_edges(near, spacing, footprint, seed, 15.0, scale, 8.0)
    assert not kept[:, 24:].any()
    assert kept[12:19, 10:20].mean() > 0.95
    flat = image[20:51, 4:35]
    assert before_edges(flat, spacing, footprint, seed, 15.0, scale, 8.0).sum() > (
        0.85 * footprint.sum()
    )
    assert before_edges(near, spacing, footprint, seed, 15.0, scale, 0.0).sum() == footprint.sum()


@pytest.mark.parametrize("plane", [(1, 2), (0, 2), (0, 1)])
def test_an_outline_encloses_its_area(plane: tuple[int, int]) -> None:
    turn = np.linspace(0, 2 * np.pi, 90)
    radius = 3.3
    centre = [SHAPE[a] / 2 - 0.3 for a in plane]
    points = np.stack([centre[0] + radius * np.sin(turn), centre[1] + radius * np.cos(turn)], 1)
    hidden = 3 - sum(plane)
    painted = _placed(enclosed(SHAPE, plane, 4, points))
    assert np.flatnonzero(painted.any(axis=tuple(plane))).tolist() == [4]
    assert painted.sum() == pytest.approx(np.pi * radius**2, rel=0.12)
    assert enclosed(SHAPE, plane, SHAPE[hidden], points) is None
    assert enclosed(SHAPE, plane, 4, points[:2]) is None


def test_a_fill_stays_connected_and_within_its_limit() -> None:
    area = np.zeros(SHAPE, bool)
    area[:, 10:50, 10:60] = True
    area[:, :, 30] = False  # a wall
    found = connected(SHAPE, SPACING, (1, 2), (5, 20, 20), 200.0, lambda box: area[box])
    assert _placed(found).sum() == 40 * 20
    found = connected(SHAPE, SPACING, (0, 1, 2), (5, 20, 20), 200.0, lambda box: area[box])
    assert _placed(found).sum() == 40 * 20 * SHAPE[0]
    near = _placed(connected(SHAPE, SPACING, (1, 2), (5, 20, 20), 8.0, lambda box: area[box]))
    distance = np.linalg.norm((np.argwhere(near) - (5, 20, 20)) * SPACING, axis=1)
    assert distance.max() <= 8.0
    assert near.sum() == pytest.approx(np.pi * 64 / (0.8 * 1.3), rel=0.1)
    assert connected(SHAPE, SPACING, (1, 2), (5, 0, 0), 8.0, lambda box: area[box]) is None

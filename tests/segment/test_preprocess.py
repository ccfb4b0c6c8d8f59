from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_backfat.segment.preprocess import (
    interpolation_matrix,
    normalise_batch,
    plane_back,
    resample_plane,
    scan_box,
    slab_matrix,
    window_for,
)


def test_a_window_of_the_scan_s_own_pixels_copies_them() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((2, 64, 96)).astype(np.float32)
    grid = window_for((64, 96), (2.0, 2.0), 2.0)
    np.testing.assert_allclose(resample_plane(image, grid), image, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    spacing=st.tuples(st.floats(0.3, 5.0), st.floats(0.3, 5.0)),
    pixel=st.floats(1.0, 4.0),
    shift=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_there_and_back_keeps_a_smooth_image_in_place(
    spacing: tuple[float, float], pixel: float, shift: tuple[float, float]
) -> None:
    shape = (int(200 / spacing[0]), int(260 / spacing[1]))
    y = (np.arange(shape[0]) * spacing[0])[:, None]
    x = (np.arange(shape[1]) * spacing[1])[None]
    ramp = (y + 2 * x).astype(np.float32)
    centre = (shape[0] / 2 + shift[0] / spacing[0], shape[1] / 2 + shift[1] / spacing[1])
    grid = window_for(shape, spacing, pixel, centre, (96.0, 128.0))
    window = resample_plane(ramp[None], grid)
    rows, columns = scan_box(grid, shape)
    back = plane_back(window, grid, rows, columns)[0]
    margin_y, margin_x = int(12 / spacing[0]) + 2, int(12 / spacing[1]) + 2
    inner = (slice(margin_y, -margin_y), slice(margin_x, -margin_x))
    wanted = ramp[rows, columns]
    # The ramp rises by 2 per mm: this is half a millimetre, at pixels of up to 4 mm.
    np.testing.assert_allclose(back[inner], wanted[inner], atol=1.0)


def test_outside_the_scan_is_zero() -> None:
    image = np.ones((1, 20, 20), dtype=np.float32)
    window = resample_plane(image, window_for((20, 20), (1.0, 1.0), 1.0, (10.0, 10.0), (64, 64)))
    assert window.sum() == pytest.approx(20 * 20, rel=0.11)
    assert window[0, 0, 0] == 0


def test_sampling_down_averages_instead_of_skipping() -> None:
    matrix = interpolation_matrix(np.arange(1.5, 60, 4.0), 64, 4.0)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    stripes = (np.arange(64) % 2).astype(np.float32)
    np.testing.assert_allclose(matrix @ stripes, 0.5, atol=0.05)


@pytest.mark.parametrize(("n", "spacing"), [(1, 5.0), (29, 4.0), (300, 0.7), (316, 1.5), (7, 1.0)])
def test_slabs_cover_every_slice_once(n: int, spacing: float) -> None:
    matrix = slab_matrix(n, spacing)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    assert ((matrix > 0).sum(axis=0) == 1).all()
    assert spacing * n / len(matrix) < 6


def test_normalisation_ignores_scale_offset_and_an_empty_channel() -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand((2, 1, 32, 32), generator=generator)
    both = torch.cat([image, torch.zeros_like(image)], 1)
    a, b = (
        normalise_batch(both),
        normalise_batch(both * 731 + torch.tensor([17.0, 0.0])[:, None, None]),
    )
    torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert (a[:, 1] == 0).all()
    assert float(a[:, 0].std()) == pytest.approx(1, abs=0.02)

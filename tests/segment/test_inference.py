from __future__ import annotations

import numpy as np
import torch

from napari_backfat.segment.inference import Pass, predict, smooth_along
from napari_backfat.segment.preprocess import window_for


class Sides(torch.nn.Module):
    """Labels every pixel left of the window's middle column 4 (right side), the others 3."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        n, _, height, width = images.shape
        logits = torch.zeros(n, 9, height, width)
        logits[:, 4, :, : width // 2] = 20
        logits[:, 3, :, width // 2 :] = 20
        return logits


class Bright(torch.nn.Module):
    """Labels bright pixels 1, by position in the image and not in the window."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(images), 9, *images.shape[-2:])
        logits[:, 1] = images[:, 0] * 20
        return logits


GRID = window_for((80, 120), (2.0, 2.0), 2.0, (40.0, 60.0), (128.0, 192.0))


def run(
    network: torch.nn.Module, slabs: np.ndarray, *passes: Pass
) -> tuple[np.ndarray, np.ndarray]:
    steps = list(predict(network, slabs, GRID, passes, "cpu", 2))
    assert len(steps) == 2 * len(passes), "one report after every look"
    shares = [s.share for s in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    pieces = [(s.part, s.probability, s.spread) for s in steps if s.probability is not None]
    assert [p[0] for p in pieces] == [slice(0, 2), slice(2, 3)]
    return np.concatenate([p[1] for p in pieces]), np.concatenate([p[2] for p in pieces])


def test_a_flipped_look_gives_the_same_sides() -> None:
    slabs = np.random.default_rng(0).random((3, 2, 80, 120)).astype(np.float32)
    plain, _ = run(Sides(), slabs, Pass(1.0, False))
    both, spread = run(Sides(), slabs, Pass(1.0, False), Pass(1.0, True))
    np.testing.assert_allclose(both, plain, atol=1e-5)
    assert spread.max() < 1e-5


def test_zoomed_looks_agree_about_where_things_are() -> None:
    slabs = np.zeros((3, 2, 80, 120), dtype=np.float32)
    slabs[:, 0, 30:50, 60:90] = 1
    plain, none = run(Bright(), slabs, Pass(1.0, False))
    zoomed, spread = run(Bright(), slabs, Pass(1.0, False), Pass(1.12, False), Pass(0.9, True))
    a, b = plain[:, 1] > 0.5, zoomed[:, 1] > 0.5
    assert a.sum() > 1000
    assert (a != b).sum() < 0.05 * a.sum()
    assert none.max() == 0
    assert 0.2 < spread.max() <= 1


def smoothed(probability: np.ndarray, slab_mm: float) -> np.ndarray:
    steps = smooth_along(probability, slab_mm, 2.5)
    done = []
    while True:
        try:
            done.append(next(steps))
        except StopIteration as stop:
            assert done in ([], [1, 2, 3])
            return np.asarray(stop.value)


def test_neighbours_support_a_slice_only_when_they_are_near() -> None:
    probability = np.zeros((3, 9, 2, 2), dtype=np.float16)
    probability[:, 0] = 1
    probability[1, :, 0, 0] = [0.45, 0.55, 0, 0, 0, 0, 0, 0, 0]
    near, far = smoothed(probability, 3.0), smoothed(probability, 20.0)
    assert near[1, 0, 0, 0] > 0.5
    assert near.astype(np.float32).sum(axis=1).round(2).min() == 1
    np.testing.assert_array_equal(far, probability)
    np.testing.assert_array_equal(smoothed(probability[:1], 3.0), probability[:1])

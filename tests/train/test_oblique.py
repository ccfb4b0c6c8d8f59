from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from napari_backfat.train import oblique
from napari_backfat.train.oblique import draw_slopes, fine_stack, oblique_slice
from napari_backfat.train.others import phantom_slices
from napari_backfat.train.pool import KINDS

if TYPE_CHECKING:
    from pathlib import Path


def write_map(root: Path) -> np.ndarray:
    """A label map of five slices, 6 mm apart, whose erector moves to the back by 4 mm a slice."""
    folder = root / "label_maps"
    folder.mkdir(parents=True)
    labels = np.zeros((5, 60, 80), dtype=np.uint8)
    for z in range(5):
        labels[z, 10 + 4 * z : 30 + 4 * z, 20:60] = 4  # erector spinae, left
    file = np.ascontiguousarray(labels.transpose(2, 1, 0)[::1, ::1, ::-1])  # head to foot
    affine = np.diag([-1.0, -1.0, 6.0, 1.0])
    nib.Nifti1Image(file, affine).to_filename(folder / "made.nii.gz")
    return labels


def test_borders_move_evenly_between_the_slices_of_a_map(tmp_path: Path) -> None:
    write_map(tmp_path)
    stack = fine_stack(tmp_path, "made")
    assert stack.spacing_mm == pytest.approx((1.5, 1.0, 1.0))
    assert stack.labels.shape[0] == 17
    value = int(stack.labels.max())
    middle = stack.labels.shape[2] // 2
    front = [int(np.flatnonzero(s[:, middle] == value)[0]) for s in stack.labels]
    assert np.diff(front).tolist() == [1] * 16  # 4 mm in four steps, between any two slices


def test_a_cut_crosses_the_levels_where_its_slope_says(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((40, 60, 80), dtype=np.uint8)
    labels[:20], labels[20:] = 3, 4
    monkeypatch.setattr(oblique, "draw_slopes", lambda _rng: (0.5, 0.0))
    for seed in range(6):
        cut = oblique_slice(np.random.default_rng(seed), labels, (2.0, 1.0, 1.0))
        assert (cut == cut[:, :1]).all()  # no slope from right to left
        z = int(np.random.default_rng(seed).integers(40))
        # The cut turns about the middle of the label: 0.5 mm a pixel are a quarter of a slice.
        rows = z + 0.25 * (np.arange(60) - 29.5)
        assert (cut[:, 0] == np.where(np.rint(rows) >= 20, 4, 3)).all()


def test_slopes_stay_within_what_scans_have() -> None:
    rng = np.random.default_rng(1)
    slopes = np.degrees(np.arctan([draw_slopes(rng) for _ in range(2000)]))
    assert np.abs(slopes).max(axis=0) == pytest.approx([28, 18], abs=1.5)
    assert np.abs(slopes.mean(axis=0)).max() < 1


def test_an_oblique_phantom_has_left_and_right_at_different_levels() -> None:
    upright = np.stack(phantom_slices(np.random.default_rng(5), 12))
    tilted = np.stack(phantom_slices(np.random.default_rng(5), 12, oblique=True))

    def unevenness(slices: np.ndarray) -> float:
        pairs = [((s == 7).sum(), (s == 8).sum()) for s in slices]
        return float(np.mean([abs(a - b) / (a + b) for a, b in pairs if a + b > 400]))

    assert unevenness(tilted) > 1.5 * unevenness(upright)


def test_new_kinds_of_slices_stand_after_the_old_ones() -> None:
    # The place of a kind is part of its seed: another order would make other slices.
    assert KINDS[:6] == ("lumbar", "phantom", "trunk", "negative", "held_out", "held_out_phantom")

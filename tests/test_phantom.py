"""The unit-test factory keeps its own promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side
from napari_backfat.model.volume import Contrast
from tests.phantom import make_case

AXES = [
    "".join(sign)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for sign in itertools.product(*order)
]


@pytest.mark.parametrize("pattern", ["uniform", "voxels"])
def test_fat_fraction_is_what_was_asked_for(pattern: str) -> None:
    made = make_case(fat_fraction=0.25, pattern=pattern)  # type: ignore[arg-type]
    water, fat = (v.voxels for v in made.scan.images)
    for muscle in (m for m in MUSCLES if (made.muscles == m).any()):
        inside = made.muscles == muscle
        measured = fat[inside].sum() / (fat[inside] + water[inside]).sum()
        assert measured == pytest.approx(0.25, abs=0.5 / inside.sum())
        assert made.true_fat_fraction(muscle) == pytest.approx(measured, abs=1e-6)


@pytest.mark.parametrize("axes", AXES)
def test_left_is_left_by_the_affine_in_all_48_orientations(axes: str) -> None:
    made = make_case(axes=axes)
    affine = made.scan.geometry.affine
    assert made.scan.geometry.axis_ends == (("H", "F"), ("A", "P"), ("R", "L"))
    middle = (affine @ [*(np.array(made.muscles.shape) - 1) / 2, 1])[0]
    for muscle in (m for m in MUSCLES if (made.muscles == m).any()):
        centre = np.argwhere(made.muscles == muscle).mean(axis=0)
        right = (affine @ [*centre, 1])[0]  # RAS: the patient's right is positive
        assert (right > middle) == (muscle.side is Side.RIGHT)


def test_undefined_voxels_and_noise_and_all_muscles() -> None:
    made = make_case((4, 40, 120), undefined=7, groups=tuple(MuscleGroup), noise=0.0)
    water, fat = (v.voxels for v in made.scan.images)
    for muscle in MUSCLES:
        assert ((water + fat)[made.muscles == muscle] == 0).sum() == 7
    noisy = make_case(noise=20.0, contrast=Contrast.T1W)
    assert not noisy.scan.is_dixon
    assert noisy.scan.images[0].voxels[:, 0, 0].mean() > 5  # Rician background
    assert (made.muscles == Muscle.BACKGROUND).any()

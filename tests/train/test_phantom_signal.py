"""The phantom's images: the fat fraction survives coil, blur and noise; contrasts fit together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom import (
    Acquisition,
    Anatomy,
    PhantomParams,
    TissueClass,
    draw_acquisition,
    make_anatomy,
    make_images,
)
from tests.train.test_phantom_anatomy import grid

_MAPS = (Contrast.UNKNOWN, Contrast.FAT_FRACTION, Contrast.PDFF)
ALL = [c for c in Contrast if c not in _MAPS]
PERFECT = Acquisition(snr=1e6, blur_voxels=0.0, shading=1.0, opposed_decay=0.0)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    params = PhantomParams(seed=12, mf_fat=0.3, es_fat=0.2)
    return make_anatomy(params, grid((10, 120, 170), (16.0, 1.8, 1.8)), (2, 2))


def test_fat_fraction_of_noisy_images_is_the_true_one(anatomy: Anatomy) -> None:
    images = make_images(anatomy, (Contrast.WATER, Contrast.FAT), np.random.default_rng(0))
    water, fat = images[Contrast.WATER], images[Contrast.FAT]
    for muscle in MUSCLES:
        inside = anatomy.muscles == muscle
        measured = (fat[inside] / (fat[inside] + water[inside])).mean()
        # Rician noise lifts the fat of lean voxels a little; half a noise deviation at this SNR.
        assert measured == pytest.approx(anatomy.fat_fraction[inside].mean(), abs=0.02), muscle


def test_shading_cancels_in_the_ratio_and_is_really_there(anatomy: Anatomy) -> None:
    images = make_images(anatomy, ALL, np.random.default_rng(1), PERFECT)
    water, fat = images[Contrast.WATER], images[Contrast.FAT]
    body = anatomy.fat_fraction > 0
    ratio = fat[body] / (fat[body] + water[body])
    np.testing.assert_allclose(ratio, anatomy.fat_fraction[body], atol=2e-3)
    under_skin = anatomy.labels == TissueClass.SUBCUTANEOUS_FAT
    rows = np.argwhere(under_skin)[:, 1]
    values = fat[under_skin]
    assert values[rows > 90].mean() > 1.8 * values[rows < 30].mean()  # the coil lies behind


def test_phases_are_sum_and_difference(anatomy: Anatomy) -> None:
    images = make_images(anatomy, ALL, np.random.default_rng(1), PERFECT)
    water, fat = images[Contrast.WATER], images[Contrast.FAT]
    np.testing.assert_allclose(images[Contrast.IN_PHASE], water + fat, atol=0.1)
    np.testing.assert_allclose(images[Contrast.OPPOSED_PHASE], np.abs(water - fat), atol=0.1)


def test_weighted_contrasts_look_as_they_should(anatomy: Anatomy) -> None:
    images = make_images(anatomy, ALL, np.random.default_rng(2), Acquisition(shading=0.0))

    def mean(contrast: Contrast, tissue: int) -> float:
        return float(images[contrast][anatomy.labels == tissue].mean())

    muscle, fat, csf = 35, TissueClass.SUBCUTANEOUS_FAT, TissueClass.CSF
    assert mean(Contrast.T1W, csf) < mean(Contrast.T1W, muscle) < mean(Contrast.T1W, fat)
    assert mean(Contrast.T2W, muscle) < mean(Contrast.T2W, fat) < mean(Contrast.T2W, csf)
    assert mean(Contrast.FAT, muscle) < 0.5 * mean(Contrast.WATER, muscle)


def test_noise_is_rician_with_the_asked_for_ratio(anatomy: Anatomy) -> None:
    setting = Acquisition(snr=20.0, shading=0.0, scale=500.0)
    image = make_images(anatomy, Contrast.FAT, np.random.default_rng(3), setting)[Contrast.FAT]
    body = binary_dilation(anatomy.water + anatomy.fat > 0, iterations=4)  # blur reaches so far
    corner = image[~body]
    assert corner.size > 10_000
    sigma = 0.8 / 20 * 500
    # Without signal the magnitude follows a Rayleigh distribution.
    assert corner.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.1)
    assert corner.std() == pytest.approx(sigma * np.sqrt(2 - np.pi / 2), rel=0.1)


def test_seeded_and_typed(anatomy: Anatomy) -> None:
    first, second = (make_images(anatomy, ALL, np.random.default_rng(5)) for _ in range(2))
    for contrast in ALL:
        assert first[contrast].dtype == np.float32
        assert first[contrast].min() >= 0
        np.testing.assert_array_equal(first[contrast], second[contrast])
    settings = [draw_acquisition(np.random.default_rng(n)) for n in range(50)]
    assert all(10 <= s.snr <= 100 and 0 <= s.blur_voxels <= 1 for s in settings)
    with pytest.raises(ValueError, match="no contrast"):
        make_images(anatomy, Contrast.UNKNOWN, np.random.default_rng(0))

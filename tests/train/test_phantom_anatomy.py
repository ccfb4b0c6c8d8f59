"""The phantom person: sides, sizes and fat as published, one person on every grid."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import label

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom import (
    MUSCLE_BASE,
    Anatomy,
    PhantomParams,
    TissueClass,
    draw_params,
    make_anatomy,
    make_images,
)
from tests.phantom import file_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry


def grid(
    shape: tuple[int, int, int] = (40, 110, 110),
    spacing: tuple[float, float, float] = (5.0, 2.0, 2.0),
    axes: str = "LPS",
    tilt_deg: float = 0.0,
) -> Geometry:
    """A grid around the lumbar spine; the canal at L3 lies a little behind its middle."""
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    centred = file_grid(shape, spacing, axes, rotation=rotation)
    middle = centred.affine @ [*(np.array(centred.shape) - 1) / 2, 1]
    origin = -middle[:3] + rotation @ [0, 12.0, 0]
    return file_grid(shape, spacing, axes, tuple(origin), rotation).geometry


def lumbar(anatomy: Anatomy) -> NDArray[np.bool_]:
    """Slices between the upper end of L1 and the lower end of L5, to broadcast over planes."""
    levels = anatomy.levels
    return ((levels >= 0.6) & (levels <= 5.4))[:, None, None]


def area_cm2(anatomy: Anatomy, muscle: Muscle, level: float) -> float:
    areas = (anatomy.muscles == muscle).sum(axis=(1, 2)) * anatomy.geometry.voxel_area_cm2
    return float(np.interp(level, anatomy.levels, areas))


@pytest.fixture(scope="module")
def person() -> Anatomy:
    return make_anatomy(PhantomParams(seed=3), grid(), (1, 1))


@pytest.fixture(scope="module")
def population() -> dict[bool, list[Anatomy]]:
    """Six women and six men of 20 to 62 years, the ages of Crawford 2016."""
    rng = np.random.default_rng(20)
    small = grid((33, 88, 88), (6.0, 2.5, 2.5))
    return {
        female: [
            make_anatomy(draw_params(rng, age_years=age, female=female), small, (1, 1))
            for age in np.linspace(20, 62, 6)
        ]
        for female in (True, False)
    }


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SLA"])
def test_left_and_right_by_the_affine(axes: str) -> None:
    params = PhantomParams(seed=4, fat_asymmetry=0.3, size_asymmetry=0.08, streakiness=0.4)
    anatomy = make_anatomy(params, grid((8, 110, 130), (24.0, 2.0, 2.0), axes), (1, 1))
    affine = anatomy.geometry.affine

    def right_mm(mask: NDArray[np.bool_]) -> float:
        return float((affine @ [*np.argwhere(mask).mean(axis=0), 1])[0])

    for muscle in MUSCLES:
        assert (right_mm(anatomy.muscles == muscle) > 5) == (muscle.side is Side.RIGHT)
    assert right_mm(anatomy.labels == TissueClass.LIVER) > 30
    fat = {
        side: anatomy.fat_fraction[
            anatomy.muscles == muscle_of(MuscleGroup.ERECTOR_SPINAE, side)
        ].mean()
        for side in Side
    }
    assert fat[Side.LEFT] > 1.15 * fat[Side.RIGHT]  # asymmetry was asked for on the left
    size = {
        side: (anatomy.muscles == muscle_of(MuscleGroup.PSOAS_MAJOR, side)).sum() for side in Side
    }
    assert size[Side.LEFT] > 1.05 * size[Side.RIGHT]


def test_volumes_and_fat_are_as_published(population: dict[bool, list[Anatomy]]) -> None:
    # Crawford 2016, 10.3174/ajnr.A4596, Dixon, erector spinae and multifidus of both sides, L1-L5.
    published = {True: (565.4, 83.8, 0.178, 0.319), False: (811.6, 98.9, 0.147, 0.257)}
    for female, people in population.items():
        volume, spread, fat, fat_l5 = published[female]
        volumes, fats, low_fats = [], [], []
        for anatomy in people:
            back = (anatomy.muscles > 0) & (anatomy.muscles <= Muscle.ERECTOR_SPINAE_RIGHT)
            volumes.append((back & lumbar(anatomy)).sum() * anatomy.geometry.voxel_ml)
            fats.append(anatomy.fat_fraction[back & lumbar(anatomy)].mean())
            at_l5 = (np.abs(anatomy.levels - 5) < 0.4)[:, None, None]
            low_fats.append(anatomy.fat_fraction[back & at_l5].mean())
        assert abs(np.mean(volumes) - volume) < spread
        assert np.std(volumes) < 1.5 * spread
        # The median, because the phantom deliberately has more heavy infiltration than volunteers.
        assert abs(np.median(fats) - fat) < 0.05
        assert abs(np.median(low_fats) - fat_l5) < 0.09


def test_areas_are_as_published(population: dict[bool, list[Anatomy]]) -> None:
    people = population[True] + population[False]

    def mean_area(group: MuscleGroup, level: float) -> float:
        return float(
            np.mean([area_cm2(a, muscle_of(group, s), level) for a in people for s in Side])
        )

    # Danneels (CT, healthy), in 10.1155/2017/2562957: 4.7 +- 1.4 at L3, 6.3 +- 1.4 and 9.0 +- 1.5
    # at the upper and lower end plate of L4.
    assert mean_area(MuscleGroup.MULTIFIDUS, 3.0) == pytest.approx(4.7, abs=1.4)
    assert 6.3 - 1.4 < mean_area(MuscleGroup.MULTIFIDUS, 4.0) < 9.0 + 1.5
    # Niemelainen 2011 (men): multifidus 7-11, erector spinae 9.4-19.7 at the three lowest discs.
    assert 6.5 < mean_area(MuscleGroup.MULTIFIDUS, 5.0) < 11.1
    assert 9.4 < mean_area(MuscleGroup.ERECTOR_SPINAE, 4.5) < 19.7
    for group, direction in (
        (MuscleGroup.MULTIFIDUS, 1),
        (MuscleGroup.PSOAS_MAJOR, 1),
        (MuscleGroup.ERECTOR_SPINAE, -1),
    ):
        course = [mean_area(group, level) for level in (2.0, 3.0, 4.0, 5.0)]
        assert (np.diff(course) * direction > 0).all(), group
    assert mean_area(MuscleGroup.QUADRATUS_LUMBORUM, 5.3) == 0  # ends on the iliac crest


def test_psoas_is_lean_and_age_brings_fat_not_volume() -> None:
    rng = np.random.default_rng(8)
    young = [draw_params(rng, age_years=25, female=False) for _ in range(60)]
    old = [draw_params(rng, age_years=75, female=False) for _ in range(60)]
    # Sollmann 2020, PMC7063279: psoas of men 5.1 +- 3.4 %; multifidus and erector rise with age.
    assert np.median([p.psoas_fat for p in young + old]) == pytest.approx(0.051, abs=0.034)
    assert np.mean([p.mf_fat for p in old]) > 1.4 * np.mean([p.mf_fat for p in young])
    assert np.mean([p.muscle_bulk for p in old]) == pytest.approx(
        np.mean([p.muscle_bulk for p in young]), abs=0.06
    )


def test_fat_means_are_what_was_asked_for() -> None:
    params = PhantomParams(seed=9, mf_fat=0.35, es_fat=0.2, psoas_fat=0.07, ql_fat=0.12)
    anatomy = make_anatomy(params, grid(), (1, 1))
    for muscle in MUSCLES:
        inside = (anatomy.muscles == muscle) & lumbar(anatomy)
        assert anatomy.fat_fraction[inside].mean() == pytest.approx(
            params.mean_fat(muscle), abs=0.03
        )
        for level in (1.5, 2.5, 3.5):
            near = inside & (np.abs(anatomy.levels - level) < 0.4)[:, None, None]
            if near.sum() > 100:
                assert anatomy.fat_fraction[near].mean() == pytest.approx(
                    params.fat_profile(muscle, level), abs=0.04
                )
    leaner = make_anatomy(replace(params, caudal_gain=0.0), grid(), (1, 1))
    low = (np.abs(anatomy.levels - 5) < 0.4)[:, None, None] & (anatomy.muscles == 1)
    assert anatomy.fat_fraction[low].mean() > leaner.fat_fraction[low].mean() + 0.1


def test_every_muscle_is_one_piece_inside_the_body(person: Anatomy) -> None:
    for muscle in MUSCLES:
        mask = person.muscles == muscle
        pieces, count = label(mask)
        assert count > 0
        assert np.bincount(pieces.ravel())[1:].max() > 0.97 * mask.sum(), muscle
    inner = np.pad(person.muscles > 0, ((0, 0), (1, 1), (1, 1)))
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = np.roll(inner, shift, axis=(1, 2))[:, 1:-1, 1:-1]
        touched = person.labels[moved]
        assert not np.isin(touched, [TissueClass.AIR, TissueClass.SKIN]).any()


def test_labels_and_muscles_agree_and_all_tissues_occur(person: Anatomy) -> None:
    is_muscle = person.labels > MUSCLE_BASE
    np.testing.assert_array_equal(person.muscles[is_muscle], person.labels[is_muscle] - MUSCLE_BASE)
    assert not person.muscles[~is_muscle].any()
    whole = make_anatomy(PhantomParams(seed=3), grid((13, 150, 200), (20.0, 2.0, 2.0)), (1, 1))
    missing = set(map(int, TissueClass)) - set(np.unique(whole.labels).tolist())
    assert missing <= {int(TissueClass.CARTILAGE)}  # a joint line, thinner than these voxels


def test_one_person_on_every_grid() -> None:
    params = PhantomParams(seed=5, scoliosis_mm=8.0, spine_rotation_deg=4.0)
    coarse = make_anatomy(params, grid((18, 110, 110), (10.0, 2.0, 2.0), "LPS"), (1, 1))
    fine = make_anatomy(params, grid((18, 220, 220), (10.0, 1.0, 1.0), "RAS"), (1, 1))
    for muscle in MUSCLES:
        a = (coarse.muscles == muscle).sum() * coarse.geometry.voxel_ml
        b = (fine.muscles == muscle).sum() * fine.geometry.voxel_ml
        assert a == pytest.approx(b, rel=0.04)
    # Coarse voxel centres lie between four fine ones; inside muscles they must agree.
    again = np.stack([fine.muscles[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    unanimous = (again == again[0]).all(axis=0)
    assert (coarse.muscles[unanimous] == again[0][unanimous]).mean() > 0.999


def test_oblique_grid_keeps_volumes() -> None:
    straight = make_anatomy(PhantomParams(seed=6), grid(), (1, 1))
    tilted = make_anatomy(PhantomParams(seed=6), grid(tilt_deg=12.0), (1, 1))
    for muscle in (Muscle.MULTIFIDUS_LEFT, Muscle.ERECTOR_SPINAE_RIGHT):
        volumes = [((a.muscles == muscle) & lumbar(a)).sum() for a in (straight, tilted)]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.12)


def test_partial_volume_and_true_fraction() -> None:
    small = grid((3, 60, 60), (4.0, 3.0, 3.0))
    sharp = make_anatomy(PhantomParams(seed=2), small, (1, 1))
    mixed = make_anatomy(PhantomParams(seed=2), small, (2, 4))
    for anatomy in (sharp, mixed):
        total = anatomy.water + anatomy.fat
        signal = total > 0.03
        np.testing.assert_allclose(
            anatomy.fat_fraction[signal],
            (anatomy.fat / np.where(signal, total, 1))[signal],
            atol=1e-5,
        )
        assert not anatomy.fat_fraction[~signal].any()
    # Between skin and air there is half-filled signal only where voxels are mixtures.
    outline = (sharp.labels == TissueClass.SKIN) | (sharp.labels == TissueClass.AIR)
    half = (mixed.water > 0.2) & (mixed.water < 0.5) & (mixed.fat < 0.1) & outline
    assert half.sum() > 50
    assert ((sharp.water > 0.2) & (sharp.water < 0.5) & (sharp.fat < 0.1) & outline).sum() == 0


def test_equal_seeds_equal_people(person: Anatomy) -> None:
    again = make_anatomy(PhantomParams(seed=3), grid(), (1, 1))
    np.testing.assert_array_equal(person.labels, again.labels)
    np.testing.assert_array_equal(person.fat_fraction, again.fat_fraction)
    other = make_anatomy(PhantomParams(seed=4), grid((4, 110, 110), (45.0, 2.0, 2.0)), (1, 1))
    assert (
        other.labels != make_anatomy(PhantomParams(seed=3), other.geometry, (1, 1)).labels
    ).any()


def test_draws_stay_in_the_documented_ranges() -> None:
    ranges = {
        "body_scale": (0.86, 1.10), "level_height_mm": (31, 40), "muscle_bulk": (0.75, 1.2),
        "multifidus_width": (0.85, 1.2), "psoas_bulk": (0.8, 1.2), "hip_width": (0, 1),
        "subcutaneous_mm": (6, 50), "belly_mm": (0, 70), "visceral_fat": (0, 1),
        "mf_fat": (0.02, 0.6), "es_fat": (0.02, 0.6), "psoas_fat": (0.02, 0.6),
        "ql_fat": (0.02, 0.6), "caudal_gain": (0, 1.5), "fat_asymmetry": (-0.3, 0.3),
        "size_asymmetry": (-0.08, 0.08), "streakiness": (0, 1), "marrow_fat": (0.2, 0.65),
        "scoliosis_mm": (-15, 15), "spine_rotation_deg": (-8, 8), "roll_deg": (-8, 8),
        "lordosis_deg": (20, 60), "ripple_mm": (0, 4), "crest_level": (4.0, 4.7),
    }  # fmt: skip
    assert set(ranges) == {f.name for f in fields(PhantomParams)} - {"seed"}
    rng = np.random.default_rng(1)
    people = [draw_params(rng) for _ in range(400)]
    for name, (low, high) in ranges.items():
        values = [getattr(p, name) for p in people]
        assert low <= min(values) <= max(values) <= high, name
        assert np.std(values) > 0


def test_any_field_of_view() -> None:
    params = PhantomParams(seed=1, roll_deg=6.0)
    one = make_anatomy(params, grid((1, 70, 90), (4.0, 2.0, 2.0)))
    assert (one.muscles > 0).any()
    corner = file_grid((2, 30, 30), (4.0, 3.0, 3.0), "LPS", (500.0, 500.0, 0.0)).geometry
    air = make_anatomy(params, corner)
    assert (air.labels == TissueClass.AIR).all()
    assert not air.fat_fraction.any()
    images = make_images(air, Contrast.WATER, np.random.default_rng(0))
    assert np.isfinite(images[Contrast.WATER]).all()
    sideways = grid((2, 60, 20), (4.0, 2.0, 6.0))  # anisotropic in the plane
    assert (make_anatomy(params, sideways).muscles > 0).any()

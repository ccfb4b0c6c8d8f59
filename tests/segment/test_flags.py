from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.segment.flags import image_area, quality_flags
from napari_backfat.segment.quality import Evidence, MuscleQuality


def whole() -> np.ndarray:
    muscle = np.zeros((6, 40, 100), dtype=np.uint8)
    for m in MUSCLES:
        muscle[1:5, 10:20, 10 * m : 10 * m + 8] = m
    muscle[[1, 4], 13:] = 0  # the muscles taper at both ends
    return muscle


def kinds(muscle: np.ndarray, **more: object) -> list[tuple[Muscle | None, str]]:
    flags = quality_flags(muscle, dict.fromkeys(MUSCLES, 0.95), **more)  # type: ignore[arg-type]
    return [(f.muscle, f.kind) for f in flags]


def test_a_complete_confident_map_has_no_flags() -> None:
    assert kinds(whole()) == []


def test_a_muscle_at_the_image_edge_is_cut() -> None:
    muscle = whole()
    muscle[2, 10:20, 88:100] = Muscle.QUADRATUS_LUMBORUM_RIGHT
    assert kinds(muscle) == [(Muscle.QUADRATUS_LUMBORUM_RIGHT, "cut by field of view")]


def test_a_muscle_at_the_edge_of_a_zero_padded_image_is_cut() -> None:
    inside = np.zeros((40, 100), dtype=bool)
    inside[5:35, 5:95] = True
    muscle = whole()
    muscle[2, 10:20, 80:95] = Muscle.QUADRATUS_LUMBORUM_RIGHT
    assert kinds(muscle, inside=inside) == [
        (Muscle.QUADRATUS_LUMBORUM_RIGHT, "cut by field of view")
    ]


def test_a_missing_muscle_is_named_and_the_end_slices_are_mentioned() -> None:
    muscle = whole()
    muscle[muscle == Muscle.PSOAS_MAJOR_LEFT] = 0
    muscle[0] = np.where(muscle[1] == Muscle.MULTIFIDUS_LEFT, muscle[1], 0)
    assert kinds(muscle) == [
        (Muscle.MULTIFIDUS_LEFT, "continues beyond the scan"),
        (Muscle.PSOAS_MAJOR_LEFT, "not found"),
    ]


def test_low_probability_is_flagged() -> None:
    sure = dict.fromkeys(MUSCLES, 0.95) | {Muscle.MULTIFIDUS_RIGHT: 0.5}
    (flag,) = quality_flags(whole(), sure)
    assert flag.muscle is Muscle.MULTIFIDUS_RIGHT
    assert flag.kind == "low confidence"
    assert "0.50" in flag.text


def test_a_muscle_that_stops_just_before_the_edge_is_cut_too() -> None:
    muscle = whole()
    muscle[2, 10:20, 88:98] = Muscle.QUADRATUS_LUMBORUM_RIGHT
    assert kinds(muscle, spacing_mm=(4.0, 1.5, 1.5)) == [
        (Muscle.QUADRATUS_LUMBORUM_RIGHT, "cut by field of view")
    ]


def test_a_muscle_whose_place_lies_outside_the_image_is_cut_and_no_silent_zero() -> None:
    # X runs from the patient's right to the left; the image ends just left of the midline.
    muscle = np.zeros((4, 40, 60), dtype=np.uint8)
    muscle[:, 10:20, 40:48] = Muscle.MULTIFIDUS_RIGHT
    muscle[:, 10:20, 50:58] = Muscle.MULTIFIDUS_LEFT
    muscle[:, 10:20, 10:30] = Muscle.ERECTOR_SPINAE_RIGHT
    flags = {f.muscle: f for f in quality_flags(muscle, {})}
    left = flags[Muscle.ERECTOR_SPINAE_LEFT]
    assert left.kind == "cut by field of view"
    assert "outside the image (left side)" in left.text
    wide = np.pad(muscle, ((0, 0), (0, 0), (0, 60)))
    flags = {f.muscle: f for f in quality_flags(wide, {})}
    assert flags[Muscle.ERECTOR_SPINAE_LEFT].kind == "not found"
    padded = np.zeros(wide.shape, dtype=np.float32)
    padded[:, :, :60] = 1  # the same as image and zeros
    flags = {f.muscle: f for f in quality_flags(wide, {}, image_area([padded]))}
    assert flags[Muscle.ERECTOR_SPINAE_LEFT].kind == "cut by field of view"
    assert all(m in flags for m in MUSCLES if not (muscle == m).any())


def test_empty_slices_at_the_ends_do_not_hide_a_cut() -> None:
    image = np.zeros((8, 40, 100), dtype=np.float32)
    image[1:7] = 1
    muscle = np.zeros(image.shape, dtype=np.uint8)
    muscle[1:7] = whole()
    muscle[1][muscle[2] == Muscle.PSOAS_MAJOR_LEFT] = Muscle.PSOAS_MAJOR_LEFT
    assert [(f.muscle, f.kind) for f in quality_flags(muscle, {}, image_area([image]))] == [
        (Muscle.PSOAS_MAJOR_LEFT, "continues beyond the scan")
    ]


def test_many_doubtful_outlines_make_a_doubtful_case() -> None:
    evidence = Evidence(0.1, 0.1, 0.1, 0.0, 0.0, 0.1, 0.1)
    quality = {m: MuscleQuality(0.6 if m <= 4 else 0.9, m <= 4, evidence) for m in MUSCLES}
    flags = quality_flags(whole(), {}, quality=quality)
    assert [f.kind for f in flags] == ["doubtful case", *["low confidence"] * 4]
    assert "expected Dice about 0.60" in flags[1].text
    one = {m: MuscleQuality(0.6, m == 1, evidence) for m in MUSCLES}
    assert [f.muscle for f in quality_flags(whole(), {}, quality=one)] == [Muscle.MULTIFIDUS_LEFT]
    rule = {m: MuscleQuality(None, m == 1, evidence) for m in MUSCLES}
    (flag,) = quality_flags(whole(), {}, quality=rule)
    assert "mean probability 0.90" in flag.text


@pytest.mark.parametrize(("lost", "words"), [
    (slice(0, 2), "begin at slice 2,"),
    (slice(4, 6), "end at slice 3,"),
])  # fmt: skip
def test_outlines_that_stop_where_the_muscles_are_large_are_told(lost: slice, words: str) -> None:
    muscle = whole()
    muscle[lost] = 0
    (flag,) = quality_flags(muscle, dict.fromkeys(MUSCLES, 0.95))
    assert (flag.muscle, flag.kind) == (None, "ends within the scan")
    assert words in flag.text
    filled = [np.ones(muscle.shape, np.float32)]
    filled[0][lost] = 0  # slices that hold no image are none
    assert {k for _, k in kinds(muscle, inside=image_area(filled))} == {"continues beyond the scan"}


def test_a_muscle_that_is_missing_between_slices_is_told() -> None:
    muscle = whole()
    muscle[2][muscle[2] == Muscle.PSOAS_MAJOR_LEFT] = 0
    (flag,) = quality_flags(muscle, dict.fromkeys(MUSCLES, 0.95))
    assert (flag.muscle, flag.kind) == (Muscle.PSOAS_MAJOR_LEFT, "missing in slices")
    assert "missing in slice 2, between" in flag.text
    muscle[3][muscle[3] == Muscle.PSOAS_MAJOR_LEFT] = 0
    (flag,) = quality_flags(muscle, dict.fromkeys(MUSCLES, 0.95))
    assert "missing in 2 slices from 2 to 3" in flag.text

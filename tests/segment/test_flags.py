from __future__ import annotations

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.segment.flags import quality_flags


def whole() -> np.ndarray:
    muscle = np.zeros((6, 40, 100), dtype=np.uint8)
    for m in MUSCLES:
        muscle[1:5, 10:20, 10 * m : 10 * m + 8] = m
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

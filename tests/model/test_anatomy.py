"""Labels, sides and tissue codes are one consistent table."""

from __future__ import annotations

import pytest

from napari_backfat.model.anatomy import (
    MUSCLES,
    N_MUSCLE_CODES,
    N_TISSUE_CODES,
    Muscle,
    MuscleGroup,
    Side,
    Tissue,
    TissueCode,
    muscle_of,
)


def test_eight_muscles_with_the_ids_of_the_files() -> None:
    assert [int(m) for m in MUSCLES] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (N_MUSCLE_CODES, N_TISSUE_CODES) == (9, 5)
    assert Muscle.MULTIFIDUS_LEFT == 1
    assert Muscle.QUADRATUS_LUMBORUM_RIGHT == 8


@pytest.mark.parametrize("muscle", MUSCLES)
def test_group_side_and_mirror_agree_with_the_name(muscle: Muscle) -> None:
    assert muscle.name == f"{muscle.group.name}_{muscle.side.name}"
    assert muscle_of(muscle.group, muscle.side) is muscle
    assert muscle.mirrored.group is muscle.group
    assert muscle.mirrored.side is not muscle.side
    assert muscle.mirrored.mirrored is muscle


def test_names_for_people() -> None:
    assert Muscle.ERECTOR_SPINAE_LEFT.display_name == "Erector spinae L"
    assert Muscle.PSOAS_MAJOR_RIGHT.display_name == "Psoas major R"
    assert Muscle.BACKGROUND.display_name == "Background"
    assert len({m.display_name for m in Muscle}) == len(Muscle)


def test_background_has_no_side_and_no_group() -> None:
    assert Muscle.BACKGROUND.mirrored is Muscle.BACKGROUND
    with pytest.raises(ValueError, match="no side"):
        _ = Muscle.BACKGROUND.side
    with pytest.raises(ValueError, match="not a muscle"):
        _ = Muscle.BACKGROUND.group


def test_every_group_has_both_sides() -> None:
    made = {muscle_of(group, side) for group in MuscleGroup for side in Side}
    assert made == set(MUSCLES)


@pytest.mark.parametrize(
    ("code", "tissue", "by_hand"),
    [
        (TissueCode.NONE, Tissue.NONE, False),
        (TissueCode.LEAN, Tissue.LEAN, False),
        (TissueCode.FAT, Tissue.FAT, False),
        (TissueCode.LEAN_BY_HAND, Tissue.LEAN, True),
        (TissueCode.FAT_BY_HAND, Tissue.FAT, True),
    ],
)
def test_tissue_codes_carry_tissue_and_author(
    code: TissueCode, tissue: Tissue, by_hand: bool
) -> None:
    assert code.tissue is tissue
    assert code.by_hand is by_hand

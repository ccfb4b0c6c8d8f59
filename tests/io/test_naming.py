"""Names speak only when they speak clearly."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_backfat.io.naming import find_partner, guess_contrast
from napari_backfat.model.volume import Contrast


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("TUM01_water.nii.gz", Contrast.WATER),
        ("TUM01_fat.nii.gz", Contrast.FAT),
        ("sub-01_acq-Water_MEGRE.nii", Contrast.WATER),
        ("t1_vibe_dixon_tra_W.nii.gz", Contrast.WATER),
        ("t1_vibe_dixon_tra_F.nii.gz", Contrast.FAT),
        ("t1_vibe_dixon_tra_in.nii.gz", Contrast.IN_PHASE),
        ("t1_vibe_dixon_tra_opp.nii.gz", Contrast.OPPOSED_PHASE),
        ("lava_in_phase.nii", Contrast.IN_PHASE),
        ("lava_InPhase.nii", Contrast.IN_PHASE),
        ("lava_out_phase.nii", Contrast.OPPOSED_PHASE),
        ("sub-02_T1w.nii.gz", Contrast.T1W),
        ("lspine_t2_tse_tra.nii.gz", Contrast.T2W),
        ("t2_fat_sat.nii.gz", Contrast.T2W),
        ("t1_water_excitation.nii.gz", Contrast.T1W),
        # Words inside words, positions inside names and contradictions say nothing.
        ("father.nii.gz", Contrast.UNKNOWN),
        ("waterloo_hospital.nii.gz", Contrast.UNKNOWN),
        ("patient_F_52y.nii.gz", Contrast.UNKNOWN),
        ("in_house_protocol.nii.gz", Contrast.UNKNOWN),
        ("fat_water_ratio.nii.gz", Contrast.UNKNOWN),
        ("fat_fraction.nii.gz", Contrast.UNKNOWN),
        ("t1_fat_fraction.nii.gz", Contrast.UNKNOWN),
        ("t1_t2_mapping.nii.gz", Contrast.UNKNOWN),
        ("scan.nii.gz", Contrast.UNKNOWN),
        (".nii.gz", Contrast.UNKNOWN),
    ],
)
def test_guess_contrast(name: str, contrast: Contrast) -> None:
    assert guess_contrast(Path("fat/water") / name) is contrast


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("TUM01_water.nii.gz", "TUM01_fat.nii.gz"),
        ("a-Water.nii", "a-Fat.nii"),
        ("vibe_W.nii.gz", "vibe_F.nii.gz"),
        ("a_water.nii", "a_fat.nii.gz"),
        ("sub-1_desc-water_run-2.nii.gz", "sub-1_desc-fat_run-2.nii.gz"),
    ],
)
def test_partner_is_found_both_ways(tmp_path: Path, first: str, second: str) -> None:
    for name in (first, second):
        (tmp_path / name).touch()
    assert find_partner(tmp_path / first) == tmp_path / second
    assert find_partner(tmp_path / second) == tmp_path / first


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("TUM01_water.nii.gz", ["TUM02_fat.nii.gz", "TUM01_fat_2.nii.gz", "TUM01_Fat.nii.gz"]),
        ("TUM01_water.nii.gz", []),
        ("scan_t1.nii.gz", ["scan_fat.nii.gz"]),
        ("water_water.nii.gz", ["fat_water.nii.gz", "water_fat.nii.gz"]),
    ],
)
def test_no_partner_is_guessed(tmp_path: Path, name: str, others: list[str]) -> None:
    for file in (name, *others):
        (tmp_path / file).touch()
    if (tmp_path / "tum01_WATER.nii.gz").exists():
        pytest.skip("this file system ignores case")
    assert find_partner(tmp_path / name) is None

"""Dixon images as the scanners of different makers label them, written as synthetic headers.

The spellings are those in the makers' conformance statements and in public issue trackers; no
image of a Canon scanner was at hand, so what is tested for Canon is the description only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.dicom_series import list_series
from napari_backfat.io.scan import open_scan
from napari_backfat.model.volume import Contrast
from tests.io.dicoms import classic, enhanced, save, scaled, stored_voxels
from tests.io.files import affine_for

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (7, 6, 5)
W, F, IP, OP = Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE
PLAIN = ["ORIGINAL", "PRIMARY", "OTHER"]
# Manufacturer -> (Image Type, Series Description) of water, fat, in- and opposed-phase.
VENDORS: dict[str, list[tuple[list[str], str]]] = {
    "SIEMENS VE, by type": [
        (["DERIVED", "PRIMARY", "M", "NORM", "DIS2D", "DIXON", word], "t1_vibe_dixon")
        for word in ("WATER", "FAT", "IN_PHASE", "OPP_PHASE")
    ],
    "SIEMENS, by description": [
        (["ORIGINAL", "PRIMARY", "M", "ND"], f"t1_vibe_dixon_tra_bh_{word}")
        for word in ("W", "F", "in", "opp")
    ],
    "GE, by type": [
        (["DERIVED", "PRIMARY", "DIXON", word], "Ax LAVA-Flex")
        for word in ("WATER", "FAT", "IN_PHASE", "OUT_PHASE")
    ],
    "GE, by description": [
        (PLAIN, f"{word}: Ax LAVA-Flex") for word in ("WATER", "FAT", "InPhase", "OutPhase")
    ],
    "Philips, by type": [
        (["DERIVED", "PRIMARY", word, word, "DERIVED"], "mDIXON-All_BH")
        for word in ("W", "F", "IP", "OP")
    ],
    "Philips, FFE": [
        (["ORIGINAL", "PRIMARY", f"{word}_FFE", word, "FFE"], "mDIXON")
        for word in ("W", "F", "IP", "OP")
    ],
    "Philips, by description": [(PLAIN, f"mDIXON_{word}_BH") for word in ("W", "F", "IP", "OP")],
    "Canon, by description": [
        (PLAIN, f"WFS Ax {word}") for word in ("Water", "Fat", "In phase", "Out of phase")
    ],
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("split", [False, True])
def test_dixon_of_every_maker_opens_as_a_pair(vendor: str, split: bool, tmp_path: Path) -> None:
    """In one series, and as four."""
    uid = generate_uid()
    for seed, (kind, description) in enumerate(VENDORS[vendor]):
        images = classic(
            stored_voxels(SHAPE, seed), affine_for(), generate_uid() if split else uid,
            ImageType=kind, SeriesDescription=description, Manufacturer=vendor.split(",")[0],
        )  # fmt: skip
        save(tmp_path / "mr", images, f"{seed}")
    assert sorted(s.role.value for s in list_series(tmp_path / "mr")) == [
        "fat", "in", "opposed", "water",
    ]  # fmt: skip
    scan = open_scan([tmp_path / "mr"])
    for seed, contrast in enumerate((W, F)):
        image = scan.image(contrast)
        assert image is not None
        truth = image.file_grid.to_working(scaled(stored_voxels(SHAPE, seed)))
        np.testing.assert_array_equal(image.voxels, truth)


@pytest.mark.parametrize("vendor", ["SIEMENS", "Philips", "CANON_MEC"])
def test_enhanced_dixon_by_frame_type(vendor: str, tmp_path: Path) -> None:
    """The type of the file says nothing; that of each frame does. MOSAIC is a left-over word."""
    volumes = [
        (stored_voxels(SHAPE, seed), ["ORIGINAL", "PRIMARY", "DIXON", word])
        for seed, word in enumerate(("WATER", "FAT", "IN_PHASE", "OUT_OF_PHASE", "FAT_FRACTION"))
    ]
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    if vendor == "Philips":
        kind = ["ORIGINAL", "PRIMARY", "T1", "MIXED"]
    image = enhanced(volumes, affine_for(), ImageType=kind, Manufacturer=vendor)
    folder = save(tmp_path / "mr", [image])
    assert [s.problem for s in list_series(folder)] == [""] * 5
    assert open_scan([folder]).is_dixon


def test_a_classic_mosaic_is_still_no_volume(tmp_path: Path) -> None:
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    images = classic(stored_voxels(SHAPE), affine_for(), ImageType=kind)
    (info,) = list_series(save(tmp_path / "mr", images))
    assert "mosaic" in info.problem


def test_private_type_of_philips_counts_where_the_public_one_was_cut(tmp_path: Path) -> None:
    for seed, word in enumerate(("W", "F")):
        images = classic(stored_voxels(SHAPE, seed), affine_for(), ImageType=["DERIVED", "PRIMARY"])
        for image in images:
            block = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0x11, "CS", word)
        save(tmp_path / "mr" / word, images)
    assert open_scan([tmp_path / "mr"]).is_dixon


@pytest.mark.parametrize(
    ("description", "map_name"),
    [
        ("FatFrac: IDEAL IQ", "fat fraction map"),
        ("R2*: IDEAL IQ", "R2* map"),
        ("mDIXON-Quant_FF", "fat fraction map"),
        ("PDFF map", "fat fraction map"),
        ("WFS Water fraction", "water fraction map"),
        ("q-dixon T2* map", "T2* map"),
        ("B0 Map", "field map"),
    ],
)
def test_maps_by_description(description: str, map_name: str) -> None:
    assert role_of(("ORIGINAL", "PRIMARY", "OTHER"), description)[2] == map_name


@pytest.mark.parametrize(
    "description",
    ["t1 tse", "T2 FSE off resonance", "dixon", "differ", "t2_tirm_cor", "staff only", "T2* GRE"],
)
def test_other_descriptions_are_no_maps_and_no_dixon_images(description: str) -> None:
    contrast, _, map_name = role_of(("ORIGINAL", "PRIMARY", "OTHER"), description)
    assert map_name == ""
    assert contrast not in (W, F, IP, OP)

"""NIfTI, MuscleMap and BIDS exports, read back by nibabel and SimpleITK."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings

from napari_backfat.export.formats import export
from napari_backfat.export.label_table import MUSCLEMAP_OF
from napari_backfat.export.nifti import sidecar
from napari_backfat.export.options import Options
from napari_backfat.io.labels import read_labels
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from tests.export.contents import content_on, some_muscles, world_points
from tests.io.files import ORIENTATIONS, affine_for, angles

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (5, 6, 4)


def grid_for(axes: str, tilt: tuple[float, float, float] = (0, 0, 0)) -> FileGrid:
    return FileGrid.from_affine(SHAPE, affine_for(axes, angles_deg=tilt))


def check_round_trip(grid: FileGrid, folder: Path) -> None:
    """Masks land where they were, as two other programs see it."""
    sitk = pytest.importorskip("SimpleITK")
    truth = some_muscles(SHAPE)  # in the file's own axes
    content = content_on(grid, np.ascontiguousarray(grid.to_working(truth)))
    export(content, ["nifti"], folder, Options())
    image = nibabel.load(folder / "muscles.nii.gz")
    assert np.array_equal(np.asanyarray(image.dataobj), truth)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-4)
    other = sitk.ReadImage(str(folder / "muscles.nii.gz"))
    array = sitk.GetArrayFromImage(other).transpose(2, 1, 0)  # back to (i, j, k)
    for label in (1, 8):
        expected = world_points(truth, grid.affine, label)
        index = np.argwhere(array == label)
        lps = [other.TransformIndexToPhysicalPoint([int(i) for i in point]) for point in index]
        found = np.round(np.array(lps) * [-1, -1, 1], 3) + 0.0
        found = found[np.lexsort(np.round(found, 2).T)]
        expected = expected[np.lexsort(np.round(expected, 2).T)]
        np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_every_orientation(axes: str, tmp_path: Path) -> None:
    check_round_trip(grid_for(axes), tmp_path)


@given(angles, angles, angles)
@settings(max_examples=12, deadline=None)
def test_obliques(tmp_path_factory: pytest.TempPathFactory, a: float, b: float, c: float) -> None:
    check_round_trip(grid_for("LPS", (a, b, c)), tmp_path_factory.mktemp("oblique"))


def test_musclemap_numbers(tmp_path: Path) -> None:
    grid = grid_for("RAS", (7, 3, -12))
    truth = some_muscles(SHAPE)
    # Sides as in a body: MuscleMap files with exchanged sides are refused.
    working = np.ascontiguousarray(grid.to_working(truth))
    half = working.shape[2] // 2
    left = (working > 0) & (working % 2 == 1)
    working[..., :half][left[..., :half]] += 1
    right = (working > 0) & (working % 2 == 0)
    working[..., half:][right[..., half:]] -= 1
    export(content_on(grid, working), ["musclemap"], tmp_path, Options())
    image = nibabel.load(tmp_path / "musclemap_dseg.nii.gz")
    stored = np.asanyarray(image.dataobj)
    assert stored.dtype == np.uint16
    in_file = grid.to_file(working)
    assert {int(v) for v in np.unique(stored)} == {0, *MUSCLEMAP_OF.values()}
    for muscle in MUSCLES:
        assert np.array_equal(stored == MUSCLEMAP_OF[muscle], in_file == muscle)
    assert MUSCLEMAP_OF[Muscle.MULTIFIDUS_LEFT] == 5101  # as MuscleMap's README has it
    back = read_labels(tmp_path / "musclemap_dseg.nii.gz", grid)
    assert np.array_equal(back.array, working)


def test_sidecar_and_table_name_the_labels_and_nobody(tmp_path: Path) -> None:
    grid = grid_for("LPS")
    content = content_on(grid, np.ascontiguousarray(grid.to_working(some_muscles(SHAPE))))
    export(content, ["nifti"], tmp_path, Options())
    record = json.loads((tmp_path / "muscles.json").read_text())
    assert record["Labels"]["3"] == "Erector spinae left"
    lines = (tmp_path / "muscles.tsv").read_text().splitlines()
    table = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert [int(row["index"]) for row in table] == list(range(9))
    assert table[1]["abbreviation"] == "MF_L"
    assert table[1]["color"] == "#D55E00"
    assert table[4]["snomed_ct"] == "44947003"
    for path in tmp_path.iterdir():
        assert b"Jane" not in path.read_bytes(), path
    export(content, ["nifti"], tmp_path / "named", Options(with_identifiers=True))
    record = json.loads((tmp_path / "named" / "muscles.json").read_text())
    assert record["SourceImages"][0] == "/data/Doe^Jane/water.nii.gz"


@pytest.mark.parametrize("by_hand_ml", [0.0, 1.5])
def test_sidecar_says_whether_a_person_corrected(by_hand_ml: float) -> None:
    grid = grid_for("LPS")
    drawn = content_on(grid, np.ascontiguousarray(grid.to_working(some_muscles(SHAPE))))
    record = sidecar(drawn, Options(), "muscles")
    assert record["Manual"] is True
    provenance = {**drawn.provenance, "ai": {"backend": "some-net"}}
    made = replace(drawn, provenance=provenance, corrections=(), by_hand_ml=by_hand_ml)
    record = sidecar(made, Options(), "muscles")
    assert record["Manual"] is (by_hand_ml > 0)
    assert record["CorrectedByAPerson"] is (by_hand_ml > 0)


def test_bids_dataset_grows_by_subjects(tmp_path: Path) -> None:
    grid = grid_for("LPS")
    content = content_on(grid, np.ascontiguousarray(grid.to_working(some_muscles(SHAPE))))
    export(content, ["bids"], tmp_path, Options(subject="01"))
    export(content, ["bids"], tmp_path, Options(subject="02"))
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "napari-backfat"
    for subject in ("01", "02"):
        stem = tmp_path / f"sub-{subject}" / "anat" / f"sub-{subject}_space-orig_desc-muscles_dseg"
        image = nibabel.load(f"{stem}.nii.gz")
        assert np.array_equal(np.asanyarray(image.dataobj), some_muscles(SHAPE))
        assert stem.with_name(f"{stem.name}.tsv").read_text().startswith("index\tname")
    with pytest.raises(BackfatError, match="exists already"):
        export(content, ["bids"], tmp_path, Options(subject="02"))
    (tmp_path / "dataset_description.json").write_text('{"DatasetType": "raw"}')
    with pytest.raises(BackfatError, match="another BIDS dataset"):
        export(content, ["bids"], tmp_path, Options(subject="03"))
    with pytest.raises(BackfatError, match="letters and digits"):
        Options(subject="../x")

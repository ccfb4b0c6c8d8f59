"""Volume, mean and area against SimpleITK and scikit-image, which share no code with ours."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from skimage.measure import regionprops

from napari_backfat.measure.by_level import TARGETS, measure_regions, slice_regions, whole_region
from napari_backfat.measure.profile import slice_profile
from napari_backfat.measure.quantify import quantify
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.fat_map import SCALE, FatMap, FatMapKind
from napari_backfat.model.geometry import FileGrid, Geometry
from napari_backfat.model.masks import Masks
from tests.measure.test_quantify import drawn
from tests.shared_data import real_dixon_case, shared_data_folder

sitk = pytest.importorskip("SimpleITK")

MAPS = (
    "musclemap_abdomen_template",
    "musclemap_lumbar_a",
    "musclemap_lumbar_c",
)


def check(masks: Masks) -> int:
    """Compare every muscle; returns how many were there."""
    geometry = masks.geometry
    measured = quantify(masks.ledger, geometry, masks.fat_map.kind, masks.threshold)
    values = masks.fat_map.codes / SCALE
    labels = sitk.GetImageFromArray(masks.muscle)
    image = sitk.GetImageFromArray(values)
    for each in (labels, image):
        each.SetSpacing([float(s) for s in reversed(geometry.spacing_mm)])
    statistics = sitk.LabelStatisticsImageFilter()
    statistics.Execute(image, labels)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(labels)
    fat = sitk.LabelStatisticsImageFilter()
    fat_labels = sitk.GetImageFromArray((masks.muscle * (masks.tissue == 2)).astype(np.uint8))
    fat_labels.CopyInformation(labels)
    fat.Execute(image, fat_labels)
    profile = slice_profile(masks.ledger, geometry, masks.fat_map.kind)
    rows = measure_regions(profile, geometry, [whole_region(geometry.shape[0])])
    regions = {r.label: r for r in regionprops(masks.muscle, intensity_image=values)}
    found = 0
    for muscle in MUSCLES:
        of = measured.muscles[muscle]
        if not statistics.HasLabel(int(muscle)):
            assert of.volume_ml == 0
            continue
        found += 1
        voxels = statistics.GetCount(int(muscle))
        assert round(of.volume_ml / geometry.voxel_ml) == voxels == regions[muscle].area
        assert of.volume_ml == pytest.approx(shape.GetPhysicalSize(int(muscle)) / 1000, rel=1e-9)
        assert of.mean_fat_fraction == pytest.approx(statistics.GetMean(int(muscle)), abs=1e-12)
        assert of.mean_fat_fraction == pytest.approx(regions[muscle].intensity_mean, abs=1e-12)
        fat_voxels = fat.GetCount(int(muscle)) if fat.HasLabel(int(muscle)) else 0
        assert round(of.fat_ml / geometry.voxel_ml) == fat_voxels
        row = next(r for r in rows if r.target.labels == (muscle,))
        assert row.volume_ml == pytest.approx(of.volume_ml, rel=1e-12)
    per_slice = measure_regions(profile, geometry, slice_regions(geometry.shape[0]), TARGETS[:8])
    for row in per_slice[:: max(1, len(per_slice) // 60)]:
        (muscle,) = row.target.labels
        z = int(row.region.upper + 0.5)
        plane = next((r for r in regionprops(masks.muscle[z]) if r.label == muscle), None)
        if plane is None:
            assert row.csa_cm2 is None
            continue
        area = plane.area * geometry.spacing_mm[1] * geometry.spacing_mm[2] / 100
        assert row.csa_cm2 == pytest.approx(area, rel=1e-9)
    return found


def test_random_masks() -> None:
    rng = np.random.default_rng(11)
    muscle = rng.integers(0, 9, (6, 20, 24), dtype=np.uint8)
    assert check(drawn(muscle, rng.random(muscle.shape))) == 8


@pytest.mark.real_data
@pytest.mark.parametrize("name", MAPS)
def test_real_label_maps(name: str) -> None:
    path = shared_data_folder() / "label_maps" / f"{name}.nii.gz"
    if not path.is_file():
        pytest.skip(f"shared data without {path.name}")
    from napari_backfat.io.labels import MUSCLEMAP_IDS

    file = nib.load(path)
    grid = FileGrid.from_affine(file.shape, file.affine)
    stored = np.ascontiguousarray(grid.to_working(np.asarray(file.dataobj))).astype(np.int32)
    # Odd is right in these files; which number is which does not matter to a count.
    muscle = np.where((stored >= 1) & (stored <= 8), stored, 0).astype(np.uint8)
    for number, label in MUSCLEMAP_IDS.items():
        muscle[stored == number] = label
    box = tuple(slice(n.min(), n.max() + 1) for n in np.nonzero(muscle))
    muscle = np.ascontiguousarray(muscle[box])
    values = np.random.default_rng(2).random(muscle.shape)
    masks = Masks(
        Geometry(muscle.shape, grid.geometry.affine),
        FatMap.from_values(values, FatMapKind.FAT_FRACTION, "test"),
    )
    masks.replace(muscle)
    assert check(masks) == 8


@pytest.mark.real_data
def test_real_dixon_case() -> None:
    case = real_dixon_case()
    if case.absent:
        pytest.skip(f"shared data without {', '.join(case.absent)}")
    from napari_backfat.io.scan import open_scan
    from napari_backfat.model.volume import Contrast
    from napari_backfat.separate.dixon import fat_fraction

    scan = open_scan([case.water, case.fat], [Contrast.WATER, Contrast.FAT], accept_mismatch=True)
    expert = scan.reference.file_grid.to_working(np.asarray(nib.load(case.labels).dataobj))
    muscle = np.array([0, 4, 2, 1, 3], np.uint8)[expert.astype(int)]
    fat_map = fat_fraction(*scan.images)
    muscle[fat_map.codes > SCALE] = 0  # statistics of other programs know no undefined voxel
    masks = Masks(scan.geometry, fat_map)
    masks.replace(muscle)
    assert check(masks) == 4
    water, fat = (np.clip(v.voxels.astype(np.float64), 0, None) for v in scan.images)
    total = quantify(masks.ledger, masks.geometry, masks.fat_map.kind, 0.5).total
    inside = muscle > 0
    direct = float((fat[inside] / (water[inside] + fat[inside])).mean())
    assert total.mean_fat_fraction == pytest.approx(direct, abs=1e-5)

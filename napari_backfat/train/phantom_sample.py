"""Writes the bundled sample: one Dixon case of a phantom person with its truth beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.volume import Contrast
from napari_backfat.train.phantom_anatomy import Anatomy, make_anatomy
from napari_backfat.train.phantom_params import PhantomParams
from napari_backfat.train.phantom_signal import Acquisition, make_images

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE_SEED = 7
SAMPLE_PATIENT: dict[str, Any] = {
    "age_years": 54,
    "sex": "female",
    "met_min_per_week": 420,
    "diabetes": False,
    "dyslipidaemia": True,
    "osteoporosis": False,
    "osteoarthritis": False,
}
"""A fictional person; the field names are those of `napari_backfat.model.patient.Patient`."""

_SHAPE_FILE = (304, 198, 42)  # columns to the left, rows to the back, slices to the head
_SPACING_MM = (1.2, 1.2, 4.0)
_ORIGIN_MM = (179.03, 102.47, -100.25)  # RAS position of the first stored voxel in the scanner
_SPINE_MM = (-3.6, -31.5, -17.4)  # where the scanner sees the canal at L3


@dataclass(frozen=True, eq=False)
class Sample:
    """The sample in memory. Arrays have the file's axes (L, P, S).

    Attributes
    ----------
    anatomy : Anatomy
        The person, with axes (Z, Y, X), in millimetres around the spinal canal at L3.
    affine : ndarray, shape (4, 4)
        File voxel to scanner RAS millimetres.
    water, fat : ndarray, int16
        Magnitude images.
    muscles : ndarray, uint8
        True muscle map.
    fat_percent : ndarray, uint8
        True fat fraction in half percent (0..200).
    """

    anatomy: Anatomy
    affine: NDArray[np.float64]
    water: NDArray[np.int16]
    fat: NDArray[np.int16]
    muscles: NDArray[np.uint8]
    fat_percent: NDArray[np.uint8]


def sample_params(seed: int) -> PhantomParams:
    """Return the sample's person: a woman of 54 with moderate, uneven infiltration."""
    return PhantomParams(
        seed=seed,
        body_scale=0.95,
        level_height_mm=33.6,
        muscle_bulk=0.94,
        psoas_bulk=0.97,
        hip_width=0.55,
        subcutaneous_mm=17.0,
        belly_mm=4.0,
        visceral_fat=0.3,
        mf_fat=0.26,
        es_fat=0.18,
        psoas_fat=0.06,
        ql_fat=0.09,
        caudal_gain=1.0,
        fat_asymmetry=0.22,
        size_asymmetry=-0.03,
        streakiness=0.75,
        marrow_fat=0.45,
        scoliosis_mm=4.0,
        spine_rotation_deg=1.5,
        roll_deg=-1.5,
        lordosis_deg=42.0,
        ripple_mm=2.0,
    )


def make_sample(seed: int = SAMPLE_SEED) -> Sample:
    """Make the sample case in memory (about ten seconds).

    Parameters
    ----------
    seed : int
        Of the person's irregularities and the noise. Equal seeds give equal samples; rounding of
        the mathematical library may change single voxels by one unit between machines.

    Returns
    -------
    Sample
        On a grid of 304 x 198 x 42 voxels of 1.2 x 1.2 x 4 mm from L1 to L5.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-_SPACING_MM[0], -_SPACING_MM[1], _SPACING_MM[2]])
    affine[:3, 3] = _ORIGIN_MM
    around_spine = affine.copy()
    around_spine[:3, 3] -= _SPINE_MM
    grid = FileGrid.from_affine(_SHAPE_FILE, around_spine)
    anatomy = make_anatomy(sample_params(seed), grid.geometry, (2, 2))
    images = make_images(
        anatomy,
        (Contrast.WATER, Contrast.FAT),
        np.random.default_rng([seed, 1]),
        Acquisition(snr=70.0, blur_voxels=0.5, shading=0.8, scale=180.0),
    )

    def stored(image: NDArray[np.float32]) -> NDArray[np.int16]:
        return np.ascontiguousarray(grid.to_file(np.rint(image).astype(np.int16)))

    return Sample(
        anatomy,
        affine,
        stored(images[Contrast.WATER]),
        stored(images[Contrast.FAT]),
        np.ascontiguousarray(grid.to_file(anatomy.muscles)),
        np.ascontiguousarray(grid.to_file(np.rint(anatomy.fat_fraction * 200).astype(np.uint8))),
    )


def write_sample(folder: Path, seed: int = SAMPLE_SEED) -> Sample:
    """Write the sample case.

    Parameters
    ----------
    folder : Path
        Made if absent; files of the same names are replaced.
    seed : int
        See `make_sample`.

    Returns
    -------
    Sample
        What was written: sample_water.nii.gz, sample_fat.nii.gz, true_muscles.nii.gz (with a
        JSON sidecar naming the labels), true_fat_fraction.nii.gz (0..1 through the scale factor
        of its header), patient.json and levels.json (which slices are L1 to L5).
    """
    import nibabel as nib

    folder.mkdir(parents=True, exist_ok=True)
    sample = make_sample(seed)
    for name, array, scale in (
        ("sample_water", sample.water, None),
        ("sample_fat", sample.fat, None),
        ("true_muscles", sample.muscles, None),
        ("true_fat_fraction", sample.fat_percent, 0.005),
    ):
        image = nib.Nifti1Image(array, sample.affine)
        image.header.set_xyzt_units("mm")
        image.set_sform(sample.affine, code="scanner")
        image.set_qform(sample.affine, code="scanner")
        if scale is not None:
            image.header.set_slope_inter(scale, 0)
        image.header["descrip"] = b"napari-backfat phantom, synthetic"
        nib.save(image, folder / f"{name}.nii.gz")
    labels = {str(int(m)): m.display_name for m in MUSCLES}
    _write_json(folder / "true_muscles.json", {"labels": labels})
    _write_json(folder / "patient.json", SAMPLE_PATIENT)
    _write_json(folder / "levels.json", lumbar_range(sample.anatomy).to_dict())
    return sample


def lumbar_range(anatomy: Anatomy) -> SpineRange:
    """Return which slices of a phantom lie between the upper edge of L1 and the lower edge of L5.

    Levels are counted in vertebral heights with L1's middle at 1.
    """
    inside = np.flatnonzero((anatomy.levels >= 0.5) & (anatomy.levels <= 5.5))
    return SpineRange("L1", "L5", int(inside[0]), int(inside[-1]))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

"""Where the bundled sample case lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_backfat.model.errors import BackfatError


@dataclass(frozen=True)
class SamplePaths:
    """Files of the bundled synthetic Dixon case.

    Attributes
    ----------
    water, fat : Path
        The images.
    patient : Path
        The fictional person.
    levels : Path
        Which slices hold L1 to L5.
    true_muscles : Path
        The muscle map the images were made from.
    true_fat_fraction : Path
        The fat fraction 0..1 the images were made from.
    """

    water: Path
    fat: Path
    patient: Path
    levels: Path
    true_muscles: Path
    true_fat_fraction: Path


def sample_paths() -> SamplePaths:
    """Find the sample, in a checkout and in an installed package alike.

    Returns
    -------
    SamplePaths
        Existing files.

    Raises
    ------
    BackfatError
        If files are missing, for example in a checkout whose symbolic links became text files.
    """
    package = Path(__file__).resolve().parent.parent
    # The folder inside the package is a link to the one at the top of a checkout; where links
    # cannot be (some Windows checkouts) the top one is used itself.
    folders = (package / "sample_data", package.parent / "sample_data")
    names = (
        "sample_water.nii.gz",
        "sample_fat.nii.gz",
        "patient.json",
        "levels.json",
        "true_muscles.nii.gz",
        "true_fat_fraction.nii.gz",
    )
    for folder in folders:
        paths = [folder / name for name in names]
        if all(path.is_file() for path in paths):
            return SamplePaths(*paths)
    raise BackfatError(
        f"The sample case is missing from {folders[0]}. Reinstall napari-backfat, or make it with "
        "'python -m napari_backfat.train.phantom --out sample_data'."
    )

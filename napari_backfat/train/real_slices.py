"""The real, expert-labelled case as training patches beside the synthetic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.export.collect import CollectedCase
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.train.corrected import slabs_of, split_cases
from napari_backfat.train.sources import read_working, scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.segment.network import NetworkSpec
    from napari_backfat.train.corrected import Split

# Label numbers of the published file (docs/real-case.md), sides from its affine.
EXPERT = {
    Muscle.ERECTOR_SPINAE_RIGHT: 1,
    Muscle.MULTIFIDUS_RIGHT: 2,
    Muscle.MULTIFIDUS_LEFT: 3,
    Muscle.ERECTOR_SPINAE_LEFT: 4,
}


def expert_muscles(labels: NDArray[np.number]) -> NDArray[np.uint8]:
    """Turn the published label numbers into `Muscle` ids; same shape, the rest is background."""
    muscles: NDArray[np.uint8] = np.zeros(labels.shape, dtype=np.uint8)
    for muscle, value in EXPERT.items():
        muscles[labels == value] = muscle
    return muscles


def real_case(root: Path, name: str) -> CollectedCase:
    """Read a Dixon pair and its expert labels.

    Parameters
    ----------
    root : Path
        Data folder (see `config.data_root`).
    name : str
        File stem in its folder real_dixon, for example "TUM01".

    Returns
    -------
    CollectedCase
        Psoas and quadratus lumborum are unlabelled: nothing is known of them.

    Raises
    ------
    BackfatError
        If a file is missing.
    """
    folder = root / "real_dixon"
    paths = {part: folder / f"{name}_{part}.nii.gz" for part in ("water", "fat", "dseg")}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise BackfatError(f"{folder} lacks {', '.join(missing)}.")
    # The pair's affines disagree in the origin; it is one scan, on the grid of fat and labels.
    water, _ = read_working(paths["water"])
    fat, grid = read_working(paths["fat"])
    labels, _ = read_working(paths["dseg"])
    scan = scan_of({Contrast.WATER: water, Contrast.FAT: fat}, grid, name)
    return CollectedCase(
        folder=folder,
        id=name,
        scan=scan,
        muscles=expert_muscles(labels),
        ai_muscles=None,
        labelled=frozenset(EXPERT),
        changed_voxels=None,
        weights_sha256=None,
    )


def real_split(root: Path, name: str, spec: NetworkSpec) -> Split:
    """Divide a case into blocks of slices: most are learned from, two blocks are only measured.

    Slices beside a measured block are left out of both, because they look nearly the same.

    Raises
    ------
    BackfatError
        If the case holds too few labelled slices.
    """
    slabs = slabs_of(real_case(root, name), spec)
    if slabs is None:
        raise BackfatError(f"The labels of {name} hold none of the muscles.")
    return split_cases([slabs], 0)

"""Scans with known truth, good and bad, for measuring how the whole pipeline copes.

Nothing here is used for training: phantom persons have their own seeds, label-map persons come
from the held-out maps of the training's configuration, and what is done to the images afterwards
is harsher than training's augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.train.damage import DAMAGES
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import draw_params
from napari_backfat.train.phantom_signal import draw_acquisition, make_images
from napari_backfat.train.sources import scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan
    from napari_backfat.train.damage import Images


CONTRASTS: tuple[tuple[Contrast, ...], ...] = (
    (Contrast.WATER, Contrast.FAT),
    (Contrast.WATER,),
    (Contrast.FAT,),
    (Contrast.IN_PHASE,),
    (Contrast.OPPOSED_PHASE,),
    (Contrast.T1W,),
    (Contrast.T2W,),
)
_KINDS = ("dixon", "water", "fat", "in", "opposed", "t1w", "t2w")  # of train.sequences
_SLICES = 8
_PIXEL_MM = 1.4


@dataclass(frozen=True, eq=False)
class Trial:
    """A scan, what is true of it, and how it was made.

    Attributes
    ----------
    person : str
        "phantom 20003" or "map 3": equal for all trials of one anatomy.
    seed : int
        Of the person; halves of a study are split by it.
    contrast, damage : str
        What the images show and what was done to them.
    scan : Scan
        What a program sees.
    truth : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids on the scan's working grid.
    """

    person: str
    seed: int
    contrast: str
    damage: str
    scan: Scan
    truth: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """One line for tables."""
        return f"{self.person}, {self.contrast}, {self.damage}"


def phantom_trial(seed: int, damage: str) -> Trial:
    """Image a phantom person and damage the images.

    Parameters
    ----------
    seed : int
        Of everything: person, slices, contrast, scanner, damage.
    damage : str
        Key of `damage.DAMAGES`.

    Returns
    -------
    Trial
        Eight slices, 3.5 to 9 mm apart, somewhere between T12 and S1.
    """
    rng = np.random.default_rng([seed, 31])
    depth_mm = float(rng.uniform(3.5, 9))
    params = draw_params(rng)
    middle = float(rng.uniform(-1.6, 1.2)) * params.level_height_mm
    grid = _grid((_SLICES, 200, 280), (depth_mm, _PIXEL_MM, _PIXEL_MM), middle)
    person = make_anatomy(params, grid.geometry, (2, 1))
    contrasts = CONTRASTS[int(rng.integers(len(CONTRASTS)))]
    images = make_images(person, contrasts, rng, draw_acquisition(rng))
    truth = person.muscles
    harm = np.random.default_rng([seed, 32, sorted(DAMAGES).index(damage)])
    images, truth = DAMAGES[damage](harm, images, truth)
    name = "+".join(c.value for c in contrasts)
    scan = scan_of(images, grid, f"phantom {seed}")
    return Trial(f"phantom {seed}", seed, name, damage, scan, truth)


def map_trial(root: Path, maps: tuple[str, ...], seed: int, damage: str) -> Trial:
    """Deform a person of the held-out label maps and paint images around the muscles.

    Parameters
    ----------
    root : Path
        Data folder, see `config.data_root`.
    maps : tuple of str
        Held-out maps, `TrainConfig.maps_held_out`.
    seed : int
        Of deformation, surroundings, fat, sequence and damage.
    damage : str
        Key of `damage.DAMAGES`.

    Returns
    -------
    Trial
        Six neighbouring slices of one map with one deformation; the organs around them fit from
        slice to slice only roughly.
    """
    import torch

    from napari_backfat.train.context import build_slice
    from napari_backfat.train.contrast import render
    from napari_backfat.train.fatness import fat_fraction
    from napari_backfat.train.placement import place_muscles
    from napari_backfat.train.sources import SliceStack, load_muscle_map

    rng = np.random.default_rng([seed, 41])
    stack = load_muscle_map(root, maps[int(rng.integers(len(maps)))])
    first = int(rng.integers(max(1, len(stack.labels) - 6)))
    kind = int(rng.integers(len(_KINDS)))
    planes, truth = [], []
    for labels in stack.labels[first : first + 6]:
        one = SliceStack(stack.name, labels[None], stack.spacing_mm)
        own = np.random.default_rng([seed, 42])  # the same for each slice: one deformation
        classes = build_slice(own, place_muscles(own, one))
        fraction = fat_fraction(np.random.default_rng([seed, 43]), classes)
        image = render(
            np.random.default_rng([seed, 44]),
            torch.from_numpy(classes[None].astype(np.int64)),
            torch.from_numpy(fraction[None].astype(np.float32) / 250),
            1.0,
            _KINDS[kind],
        )[0].numpy()
        planes.append(image)
        truth.append(np.where((classes >= 1) & (classes <= 8), classes, 0).astype(np.uint8))
    stacked, contrasts = np.stack(planes), CONTRASTS[kind]
    images: Images = {c: stacked[:, i] * 1000 for i, c in enumerate(contrasts)}
    harm = np.random.default_rng([seed, 45, sorted(DAMAGES).index(damage)])
    images, muscles = DAMAGES[damage](harm, images, np.stack(truth))
    grid = _grid(muscles.shape, (stack.spacing_mm[0], 1.0, 1.0), 0.0)
    name = "+".join(c.value for c in contrasts)
    return Trial(f"map {seed}", seed, name, damage, scan_of(images, grid, f"map {seed}"), muscles)


def _grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], top_mm: float
) -> FileGrid:
    """Axial slices to the left, to the back and to the feet, centred on the spine."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[1, 1], affine[2, 2], affine[3, 3] = *(-s for s in spacing[::-1]), 1.0
    half = [n * s / 2 for n, s in zip(shape, spacing, strict=True)]
    affine[:3, 3] = (half[2], half[1] * 1.2, top_mm + half[0])
    return FileGrid.from_affine((shape[2], shape[1], shape[0]), affine)

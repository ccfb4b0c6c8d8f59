"""Batches of real corrected slices: turned, bent, mirrored, shaded, noisy, and short of a channel.

A batch depends on the step number alone, so that a fine-tuning can resume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandBiasFieldd,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    RandRicianNoised,
)
from monai.transforms.spatial.dictionary import Rand2DElasticd, RandSimulateLowResolutiond

from napari_backfat.segment.preprocess import normalise_batch
from napari_backfat.train.fatness import fat_fraction
from napari_backfat.train.tissues import IGNORE, MIRROR

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_backfat.segment.network import NetworkSpec
    from napari_backfat.train.corrected import Share

VIEWS = ("as given", "water", "fat", "mixed")
_VIEW_CHANCES = (0.5, 0.17, 0.13, 0.2)
_FATTER = 0.5  # chance that the muscles are given more fat where bodies are varied
_DEEP = 0.5  # chance that it lies as `deep_fat` draws it


class CorrectedBatches:
    """Random patches of the slabs that are learned from.

    Parameters
    ----------
    shares : tuple of Share
        Every case is drawn equally often, whatever its number of slices.
    spec : NetworkSpec
        Patch size and pixel size.
    batch : int
        Patches a step.
    seed : int
        Of the whole fine-tuning.
    vary_body : bool
        Make other bodies of these few: larger or slimmer, bent, with fat in the muscles. A person
        seen thousands of times is otherwise learned by heart.
    """

    def __init__(
        self,
        shares: tuple[Share, ...],
        spec: NetworkSpec,
        batch: int,
        seed: int,
        *,
        vary_body: bool = False,
    ) -> None:
        self._shares, self._batch, self._seed = shares, batch, seed
        self._vary = vary_body
        pixel = spec.spacing_mm
        # Offsets, zoom and turning as in the training of the bundled weights; the deformation is
        # small, because the border between two muscles is what the corrections teach.
        # A single number stretches rows only: kept where the first training, and what was measured
        # of fine-tuning, rest on it.
        self._bend = Rand2DElasticd(
            keys=("image", "label"),
            spacing=(45 / pixel, 45 / pixel) if vary_body else (30 / pixel, 30 / pixel),
            magnitude_range=(0.0, (6.0 if vary_body else 1.5) / pixel),
            prob=1.0,
            rotate_range=0.1,
            translate_range=(12 / pixel, 16 / pixel),
            scale_range=(0.2, 0.2) if vary_body else 0.15,
            spatial_size=spec.window,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        )
        self._look = Compose(
            [
                RandBiasFieldd(("image",), degree=2, coeff_range=(-0.5, 0.5), prob=0.5),
                RandGaussianSmoothd(("image",), sigma_x=(0.2, 1.0), sigma_y=(0.2, 1.0), prob=0.2),
                RandSimulateLowResolutiond(
                    ("image",), prob=0.2, zoom_range=(0.5, 1.0), upsample_mode="bilinear"
                ),
                RandRicianNoised(("image",), prob=0.4, mean=0.0, std=0.06, relative=False),
            ]
        )
        self._gamma = RandAdjustContrastd(("image",), prob=0.4, gamma=(0.7, 1.4))
        self._tones = RandHistogramShiftd(("image",), prob=0.3, num_control_points=(4, 8))

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the batch of a step.

        Returns
        -------
        tuple of Tensor
            Normalised images (B, 2, Y, X) float32, labels (B, Y, X) int64 with IGNORE outside the
            scan, and which labels each case knows (B, 9) bool.
        """
        rng = np.random.default_rng([self._seed, 17, step])
        used = (self._bend, self._look, self._gamma)
        for transform in (*used, self._tones) if self._vary else used:
            transform.set_random_state(int(rng.integers(2**31)))
        drawn = [self._draw(rng) for _ in range(self._batch)]
        images = normalise_batch(torch.stack([d[0] for d in drawn]))
        labels = torch.from_numpy(np.stack([d[1] for d in drawn]).astype(np.int64))
        known = torch.from_numpy(np.stack([d[2] for d in drawn]))
        return images, labels, known

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, np.ndarray, np.ndarray]:
        share = self._shares[int(rng.integers(len(self._shares)))]
        case, index = share.case, share.index[int(rng.integers(len(share.index)))]
        code = case.labels[index].astype(np.float32) + 1  # zero is left for "outside the scan"
        code[case.labels[index] == IGNORE] = 0
        image = case.images[index].astype(np.float32)
        if self._vary and case.is_dixon and rng.random() < _FATTER:
            image = fatten(rng, image, case.labels[index])
        image = view_of(rng, image, case.is_dixon)
        moved = self._bend({"image": image, "label": code[None]})
        labels = np.asarray(moved["label"])[0].round().astype(np.int64) - 1
        outside = torch.from_numpy(labels < 0)
        labels = np.where(labels < 0, IGNORE, labels).astype(np.uint8)
        picture = torch.as_tensor(np.asarray(moved["image"]), dtype=torch.float32)
        used = picture.abs().amax(dim=(1, 2)) > 0  # an empty channel stays empty
        looked = self._look({"image": picture})["image"]
        looked = self._gamma({"image": looked.clamp_min(0)})["image"]
        if self._vary and not bool(used[1]):
            looked = self._tones({"image": looked})["image"]
        looked = torch.as_tensor(np.asarray(looked), dtype=torch.float32)
        looked = looked * used[:, None, None] * ~outside
        known = case.labelled_row
        if rng.random() < 0.5:
            looked, labels, known = looked.flip(-1), MIRROR[labels[:, ::-1]], known[MIRROR[:9]]
        return looked, labels, known


def fatten(
    rng: np.random.Generator, image: np.ndarray, labels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Replace a part of the labelled muscles by fat, as in an older or sicker person.

    Parameters
    ----------
    rng : Generator
        Draws how much, and where.
    image : ndarray, shape (2, Y, X), float32
        Water and fat.
    labels : ndarray, shape (Y, X), uint8
        `Muscle` ids, or IGNORE.

    Returns
    -------
    ndarray, shape (2, Y, X), float32
        The share that `fat_fraction` draws for a muscle is filled with the signals of the
        slice's own fat (its medians where the fat image is brightest).
    """
    muscle = (labels > 0) & (labels != IGNORE)
    outside = image[1][~muscle & (labels != IGNORE)]
    if not muscle.any() or outside.size == 0:
        return image
    bright = ~muscle & (image[1] > 0.6 * np.percentile(outside, 99))
    if not bright.any():
        return image
    deep = bool(rng.random() < _DEEP)
    share = fat_fraction(rng, np.where(muscle, labels, 0).astype(np.uint8), deep) / np.float32(250)
    share = share * muscle
    pure = np.median(image[:, bright], axis=1)[:, None, None]
    mixed: NDArray[np.float32] = (image * (1 - share) + pure * share).astype(np.float32)
    return mixed


def view_of(
    rng: np.random.Generator,
    image: np.ndarray,
    is_dixon: bool,
    view: str | None = None,
) -> np.ndarray:
    """Show a slice in one of the ways in which a scan may come.

    Parameters
    ----------
    rng : Generator
        Draws the view and the weights of a mixture.
    image : ndarray, shape (2, Y, X), float32
        Water and fat, or the only image and zeros.
    is_dixon : bool
        Whether both are there; a single image stays as it is.
    view : str, optional
        One of VIEWS; drawn when None.

    Returns
    -------
    ndarray, shape (2, Y, X), float32
        "mixed" is the magnitude of a water + b fat: in-phase (a = b), opposed-phase (a = -b), and
        other weightings between them.
    """
    if not is_dixon:
        return image
    if view is None:
        view = str(rng.choice(VIEWS, p=_VIEW_CHANCES))
    if view == "as given":
        return image
    only = image[0] if view == "water" else image[1]
    if view == "mixed":
        sign = -1 if rng.random() < 0.3 else 1
        only = np.abs(image[0] + sign * rng.uniform(0.3, 1.5) * image[1])
    return np.stack([only, np.zeros_like(only)]).astype(np.float32)

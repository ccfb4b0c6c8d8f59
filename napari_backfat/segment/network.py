"""The network's architecture, in one place for training and inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, Muscle

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

N_LABELS = 9
IGNORE = 255  # in label maps to learn from: nothing is known here
MIRROR: NDArray[np.uint8] = np.arange(256, dtype=np.uint8)
"""Label of the other side, for every label; values that are no muscle stay."""
MIRROR[:N_MUSCLE_CODES] = [int(Muscle(m).mirrored) for m in range(N_MUSCLE_CODES)]
MIRROR.setflags(write=False)
N_CHANNELS = 2
FOLD = 2  # pixels per side folded into channels: full-resolution layers cost most on a CPU


@dataclass(frozen=True)
class NetworkSpec:
    """What must be known to build a network and feed it.

    Attributes
    ----------
    spacing_mm : float
        In-plane pixel size of the input.
    window : tuple of int
        (Y, X) pixels it was trained on.
    features : tuple of int
        Channels of MONAI's BasicUNet.
    """

    spacing_mm: float
    window: tuple[int, int]
    features: tuple[int, ...]

    def extent_mm(self, wanted_mm: tuple[float, float]) -> tuple[float, float]:
        """Size (Y, X) of a window: what is wanted, and never less than training has seen.

        A smaller one would be filled by what it shows, and be normalised to other values.
        """
        least = [n * self.spacing_mm for n in self.window]
        return max(least[0], wanted_mm[0]), max(least[1], wanted_mm[1])


def build_network(spec: NetworkSpec) -> nn.Module:
    """Build the 2D U-Net (MONAI BasicUNet between pixel unshuffle and shuffle).

    Parameters
    ----------
    spec : NetworkSpec
        Architecture.

    Returns
    -------
    nn.Module
        Maps float images (B, 2, Y, X), Y and X multiples of 32, to logits (B, 9, Y, X).
    """
    from monai.networks.nets.basic_unet import BasicUNet
    from torch import nn

    unet = BasicUNet(
        spatial_dims=2,
        in_channels=N_CHANNELS * FOLD**2,
        out_channels=N_LABELS * FOLD**2,
        features=spec.features,
        norm=("instance", {"affine": True}),
        upsample="nontrainable",
    )
    return nn.Sequential(nn.PixelUnshuffle(FOLD), unet, nn.PixelShuffle(FOLD))

"""Signal of each tissue class under randomly drawn MR sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.tissues import FAT_CLASSES, MUSCLE_CLASSES, N_CLASSES, PROPERTIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("water", "fat", "in", "opposed", "t1w", "t2w", "t2w_fatsat", "random")
_KIND_CHANCES = (0.17, 0.15, 0.10, 0.08, 0.14, 0.14, 0.06, 0.16)


@dataclass(frozen=True, eq=False)
class ChannelSignal:
    """How one image channel turns tissue into intensity: |lean (1 - f) + fat f|.

    Attributes
    ----------
    lean : ndarray, shape (N_CLASSES,), float32
        Signal of the water part of each class.
    fat : ndarray, shape (N_CLASSES,), float32
        Signal of the fat part; negative where it opposes the water.
    """

    lean: NDArray[np.float32]
    fat: NDArray[np.float32]


def draw_channels(rng: np.random.Generator, kind: str | None = None) -> list[ChannelSignal]:
    """Draw one or two channels of one scan.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    kind : str, optional
        One of KINDS, or "dixon" for water and fat together; drawn when None.

    Returns
    -------
    list of ChannelSignal
        One channel, or water then fat of the same acquisition.
    """
    tissue = _tissue(rng)
    if kind is None:
        kind = "dixon" if rng.random() < 0.42 else str(rng.choice(KINDS, p=_KIND_CHANCES))
    if kind == "dixon":
        weighting = _gradient_echo(rng)
        channels = [_image(rng, tissue, "water", weighting), _image(rng, tissue, "fat", weighting)]
        return channels[::-1] if rng.random() < 0.02 else channels  # a water/fat swap
    return [_image(rng, tissue, kind, _gradient_echo(rng))]


def _tissue(rng: np.random.Generator) -> NDArray[np.float32]:
    """Class properties of one patient: jittered, all muscles alike within a few per cent."""
    tissue = PROPERTIES.copy()
    tissue[:, 0] *= np.exp(rng.normal(0, 0.15, N_CLASSES))
    tissue[:, 1] *= np.exp(rng.normal(0, 0.30, N_CLASSES))
    tissue[:, 2] *= np.exp(rng.normal(0, 0.30, N_CLASSES))
    for muscle in MUSCLE_CLASSES:
        tissue[muscle, :3] = tissue[1, :3] * np.exp(rng.normal(0, 0.025, 3))
    return tissue


def _gradient_echo(rng: np.random.Generator) -> tuple[float, float]:
    """Repetition and echo time in ms of a spoiled gradient echo, as an effective saturation."""
    return float(np.exp(rng.uniform(np.log(150), np.log(4000)))), float(rng.uniform(0.5, 6))


def _spin(tissue: NDArray[np.float32], tr: float, te: float) -> NDArray[np.float32]:
    """PD (1 - exp(-TR/T1)) exp(-TE/T2), the spin-echo signal."""
    signal: NDArray[np.float32] = (
        tissue[:, 0] * (1 - np.exp(-tr / tissue[:, 1])) * np.exp(-te / tissue[:, 2])
    )
    return signal


def _image(
    rng: np.random.Generator,
    tissue: NDArray[np.float32],
    kind: str,
    weighting: tuple[float, float],
) -> ChannelSignal:
    tr, te = weighting
    ones = np.ones(N_CLASSES, dtype=np.float32)
    lean = _spin(tissue, tr, te)
    fat = ones * np.float32(1 - np.exp(-tr / 330)) * np.float32(rng.uniform(0.8, 1.1))
    if kind == "water":
        return ChannelSignal(lean, fat * np.float32(rng.uniform(0, 0.12)))
    if kind == "fat":
        return ChannelSignal(lean * np.float32(rng.uniform(0, 0.10)), fat)
    if kind == "in":
        return ChannelSignal(lean, fat)
    if kind == "opposed":
        return ChannelSignal(lean, -fat)
    if kind == "t1w":
        tr, te = rng.uniform(250, 900), rng.uniform(6, 20)
        return ChannelSignal(_spin(tissue, tr, te), fat * 0 + np.float32(rng.uniform(0.35, 0.8)))
    if kind.startswith("t2w"):
        tr, te = rng.uniform(2000, 6500), rng.uniform(50, 130)
        bright = rng.uniform(0.0, 0.06) if kind == "t2w_fatsat" else rng.uniform(0.25, 0.7)
        return ChannelSignal(_spin(tissue, tr, te), fat * 0 + np.float32(bright))
    value = rng.random(N_CLASSES).astype(np.float32)
    for muscle in MUSCLE_CLASSES:
        value[muscle] = value[1] * np.exp(rng.normal(0, 0.06))
    value[0] = 0 if rng.random() < 0.7 else rng.random() * 0.3
    fat_value = np.float32(rng.random())
    if abs(fat_value - value[1]) < 0.15:  # no image shows nothing of the muscles' outline
        fat_value = np.float32((value[1] + rng.uniform(0.25, 0.75)) % 1.0)
    fats = np.full(N_CLASSES, fat_value, dtype=np.float32)
    for fat_class in FAT_CLASSES:
        fats[fat_class] *= np.exp(rng.normal(0, 0.08))
    return ChannelSignal(value, fats)

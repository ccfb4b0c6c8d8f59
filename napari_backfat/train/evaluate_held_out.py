"""Measure weights on a label map that training never saw, with synthetic images around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.train.canvas import SHAPE
from napari_backfat.train.contrast import render
from napari_backfat.train.evaluate import run
from napari_backfat.train.pool import make_chunk
from napari_backfat.train.scores import score
from napari_backfat.train.sources import scan_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.segment.torch_backend import TorchBackend
    from napari_backfat.train.config import TrainConfig

_INPUTS = {
    "dixon": (Contrast.WATER, Contrast.FAT),
    "water": (Contrast.WATER,),
    "fat": (Contrast.FAT,),
    "in": (Contrast.IN_PHASE,),
    "opposed": (Contrast.OPPOSED_PHASE,),
    "t1w": (Contrast.T1W,),
    "t2w": (Contrast.T2W,),
}
_LEAST_PIXELS = 40  # of a muscle in a slice: below, Dice measures the label's own noise


def evaluate_held_out(
    backend: TorchBackend, config: TrainConfig, root: Path, chunks: int = 2, device: str = "cpu"
) -> dict[str, Any]:
    """Score single slices made from the held-out label maps.

    Each slice is a scan of its own, 1 mm in plane, through the whole pipeline: the network has no
    neighbours to lean on, and every slice has its own surroundings, fat and sequence.

    Parameters
    ----------
    backend : TorchBackend
        What to measure.
    config : TrainConfig
        Names the held-out maps and the seed.
    root : Path
        Data folder (see `config.data_root`).
    chunks : int
        Number of slices, in units of 20.
    device : str
        torch device.

    Returns
    -------
    dict
        Input name -> muscle name -> score of all slices together; "absent_mm2" is the mean area
        outlined in the "absent_slices" that do not hold the muscle.
    """
    made = [
        make_chunk(root, config.maps_held_out, config.seed, "held_out", c) for c in range(chunks)
    ]
    classes = np.concatenate([m[0] for m in made])
    fraction = np.concatenate([m[1] for m in made]).astype(np.float32) / 250
    labels = np.where((classes >= 1) & (classes <= 8), classes, 0)
    results: dict[str, Any] = {}
    for kind, contrasts in _INPUTS.items():
        guess = np.stack(
            [
                _segment(backend, kind, contrasts, classes[i], fraction[i], i, device)
                for i in range(len(classes))
            ]
        )
        name = "+".join(c.value for c in contrasts)
        results[name] = {}
        for muscle in MUSCLES:
            pixels = (labels == muscle).sum(axis=(1, 2))
            shown, absent = pixels >= _LEAST_PIXELS, pixels == 0
            found = score(
                guess[shown] == muscle, labels[shown] == muscle, (5.0, 1.0, 1.0), fraction[shown]
            ).as_dict()
            wrongly = (guess[absent] == muscle).sum() / max(1, absent.sum())  # pixels of 1 mm
            found |= {"absent_slices": int(absent.sum()), "absent_mm2": round(float(wrongly), 1)}
            results[name][muscle.display_name] = found
    return results


def _segment(
    backend: TorchBackend,
    kind: str,
    contrasts: tuple[Contrast, ...],
    classes: NDArray[np.uint8],
    fraction: NDArray[np.float32],
    seed: int,
    device: str,
) -> NDArray[np.uint8]:
    rng = np.random.default_rng([seed, 9])
    images = render(
        rng,
        torch.from_numpy(classes[None].astype(np.int64)),
        torch.from_numpy(fraction[None]),
        1.0,
        kind,
    )[0].numpy()
    scan = scan_of({c: images[i][None] for i, c in enumerate(contrasts)}, _grid(), kind)
    return np.asarray(run(backend, scan, device).muscle[0], dtype=np.uint8)


def _grid() -> FileGrid:
    """One slice of 5 mm whose columns run to the patient's left and rows to the back."""
    height, width = SHAPE
    affine = np.diag([-1.0, -1.0, 5.0, 1.0])
    affine[:3, 3] = (width / 2, height / 2, 0.0)
    return FileGrid.from_affine((width, height, 1), affine)

"""A small real backend, and cases on disk for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.backend import QualityFlag, Segmentation

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_backfat.model.volume import Scan
    from tests.phantom import MadeCase


class LeanBox:
    """Finds the box around the lean voxels of each half of each slice, and calls it muscle.

    The patient's left is the half with the larger X in the working order.
    """

    name = "lean box 1"
    weights_sha256 = "5a" * 32

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        began = time.monotonic()
        image = scan.images[0]
        top = float(image.voxels.max())
        if image.contrast is Contrast.WATER:
            lean = image.voxels > 0.5 * top
        else:
            lean = (image.voxels > 0.15 * top) & (image.voxels < 0.5 * top)
        muscle = np.zeros(lean.shape, np.uint8)
        half = lean.shape[2] // 2
        for z, plane in enumerate(lean):
            yield Progress(z / len(lean), f"slice {z}")
            if self._error is not None:
                raise self._error
            for label, start, stop in (
                (Muscle.ERECTOR_SPINAE_RIGHT, 0, half),
                (Muscle.ERECTOR_SPINAE_LEFT, half, lean.shape[2]),
            ):
                rows, columns = np.nonzero(plane[:, start:stop])
                if rows.size > 20:
                    box = (
                        slice(rows.min(), rows.max() + 1),
                        slice(start + columns.min(), start + columns.max() + 1),
                    )
                    muscle[z][box] = label
        yield Progress(1.0, "done")
        flags = (
            (QualityFlag(Muscle.ERECTOR_SPINAE_LEFT, "low confidence", "Look at the left side."),)
            if muscle.any()
            else (QualityFlag(None, "no paraspinal muscles", "Nothing was found."),)
        )
        seconds = time.monotonic() - began
        doubt = np.zeros(len(lean), np.float32)
        return Segmentation(muscle, self.name, self.weights_sha256, device, flags, seconds, doubt)


def write_images(folder: Path, made: MadeCase) -> list[Path]:
    """Write the images of a made case as NIfTI files in the file order of its grid."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for volume in made.scan.images:
        grid = volume.file_grid
        path = folder / f"case_{volume.contrast.value}.nii.gz"
        array = np.ascontiguousarray(grid.to_file(volume.voxels))
        nib.Nifti1Image(array, grid.affine).to_filename(path)
        paths.append(path)
    return paths

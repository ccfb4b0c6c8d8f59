"""A sagittal scan of the same person beside the case: where its voxels lie among the slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.volume import Volume

SAME_FRAME = "its DICOM frame of reference is that of the scan"
STATED = "a person said that it lies in the same patient space"


@dataclass(frozen=True, eq=False)
class Localiser:
    """A sagittal image and its place relative to a case.

    Nothing is resampled: points of the image are converted through both affines, so a tilted
    localiser, or tilted axial slices, are exact.

    Attributes
    ----------
    image : Volume
        Axes (Z, Y, X); X counts its sagittal slices, from the patient's right to the left.
    scan : Geometry
        Grid of the case.
    placed_by : str
        `SAME_FRAME` or `STATED`: why it is taken to lie in the same patient space.
    """

    image: Volume
    scan: Geometry
    placed_by: str

    @property
    def to_scan(self) -> NDArray[np.float64]:
        """Matrix (4, 4) from (z, y, x, 1) of the localiser to (z, y, x, 1) of the case."""
        found = np.linalg.solve(self.scan.affine, self.image.geometry.affine)
        return np.asarray(found, np.float64)

    @property
    def text(self) -> str:
        """What a record says about it: file, hash, and why it is in place."""
        source = self.image.source
        name = source.path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        return f"{name} (SHA-256 {source.sha256[:16]}); {self.placed_by}"

    def slice_at(self, z: float, y: float, x: float) -> float:
        """Return the continuous slice index Z of the case at a point of the localiser."""
        return float(self.to_scan[0] @ (z, y, x, 1.0))

    def line(self, slice_index: float, x: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return where an axial slice cuts a sagittal one.

        Parameters
        ----------
        slice_index : float
            Continuous slice index Z of the case; may lie outside the scan.
        x : int
            Sagittal slice of the localiser.

        Returns
        -------
        tuple of two points (z, y)
            Continuous indices of the localiser at its front and its back edge.
        """
        along_z, along_y, along_x, origin = self.to_scan[0]
        ends = np.array([-0.5, self.image.geometry.shape[1] - 0.5])
        z = (slice_index - origin - along_x * x - along_y * ends) / along_z
        return (float(z[0]), float(ends[0])), (float(z[1]), float(ends[1]))

    @property
    def middle(self) -> int:
        """The sagittal slice nearest to the middle of the case."""
        centre = (np.array(self.scan.shape) - 1) / 2
        place = np.linalg.solve(self.to_scan, np.append(centre, 1.0))
        return int(np.clip(round(float(place[2])), 0, self.image.geometry.shape[2] - 1))

    @property
    def overlap_mm(self) -> tuple[float, float, float]:
        """How much of the localiser's box lies in the case's, along the case's axes (Z, Y, X)."""
        shape = np.array(self.image.geometry.shape)
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij"))
        there = (self.to_scan @ np.vstack([corners.reshape(3, -1), np.ones(8)]))[:3]
        top = np.minimum(there.max(axis=1), np.array(self.scan.shape) - 0.5)
        shared = np.maximum(top - np.maximum(there.min(axis=1), -0.5), 0)
        z, y, x = shared * np.array(self.scan.spacing_mm)
        return float(z), float(y), float(x)

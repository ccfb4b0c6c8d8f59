"""One image of a scan, and the set of images that make a case's scan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.geometry import FileGrid, Geometry
    from napari_backfat.model.person import Person


_EXCHANGED = "Water and fat were exchanged by hand"


class Contrast(Enum):
    """What an image shows; the values are the words of the command line and of the files."""

    WATER = "water"
    FAT = "fat"
    IN_PHASE = "in"
    OPPOSED_PHASE = "opposed"
    T1W = "t1w"
    T2W = "t2w"
    FAT_FRACTION = "ff"
    PDFF = "pdff"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Source:
    """Where an image came from.

    Attributes
    ----------
    path : str
        File as the user named it.
    sha256 : str
        Hash of the file's bytes.
    """

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3D image in the working order.

    Attributes
    ----------
    voxels : ndarray, shape (Z, Y, X), float32, read-only
        Intensities in the file's units; never NaN or infinite.
    file_grid : FileGrid
        The file's own array order and affine, for writing back.
    source : Source
        File and hash.
    contrast : Contrast
        What the image shows.
    """

    voxels: NDArray[np.float32]
    file_grid: FileGrid
    source: Source
    contrast: Contrast = Contrast.UNKNOWN

    def __post_init__(self) -> None:
        if self.voxels.shape != self.file_grid.geometry.shape:
            raise ValueError(
                f"voxels {self.voxels.shape} do not fit the grid {self.file_grid.geometry.shape}"
            )
        voxels = np.ascontiguousarray(self.voxels, dtype=np.float32)
        voxels = voxels.view()
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)

    @property
    def geometry(self) -> Geometry:
        """Working grid (Z, Y, X)."""
        return self.file_grid.geometry


@dataclass(frozen=True, eq=False)
class Scan:
    """The images of one acquisition on one grid: a Dixon pair or a single contrast.

    Attributes
    ----------
    images : tuple of Volume
        One image, or the water and the fat image. All have the shape of `reference`.
    reference : Volume
        The image whose file grid every mask is written on.
    notes : tuple of str
        What a reader of the results must know, for example an accepted affine mismatch.
    inputs : tuple of Volume
        The images as read, where `images` were computed from them; empty where they are the same.
    origin : dict
        How the roles of the images were found and what was computed from them, JSON-serialisable.
    exchanged : ndarray, shape (Z, Y, X), bool, read-only, or None
        Where water and fat in `images` are exchanged against what was read, by a person's word.
    person : Person or None
        What the images' headers say about the person, to be offered; it is not saved with a case.
    """

    images: tuple[Volume, ...]
    reference: Volume
    notes: tuple[str, ...] = ()
    inputs: tuple[Volume, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)
    exchanged: NDArray[np.bool_] | None = None
    person: Person | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise BackfatError("A scan needs at least one image.")
        if any(v.voxels.shape != self.reference.voxels.shape for v in self.images):
            raise BackfatError("The images of one scan must have the same number of voxels.")

    @property
    def geometry(self) -> Geometry:
        """Working grid (Z, Y, X) of the reference image."""
        return self.reference.geometry

    @property
    def read(self) -> tuple[Volume, ...]:
        """The images that lie on disk."""
        return self.inputs or self.images

    def with_exchanged(self, region: NDArray[np.bool_]) -> Scan:
        """Return the scan with water and fat exchanged in a region, and a note that says so.

        Parameters
        ----------
        region : ndarray, shape (Z, Y, X), bool
            Where; the same region a second time gives the former images, to the last bit.

        Raises
        ------
        BackfatError
            If the scan has no water and fat image.
        """
        water, fat = self.image(Contrast.WATER), self.image(Contrast.FAT)
        if water is None or fat is None:
            raise BackfatError("Only a scan with a water and a fat image can be exchanged.")
        if region.shape != water.voxels.shape:
            raise ValueError(f"region {region.shape} is not on {water.voxels.shape}")
        made = {
            Contrast.WATER: replace(water, voxels=np.where(region, fat.voxels, water.voxels)),
            Contrast.FAT: replace(fat, voxels=np.where(region, water.voxels, fat.voxels)),
        }
        images = tuple(made.get(v.contrast, v) for v in self.images)
        now = region.copy() if self.exchanged is None else self.exchanged ^ region
        now.setflags(write=False)
        notes = [note for note in self.notes if not note.startswith(_EXCHANGED)]
        if now.any():
            ml = float(now.sum()) * self.geometry.voxel_ml
            rows = np.flatnonzero(now.any(axis=(1, 2)))
            notes.append(f"{_EXCHANGED} in {ml:.0f} ml (slices {rows[0]}-{rows[-1]}).")
        return replace(
            self,
            notes=tuple(notes),
            images=images,
            reference=made.get(self.reference.contrast, self.reference),
            inputs=self.read,
            exchanged=now if now.any() else None,
        )

    def image(self, contrast: Contrast) -> Volume | None:
        """Return the image of this contrast, or None."""
        return next((v for v in self.images if v.contrast is contrast), None)

    @property
    def is_dixon(self) -> bool:
        """Whether a water and a fat image are both there."""
        return self.image(Contrast.WATER) is not None and self.image(Contrast.FAT) is not None

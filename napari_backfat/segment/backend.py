"""What a segmentation backend is, what it reports and returns, and which ones there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.quality import MuscleQuality


@dataclass(frozen=True)
class QualityFlag:
    """Something that a reader of the result must know.

    Attributes
    ----------
    muscle : Muscle or None
        The muscle concerned, or None for the whole case.
    kind : str
        "not found", "cut by field of view", "continues beyond the scan", "ends within the scan",
        "missing in slices", "low confidence", "doubtful case" or "no paraspinal muscles".
    text : str
        One sentence for people.
    """

    muscle: Muscle | None
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The result of a backend.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        Muscle ids on the scan's working grid.
    backend : str
        Name of the backend.
    weights_sha256 : str
        Hash of the weights file that made it.
    device : str
        torch device that was used.
    flags : tuple of QualityFlag
        What to look at.
    seconds : float
        Wall time.
    slice_uncertainty : ndarray, shape (Z,), float32
        Mean uncertainty of the muscle voxels of each slice, 0 (sure) to 1; 0 where none are.
    combined : tuple of str
        Keys of `model.combined.COMBINED`: labels that hold more than one muscle.
    about : dict
        More about the model for provenance.json: licence, version, folder; JSON-serialisable.
    quality : dict of Muscle to MuscleQuality
        How far each outline can be trusted; empty where a backend cannot say.
    """

    muscle: NDArray[np.uint8]
    backend: str
    weights_sha256: str
    device: str
    flags: tuple[QualityFlag, ...]
    seconds: float
    slice_uncertainty: NDArray[np.float32]
    combined: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    quality: dict[Muscle, MuscleQuality] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether any muscle was found."""
        return bool(self.muscle.any())


class SegmentationBackend(Protocol):
    """Finds the eight muscles in a scan."""

    @property
    def name(self) -> str:
        """Name for people and for provenance."""
        ...

    def run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        """Segment a scan.

        Parameters
        ----------
        scan : Scan
            One image, or a water and a fat image.
        device : str
            torch device, as `devices.resolve_device` gives it. A backend with an attribute
            ``chooses_device = True`` gets the person's choice as it is, "auto" included.

        Yields
        ------
        Progress
            At least every few hundred milliseconds, so that closing the generator cancels fast.

        Returns
        -------
        Segmentation
            Also when no muscle was found; that is a flag, not an error.

        Raises
        ------
        BackfatError
            For everything the user can act on, such as too little memory. Never RuntimeError.
        """
        ...


def _bundled() -> SegmentationBackend:
    from napari_backfat.segment.torch_backend import TorchBackend

    return TorchBackend()


BACKENDS: dict[str, Callable[[], SegmentationBackend]] = {"bundled": _bundled}
"""Name to factory. Factories import what they need, so listing them costs nothing.

Other packages add theirs by an entry point, people by a folder; see `segment.registry`.
"""

DEFAULT_BACKEND = "bundled"

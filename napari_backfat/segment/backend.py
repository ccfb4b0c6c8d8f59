"""What a segmentation backend is, and the table of those that exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_backfat.model.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.volume import Scan


@dataclass(frozen=True)
class QualityFlag:
    """A remark of the AI about its own result.

    Attributes
    ----------
    muscle : Muscle or None
        The muscle it is about; None for the whole case.
    kind : str
        Stable name, for example "cut-by-field-of-view".
    text : str
        One sentence for people.
    """

    muscle: Muscle | None
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a backend returns.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids on the scan's working grid.
    backend : str
        Name and version of the backend.
    weights_sha256 : str
        Hash of the weights file.
    device : str
        Where it ran.
    flags : tuple of QualityFlag
        Remarks; "no paraspinal muscles found" is one, not an error.
    seconds : float
        Wall time.
    """

    muscle: NDArray[np.uint8]
    backend: str
    weights_sha256: str
    device: str
    flags: tuple[QualityFlag, ...]
    seconds: float


class SegmentationBackend(Protocol):
    """Finds muscles in a scan."""

    @property
    def name(self) -> str:
        """Name and version, for people and provenance."""

    def run(self, scan: Scan, device: str) -> Generator[Progress, None, Segmentation]:
        """Yield progress (fractions rise to 1) and return the result.

        Parameters
        ----------
        scan : Scan
            One or two images.
        device : str
            "auto", "cpu", "cuda" or "mps".

        Raises
        ------
        BackfatError
            With advice, for example if memory does not suffice. RuntimeError never leaves the
            generator. Closing the generator cancels within a second.
        """


def _bundled() -> SegmentationBackend:
    from napari_backfat.segment.torch_backend import BundledBackend

    return BundledBackend()


BACKENDS: dict[str, Callable[[], SegmentationBackend]] = {"bundled": _bundled}
"""Backends by name; each entry makes one, so that nothing heavy is imported before it is used."""

"""A synthetic slice while it is being painted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.train.tissues import TissueClass

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SHAPE = (320, 448)  # pixels of 1 mm: a large patient fits


class Canvas:
    """Tissue classes on a 1 mm grid with body coordinates.

    Attributes
    ----------
    classes : ndarray, shape (Y, X), uint8
        Tissue class of each pixel; muscles are painted first and never painted over.
    u, v : ndarray, shape (Y, X), float32
        Body coordinates in mm: u to the patient's left, v to the back, origin between the
        multifidi.
    free : ndarray, shape (Y, X), bool
        Where context may still be painted.
    """

    def __init__(self, classes: NDArray[np.uint8], origin: tuple[float, float], tilt: float):
        self.classes = classes
        yy, xx = np.mgrid[: classes.shape[0], : classes.shape[1]].astype(np.float32)
        x, y = xx - origin[1], yy - origin[0]
        self.u: Array = (x * np.cos(tilt) + y * np.sin(tilt)).astype(np.float32)
        self.v: Array = (-x * np.sin(tilt) + y * np.cos(tilt)).astype(np.float32)
        self.free: Mask = classes == 0

    def ellipse(
        self,
        u: float,
        v: float,
        half_u: float,
        half_v: float,
        *,
        turn: float = 0.0,
        power: float = 2.0,
        wobble: Array | None = None,
    ) -> Array:
        """Implicit (super)ellipse: below 1 inside.

        Parameters
        ----------
        u, v : float
            Centre in mm.
        half_u, half_v : float
            Half axes in mm.
        turn : float
            Rotation in radians.
        power : float
            2 is an ellipse, larger is boxier.
        wobble : ndarray, optional
            Added to the implicit value, for irregular outlines.
        """
        du, dv = self.u - u, self.v - v
        if turn:
            c, s = np.cos(turn), np.sin(turn)
            du, dv = du * c + dv * s, -du * s + dv * c
        value = (np.abs(du / half_u) ** power + np.abs(dv / half_v) ** power) ** (2 / power)
        if wobble is not None:
            value = value + wobble
        return np.asarray(value, dtype=np.float32)

    def paint(self, where: Mask, tissue: TissueClass) -> None:
        """Paint context where no muscle is."""
        self.classes[where & self.free] = tissue

    def shell(
        self,
        implicit: Array,
        rim: TissueClass,
        inside: TissueClass,
        thickness_mm: float,
        size: float,
    ) -> None:
        """Paint an implicit ellipse with a rim of about `thickness_mm`."""
        level = max(0.05, 1 - thickness_mm / max(size, thickness_mm + 0.5)) ** 2
        self.paint(implicit < 1, rim)
        self.paint(implicit < level, inside)

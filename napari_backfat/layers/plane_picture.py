"""The picture of one plane through a case: images and masks as pixels, mended row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import N_MUSCLE_CODES, N_TISSUE_CODES

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_backfat.layers.case_layers import CaseLayers

_LABELS = 16  # more than there are; what is above has the colour of unknown ones
_TISSUE_SHARE = 0.6  # of the tissue's opacity on the canvas: a small picture is read by its image


@dataclass(frozen=True, eq=False)
class MaskLook:
    """The masks to draw and how.

    Attributes
    ----------
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        Labels; read, never written.
    shows_muscle, shows_tissue : bool
        What is on display.
    filled : bool
        Muscles as areas; else as outlines.
    muscle_opacity, tissue_opacity : float
        0..1.
    """

    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    shows_muscle: bool = True
    shows_tissue: bool = True
    filled: bool = False
    muscle_opacity: float = 0.9
    tissue_opacity: float = 0.45


def look_of(layers: CaseLayers) -> MaskLook:
    """Return what the canvas shows of the masks now."""
    muscle, tissue = layers.shown_masks
    return MaskLook(
        muscle.data,
        tissue.data,
        bool(muscle.visible),
        bool(tissue.visible),
        muscle.contour == 0,
        float(muscle.opacity),
        float(tissue.opacity),
    )


class PlanePicture:
    """Pixels of one plane, kept until something in it changes.

    Parameters
    ----------
    axis : int
        Axis of (Z, Y, X) across the plane. Rows run along the first of the other two.
    muscle_colors, tissue_colors : dict
        Label -> RGBA, components 0..1; see `model.colors`.

    Attributes
    ----------
    rgb : ndarray, shape (rows, columns, 3), uint8, C-contiguous
        The picture; empty until `draw`. The same array is mended in place.
    """

    def __init__(
        self,
        axis: int,
        muscle_colors: dict[int | None, tuple[float, float, float, float]],
        tissue_colors: dict[int | None, tuple[float, float, float, float]],
    ) -> None:
        self.axis = axis
        self.rgb: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
        self._muscle_colors = _table(muscle_colors, N_MUSCLE_CODES)
        self._tissue_colors = _table(tissue_colors, N_TISSUE_CODES)
        self._ground: NDArray[np.uint8] = self.rgb
        self._index = 0

    def draw(self, index: int, images: list[Image], look: MaskLook) -> None:
        """Draw everything anew.

        Parameters
        ----------
        index : int
            Position of the plane along its axis.
        images : list of napari.layers.Image
            What lies under the masks, the lowest first; hidden ones are left out.
        look : MaskLook
            The masks.
        """
        self._index = index
        shape = [n for axis, n in enumerate(look.muscle.shape) if axis != self.axis]
        ground: NDArray[np.float32] | None = None
        for image in images:
            if not image.visible:
                continue
            plane = np.asarray(image.data[self._cut(slice(None))], dtype=np.float32)
            colored = _colored(plane, image)
            if ground is None:
                ground = colored * float(image.opacity)
            elif str(image.blending) == "additive":
                ground += colored * float(image.opacity)
            else:
                ground += (colored - ground) * float(image.opacity)
        if ground is None:
            ground = np.zeros((*shape, 3), np.float32)
        self._ground = np.clip(ground, 0, 255).astype(np.uint8)
        self.rgb = self._ground.copy()
        self._paint(look, 0, shape[0])

    def mend(self, look: MaskLook, slices: tuple[int, int] | None) -> bool:
        """Draw the masks anew where they changed.

        Parameters
        ----------
        look : MaskLook
            The masks.
        slices : tuple of int, or None
            First and last slice (Z) that changed; None: anywhere.

        Returns
        -------
        bool
            Whether the picture may look different now.
        """
        if self.rgb.size == 0:
            return False
        first, last = slices if slices is not None else (0, look.muscle.shape[0] - 1)
        if self.axis == 0:
            if not first <= self._index <= last:
                return False
            self._paint(look, 0, self.rgb.shape[0])
            return True
        # An outline depends on the neighbours above and below.
        self._paint(look, max(0, first - 1), min(self.rgb.shape[0], last + 2))
        return True

    def _cut(self, rows: slice) -> tuple[slice | int, ...]:
        """Return the index of some rows of the plane."""
        cut: list[slice | int] = [slice(None)] * 3
        cut[self.axis] = self._index
        cut[1 if self.axis == 0 else 0] = rows
        return tuple(cut)

    def _paint(self, look: MaskLook, first: int, last: int) -> None:
        """Put the masks over the ground, rows `first` to `last` (not included)."""
        rows = slice(first, last)
        self.rgb[rows] = self._ground[rows]
        if look.shows_tissue:
            tissue = np.ascontiguousarray(look.tissue[self._cut(rows)])
            share = _TISSUE_SHARE * look.tissue_opacity
            self._lay(rows, tissue, tissue > 0, self._tissue_colors, share)
        if look.shows_muscle:
            around = slice(max(0, first - 1), last + 1)
            muscle = np.ascontiguousarray(look.muscle[self._cut(around)])
            inner = slice(first - around.start, last - around.start)
            where = muscle > 0 if look.filled else _edges(muscle)
            self._lay(rows, muscle[inner], where[inner], self._muscle_colors, look.muscle_opacity)

    def _lay(
        self,
        rows: slice,
        labels: NDArray[np.uint8],
        where: NDArray[np.bool_],
        colors: NDArray[np.float32],
        opacity: float,
    ) -> None:
        place = np.flatnonzero(where)
        if place.size == 0:
            return
        known = np.minimum(labels.ravel()[place], np.uint8(_LABELS - 1)).astype(np.int32)
        part = self.rgb[rows].reshape(-1, 3)
        at = part[place] + known[:, None] * 256
        at *= 3
        at += np.arange(3, dtype=np.int32)
        part[place] = _mixed(colors, opacity).ravel()[at]


def _mixed(colors: NDArray[np.float32], opacity: float) -> NDArray[np.uint8]:
    """Return what each label makes of each value under it, (labels, 256, 3), uint8.

    A plane has more pixels than there are such cases, so they are looked up and not computed.
    """
    rgba = colors[:_LABELS, None]
    share = rgba[..., 3:] * np.float32(opacity)
    under = np.arange(256, dtype=np.uint8)[None, :, None]
    return (under * (1 - share) + rgba[..., :3] * share).astype(np.uint8)


def _table(
    colors: dict[int | None, tuple[float, float, float, float]], size: int
) -> NDArray[np.float32]:
    """Return RGB 0..255 and A 0..1 of every label number a byte can hold."""
    table = np.empty((256, 4), np.float32)
    table[:] = colors[None]
    for label in range(size):
        table[label] = colors[label]
    table[:, :3] *= 255
    return table


def _colored(plane: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """Return an image's plane in its own colours, components 0..255."""
    low, high = (float(v) for v in image.contrast_limits)
    scaled = (plane - low) * np.float32(255 / max(high - low, 1e-12))
    codes = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255).astype(np.uint8)
    ramp = np.linspace(0, 1, 256) ** float(image.gamma)
    table = 255 * np.asarray(image.colormap.map(ramp)[:, :3], np.float32)
    colored: NDArray[np.float32] = table[codes]
    return colored


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a label has another one beside it, up, down, left or right."""
    edges = np.zeros(labels.shape, np.bool_)
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    return edges & (labels > 0)

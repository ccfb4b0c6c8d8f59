"""Takes pictures of widgets: cropped, marked, with few colours."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw
from qtpy.QtCore import QBuffer, QIODevice, QPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QWidget

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MARK = (255, 140, 26)
_EDGE_PX, _MARGIN_PX = 3, 6

Box = tuple[int, int, int, int]


def take(
    name: str,
    root: QWidget,
    crop: Sequence[QWidget] = (),
    marks: Sequence[QWidget] = (),
    colors: int = 96,
) -> Path:
    """Write a picture of a widget as a PNG with a palette.

    Parameters
    ----------
    name : str
        Path below docs/images, without ending.
    root : QWidget
        Window or widget that is shown.
    crop : sequence of QWidget
        Parts of `root` that the picture is cropped to; all of it if there are none.
    marks : sequence of QWidget
        Parts that get a frame.
    colors : int
        Size of the palette, at most 256.

    Returns
    -------
    Path
        What was written.
    """
    picture = image_of(root)
    draw = ImageDraw.Draw(picture)
    for part in marks:
        box = grown(box_of(part, root), _EDGE_PX, picture.size)
        draw.rectangle(box, outline=MARK, width=_EDGE_PX)
    if crop:
        boxes = [box_of(part, root) for part in crop]
        union = (
            min(b[0] for b in boxes), min(b[1] for b in boxes),
            max(b[2] for b in boxes), max(b[3] for b in boxes),
        )  # fmt: skip
        picture = picture.crop(grown(union, _MARGIN_PX if len(crop) > 1 else 0, picture.size))
    return save(name, picture, colors)


def save(name: str, picture: Image.Image, colors: int = 96) -> Path:
    """Write a picture with a palette; see `take`."""
    path = IMAGES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    small = picture.convert("RGB").quantize(
        colors, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
    )
    small.save(path, optimize=True)
    return path


def image_of(widget: QWidget) -> Image.Image:
    """Return what a widget shows now, the canvas included."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.ReadWrite)
    widget.grab().save(buffer, "PNG")
    return Image.open(BytesIO(bytes(buffer.data()))).convert("RGB")


def box_of(part: QWidget, root: QWidget) -> Box:
    """Return (left, top, right, bottom) of what can be seen of a part, in pixels of the root."""
    seen = part.visibleRegion().boundingRect()
    if seen.isEmpty():
        raise ValueError(f"{part.objectName() or type(part).__name__} is not on the screen")
    corner = part.mapTo(root, seen.topLeft()) if part is not root else QPoint(0, 0)
    return corner.x(), corner.y(), corner.x() + seen.width(), corner.y() + seen.height()


def grown(box: Box, margin: int, size: tuple[int, int]) -> Box:
    """Return a box with a margin, cut to a picture's size."""
    left, top, right, bottom = box
    return (
        max(0, left - margin), max(0, top - margin),
        min(size[0] - 1, right + margin), min(size[1] - 1, bottom + margin),
    )  # fmt: skip

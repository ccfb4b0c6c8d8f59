"""Key images with the outlines of the muscles, sharp in print, sides marked."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import measure

from napari_backfat.model.anatomy import MUSCLES, Muscle, TissueCode
from napari_backfat.model.colors import muscle_rgb, tissue_rgba
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_backfat.export.content import Content
    from napari_backfat.export.report.keys import KeySlice
    from napari_backfat.model.volume import Scan, Volume

_measure: Any = measure  # its functions carry no types

LETTER_RGB = (242, 176, 30)
_MARGIN_MM = 18.0
_WIDTH_PX = 760
_FINER = 2  # drawn at twice the size, so that lines come out smooth
_WINDOW = (1.0, 99.7)
_BAR_MM = 50
_OUTLINE_PX = 3


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of the report.

    Attributes
    ----------
    jpeg : bytes
        The picture.
    width, height : int
        Pixels.
    caption : str
        What it shows.
    """

    jpeg: bytes
    width: int
    height: int
    caption: str


def axial_pictures(
    content: Content, slices: Sequence[KeySlice], *, tissue: bool = False
) -> tuple[Picture, ...]:
    """Return the slices, all cropped to the muscles with a margin, patient's right at the left.

    Parameters
    ----------
    content : Content
        The case.
    slices : sequence of KeySlice
        Which.
    tissue : bool, optional
        Whether lean and fat are coloured, in place of the outlines.
    """
    _, dy, dx = content.scan.geometry.spacing_mm
    rows, columns = _crop(content)
    window = _window(content)
    letters = content.scan.geometry.axis_ends
    return tuple(
        _draw(
            shown_image(content.scan).voxels[key.index][rows, columns],
            content.muscle[key.index][rows, columns],
            (dy, dx),
            window,
            (letters[1], letters[2]),
            f"{key.label[0].upper()}{key.label[1:]}" if not tissue else f"Slice {key.index}",
            tissue=content.tissue[key.index][rows, columns] if tissue else None,
        )
        for key in slices
    )


def overview(
    content: Content, slices: Sequence[KeySlice], height_of: Picture, *, tissue: bool = False
) -> Picture:
    """Return a coronal view through the back muscles with a line at each slice shown.

    Parameters
    ----------
    content : Content
        The case.
    slices : sequence of KeySlice
        Marked by lines.
    height_of : Picture
        The view gets the height of this picture.
    tissue : bool, optional
        Whether lean and fat are coloured, in place of the outlines.
    """
    geometry = content.scan.geometry
    dz, _, dx = geometry.spacing_mm
    per_row = np.count_nonzero(content.muscle, axis=(0, 2))
    y = int(per_row.argmax()) if per_row.any() else geometry.shape[1] // 2
    _, columns = _crop(content)
    plane = shown_image(content.scan).voxels[:, y, columns]
    return _draw(
        plane,
        content.muscle[:, y, columns],
        (dz, dx),
        _window(content),
        (geometry.axis_ends[0], geometry.axis_ends[2]),
        "Coronal; lines: slices shown",
        lines=[key.index for key in slices],
        size=(None, height_of.height),
        tissue=content.tissue[:, y, columns] if tissue else None,
    )


def shown_image(scan: Scan) -> Volume:
    """Return the image that a report shows: water as in the window, else the reference.

    The reference of a Dixon pair can be the fat image, where only that kept its position.
    """
    return scan.image(Contrast.WATER) or scan.reference


def _crop(content: Content) -> tuple[slice, slice]:
    """Rows and columns around the muscles of all slices; everything if there is none."""
    _, dy, dx = content.scan.geometry.spacing_mm
    found = []
    for axis, step in ((1, dy), (2, dx)):
        other = tuple(a for a in range(3) if a != axis)
        there = np.flatnonzero(content.muscle.any(axis=other))
        margin = round(_MARGIN_MM / step)
        n = content.muscle.shape[axis]
        low, high = (there[0], there[-1]) if there.size else (0, n - 1)
        found.append(slice(max(0, int(low) - margin), min(n, int(high) + 1 + margin)))
    return found[0], found[1]


def _window(content: Content) -> tuple[float, float]:
    rows, columns = _crop(content)
    sample = shown_image(content.scan).voxels[::2, rows, columns]
    low, high = np.percentile(sample, _WINDOW)
    return float(low), float(max(high, low + 1e-6))


def _draw(
    plane: NDArray[np.float32],
    labels: NDArray[np.uint8],
    spacing: tuple[float, float],
    window: tuple[float, float],
    ends: tuple[tuple[str, str], tuple[str, str]],
    caption: str,
    lines: Sequence[int] = (),
    size: tuple[int | None, int | None] = (_WIDTH_PX, None),
    tissue: NDArray[np.uint8] | None = None,
) -> Picture:
    """Return a plane (rows, columns) with outlines or tissues, letters and a scale bar."""
    high_mm, wide_mm = plane.shape[0] * spacing[0], plane.shape[1] * spacing[1]
    scale = size[0] / wide_mm if size[0] else (size[1] or _WIDTH_PX) / high_mm
    scale *= _FINER
    width, height = max(1, round(wide_mm * scale)), max(1, round(high_mm * scale))
    gray = np.clip((plane - window[0]) / (window[1] - window[0]), 0, 1)
    image = Image.fromarray(np.rint(255 * gray).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    canvas = image.convert("RGB")
    if tissue is not None:
        _color_tissue(canvas, tissue)
    pen = ImageDraw.Draw(canvas)
    zoom = (height / plane.shape[0], width / plane.shape[1])
    for muscle in MUSCLES if tissue is None else ():
        _outline(pen, labels, muscle, zoom)
    for z in lines:
        y = (z + 0.5) * zoom[0]
        pen.line([(0, y), (width, y)], fill=LETTER_RGB, width=_FINER)
    _letters(pen, (width, height), ends)
    if not lines:
        _scale_bar(pen, (width, height), scale)
    final = canvas.resize((width // _FINER, height // _FINER), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    final.save(stream, "JPEG", quality=92, subsampling=0)
    return Picture(stream.getvalue(), final.width, final.height, caption)


def _color_tissue(canvas: Any, tissue: NDArray[np.uint8]) -> None:
    """Lay the program's colours of lean and fat over the image."""
    colors = np.zeros((len(TissueCode), 4))
    for code in list(TissueCode)[1:]:
        colors[code] = tissue_rgba(code)
    overlay = Image.fromarray(np.rint(255 * colors[tissue]).astype(np.uint8), "RGBA")
    canvas.paste(*_large(overlay, canvas.size))


def _large(overlay: Any, size: tuple[int, int]) -> tuple[Any, tuple[int, int], Any]:
    grown = overlay.resize(size, Image.Resampling.NEAREST)
    return grown.convert("RGB"), (0, 0), grown.getchannel("A")


def _outline(
    pen: Any, labels: NDArray[np.uint8], muscle: Muscle, zoom: tuple[float, float]
) -> None:
    inside = np.pad(labels == muscle, 1).astype(np.float32)
    if not inside.any():
        return
    color = tuple(round(255 * c) for c in muscle_rgb(muscle))
    for contour in _measure.find_contours(inside, 0.5):
        # Contour points count from the centre of the first (padded) voxel.
        points = [((x - 0.5) * zoom[1], (y - 0.5) * zoom[0]) for y, x in contour]
        pen.line(points, fill=color, width=_OUTLINE_PX * _FINER, joint="curve")


def _letters(
    pen: Any, size: tuple[int, int], ends: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    width, height = size
    points = max(24, height // 11)
    font = ImageFont.load_default(size=points)
    (top, bottom), (left, right) = ends
    gap = points // 3
    for text, place, anchor in (
        (left, (gap, height / 2), "lm"),
        (right, (width - gap, height / 2), "rm"),
        (top, (width / 2, gap), "ma"),
        (bottom, (width / 2, height - gap), "md"),
    ):
        pen.text(
            place, text, font=font, fill=LETTER_RGB, anchor=anchor,
            stroke_width=_FINER, stroke_fill=(0, 0, 0),
        )  # fmt: skip


def _scale_bar(pen: Any, size: tuple[int, int], scale: float) -> None:
    width, height = size
    length = _BAR_MM * scale
    if length > width / 2:
        return
    y, x = height - width // 40, width // 40
    pen.line([(x, y), (x + length, y)], fill=(255, 255, 255), width=2 * _FINER)
    font = ImageFont.load_default(size=max(18, width // 34))
    pen.text(
        (x, y - 2 * _FINER), f"{_BAR_MM // 10} cm", font=font, fill=(255, 255, 255), anchor="ld",
        stroke_width=_FINER, stroke_fill=(0, 0, 0),
    )  # fmt: skip

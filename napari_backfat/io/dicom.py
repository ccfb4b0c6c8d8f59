"""Read one DICOM series as a `Volume`."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_backfat.io import decoders
from napari_backfat.io.codestream import check_sizes
from napari_backfat.io.dicom_bytes import PARSER_FAILURES, parsed
from napari_backfat.io.dicom_stations import DIXON, station_plan
from napari_backfat.io.dicom_value import value_of
from napari_backfat.io.manifest import sha256_of
from napari_backfat.io.nifti import Loaded
from napari_backfat.io.stations import gains_of, match_of, stitch
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Source, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from napari_backfat.io.dicom_frames import Frame
    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.io.dicom_stack import Stack
    from napari_backfat.io.stations import Match, Plan

_LARGEST_INTENSITY = 1e30  # beyond it, sums of float32 intensities overflow
MAX_RATIO = 400
"""Bytes of voxels (float32) for each byte of the files, beyond `_RATIO_COUNTS_FROM`.

Compressed MR images take a third of their pixels, empty ones a thousandth.
"""
_RATIO_COUNTS_FROM = 2**29
_READ_WHOLE = 64 * 2**20  # files up to here are read once, for hash and pixels
_OPTIONS = {
    "samples_per_pixel": "SamplesPerPixel",
    "photometric_interpretation": "PhotometricInterpretation",
    "planar_configuration": "PlanarConfiguration",
    "number_of_frames": "NumberOfFrames",
    "rows": "Rows",
    "columns": "Columns",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
}
"""What pydicom's decoders call the values that describe pixel data."""
_PIXEL_DATA = tuple(BaseTag(tag) for tag in (0x7FE00010, 0x7FE00008, 0x7FE00009))
_PIXEL_TAGS = [
    *_PIXEL_DATA,
    *(
        BaseTag(tag)
        for word in (*_OPTIONS.values(), "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
        if (tag := tag_for_keyword(word)) is not None
    ),
]


def read_series(info: SeriesInfo, contrast: Contrast = Contrast.UNKNOWN) -> Loaded:
    """Read the pixels of one series.

    Parameters
    ----------
    info : SeriesInfo
        From `list_series`.
    contrast : Contrast, optional
        What it shows; UNKNOWN means: as far as the header says.

    Returns
    -------
    Loaded
        The image, scaled by slope and intercept of each slice. Its file grid has the array axes
        (columns, rows, slices); its source is the folder, with `series_hash`.

    Raises
    ------
    BackfatError
        If the series cannot be opened, or its pixels cannot be read.
    """
    if info.problem or info.stack is None:
        raise BackfatError(
            f"Series {info.number} in {info.source} cannot be opened. {info.problem}"
        )
    record: dict[str, Any] = {}
    if contrast is Contrast.UNKNOWN:
        contrast = info.role
    notes = list(info.notes)
    hashes: dict[Path, str] = {}
    with decoders.decoding():
        if info.stations:
            voxels, copies, record, said = _stitched(info, contrast, hashes)
            notes.append(said)
        else:
            voxels, copies = _voxels(info, info.stack, hashes)
    _hash_rest(info, hashes)
    low, high = float(voxels.min()), float(voxels.max())
    if not (low >= -_LARGEST_INTENSITY and high <= _LARGEST_INTENSITY):
        raise BackfatError(
            f"Series {info.number} in {info.source} holds values that are no usable numbers; "
            "export it again."
        )
    if low == high:
        raise BackfatError(
            f"Series {info.number} in {info.source} has the same value ({low:g}) in every voxel; "
            "there is nothing to see in it, so choose another series."
        )
    source = Source(str(info.source), _hash(info.frames, hashes))
    if contrast is info.role is not Contrast.UNKNOWN:
        reason = info.evidence.split(' "')[0]  # without the words of the description
        notes.append(f"{_name(info)}: taken for a {contrast.value} image, by the {reason}.")
    if copies:
        notes.append(f"{copies} images of the series were there twice; each was used once.")
    if info.map_name:
        notes.append(f"The series is a {info.map_name}, not an image of intensities.")
    volume = Volume(voxels, info.stack.grid, source, contrast)
    return Loaded(volume, tuple(notes), record=record, person=info.person)


def _voxels(
    info: SeriesInfo, stack: Stack, hashes: dict[Path, str]
) -> tuple[NDArray[np.float32], int]:
    """Return the scaled values of one series, axes (Z, Y, X), and how many images were twice.

    The hashes of the files are entered in `hashes`.
    """
    grid = stack.grid
    _check_claim(info, stack)
    try:
        voxels = np.empty(grid.geometry.shape, dtype=np.float32)
    except MemoryError as error:
        raise BackfatError(
            f"Series {info.number} in {info.source} claims {grid.shape} voxels, more than fit into "
            "memory."
        ) from error
    in_file_order = grid.to_file(voxels)
    files: defaultdict[Path, dict[int, int]] = defaultdict(dict)
    for k, frames in enumerate(stack.slices):
        for frame in frames:
            files[frame.path][frame.index] = k
    by_image = {(f.path, f.index): f for f in info.frames}
    filled: set[int] = set()
    copies = 0
    for path, places in files.items():
        frames_of_file = decoded_frames(path, sorted(places), hashes)
        for index, stored in zip(sorted(places), frames_of_file, strict=True):
            k, frame = places[index], by_image[path, index]
            if stored.shape != (frame.rows, frame.columns):
                raise BackfatError(f"{path.name} changed while it was read; open it again.")
            with np.errstate(over="ignore", invalid="ignore"):
                if (frame.slope, frame.intercept) == (1.0, 0.0):
                    values = stored.T if k not in filled else stored.T.astype(np.float32)
                else:
                    scaled = (stored.astype(np.float64) * frame.slope + frame.intercept).T
                    values = scaled.astype(np.float32)
            if k not in filled:
                in_file_order[..., k] = values
                filled.add(k)
            elif np.array_equal(in_file_order[..., k], values):
                copies += 1
            else:
                raise BackfatError(
                    f"Series {info.number} in {info.source} has several different images at the "
                    "same place, and its headers do not tell them apart; export one volume alone."
                )
    return voxels, copies


def _check_claim(info: SeriesInfo, stack: Stack) -> None:
    """Refuse voxels that would fill the memory from files that hold next to nothing."""
    claimed = 4 * math.prod(stack.grid.shape)
    if claimed <= _RATIO_COUNTS_FROM:
        return
    try:
        held = sum(path.stat().st_size for path in {f.path for s in stack.slices for f in s})
    except OSError:
        return  # reading the files says more
    if claimed > MAX_RATIO * held:
        raise BackfatError(
            f"Series {info.number} in {info.source} claims {claimed / 1e9:.1f} GB of voxels in "
            f"files of {held / 1e6:.2f} MB, which no scan does; export it again."
        )


def _stitched(
    info: SeriesInfo, contrast: Contrast, hashes: dict[Path, str]
) -> tuple[NDArray[np.float32], int, dict[str, Any], str]:
    """Put the stations of an entry together; also returns a record and a sentence on how.

    The intensities of Dixon images are left as they are, whatever the overlap says: a fat fraction
    is a ratio of two images of one station, and a factor on one of them would change it.
    """
    plan = station_plan(info)
    stacks, copies = [], 0
    for station in info.stations:
        assert station.stack is not None
        voxels, twice = _voxels(station, station.stack, hashes)
        _hash_rest(station, hashes)
        stacks.append(station.stack.grid.to_file(voxels))
        copies += twice
    matches = match_of(plan, stacks)
    may_match = contrast not in DIXON and not info.map_name
    gains = gains_of(plan, matches) if may_match else None
    joined = plan.grid.to_working(stitch(plan, stacks, gains))
    record = {
        "stations": [
            {"series": s.number, "images": s.n_images, "sha256": _hash(s.frames, hashes)}
            for s in info.stations
        ],
        "overlaps_mm": [round(o, 2) for o in plan.overlaps_mm],
        "step_mm": round(plan.step_mm, 4),
        "interpolated": not plan.exact,
        "brightness_of_each_to_the_one_before": [
            round(m.ratio, 4) if m.is_measured else None for m in matches
        ],
        "multiplied_by": gains and [round(g, 4) for g in gains],
        "blending": "linear over each overlap",
    }
    return np.ascontiguousarray(joined), copies, record, _said(info, plan, matches, gains)


def _said(
    info: SeriesInfo, plan: Plan, matches: Sequence[Match], gains: Sequence[float] | None
) -> str:
    overlaps = ", ".join(f"{max(o, 0):.0f}" for o in plan.overlaps_mm)
    text = f"{_name(info)} were put together, blended linearly over {overlaps} mm of overlap"
    if not plan.exact:
        text += f" and interpolated to slices {plan.step_mm:.2f} mm apart"
    if gains is not None:
        factors = ", ".join(f"{g:.2f}" for g in gains)
        text += f"; to be equally bright where they overlap, they were multiplied by {factors}"
    elif noticed := [m.ratio for m in matches if m.is_noticed]:
        ratios = ", ".join(f"{r:.2f}" for r in noticed)
        text += f"; neighbours differ in brightness (ratio {ratios}), which was left as it is"
    return f"{text}."


def _name(info: SeriesInfo) -> str:
    return info.name[:1].upper() + info.name[1:]


def series_hash(info: SeriesInfo) -> str:
    """Return the hash of a series, whatever its files are called and wherever they lie.

    It is the SHA-256 of the sorted lines "<SHA-256 of the file's bytes>:<frame in the file>", each
    ended by a newline, of its images.

    Raises
    ------
    BackfatError
        If a file cannot be read.
    """
    hashes: dict[Path, str] = {}
    _hash_rest(info, hashes)
    return _hash(info.frames, hashes)


def _hash_rest(info: SeriesInfo, hashes: dict[Path, str]) -> None:
    """Enter the hashes of files that were not hashed when their pixels were read."""
    try:
        for path in {f.path for f in info.frames} - hashes.keys():
            hashes[path] = sha256_of(path)
    except OSError as error:
        raise BackfatError(f"{info.source} cannot be read ({error}); check the disk.") from error


def _hash(frames: Sequence[Frame], hashes: Mapping[Path, str]) -> str:
    lines = sorted(f"{hashes[f.path]}:{f.index}\n" for f in frames)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def decoded_frames(
    path: Path, indices: Sequence[int], hashes: dict[Path, str] | None = None
) -> Iterator[NDArray[np.generic]]:
    """Yield the stored values of frames of a file, one at a time.

    Parameters
    ----------
    path : Path
        File.
    indices : sequence of int
        Which frames.
    hashes : dict of Path to str, optional
        The hash of the file is entered here if it costs no second reading.

    Yields
    ------
    ndarray, shape (rows, columns)
        Stored values, not to be written to; valid until the next one.

    Raises
    ------
    BackfatError
        If they cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.stat().st_size <= _READ_WHOLE:
                content = path.read_bytes()
                if hashes is not None:
                    hashes[path] = hashlib.sha256(content).hexdigest()
                dataset = parsed(content, _PIXEL_TAGS, pixels=True)
            else:
                dataset = parsed(path, _PIXEL_TAGS, pixels=True, defer_size=2**16)
            if "TransferSyntaxUID" not in dataset.file_meta:  # a file without preamble
                implicit, _ = dataset.original_encoding
                dataset.file_meta.TransferSyntaxUID = (
                    ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
                )
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax.is_compressed:
                check_sizes(dataset.PixelData, dataset)
                if not decoders.is_decodable(syntax):
                    raise ValueError("no decoder")
                yield from iter_pixels(
                    dataset, indices=list(indices), raw=True, decoding_plugin=decoders.PLUGIN
                )
            else:
                yield from _native_frames(dataset, indices)
    except PARSER_FAILURES as error:
        raise BackfatError(
            f"The pixels of {path.name} cannot be read (damaged, cut off or of a kind that is not "
            f"known); copy the series again. [{type(error).__name__}]"
        ) from error


def _native_frames(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[np.generic]]:
    """Yield uncompressed frames.

    They are decoded as by `iter_pixels`, which asks every file three times for the same values.
    """
    tag = next(tag for tag in _PIXEL_DATA if tag in dataset.keys())  # noqa: SIM118 - slower
    element = dataset.get_item(tag)
    options = {name: value_of(dataset, word) for name, word in _OPTIONS.items()}
    options["number_of_frames"] = int(options["number_of_frames"] or 1)
    frames = get_decoder(dataset.file_meta.TransferSyntaxUID).iter_array(
        element.value,
        indices=list(indices),
        raw=True,
        view_only=True,
        pixel_keyword=keyword_for_tag(tag),
        pixel_vr=element.VR or "OW",
        **{name: value for name, value in options.items() if value is not None},
    )
    for frame, _ in frames:
        yield frame

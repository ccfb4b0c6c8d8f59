"""Read one DICOM series as a `Volume`."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io import decoders
from napari_backfat.io.dicom_pixels import decoded_frames
from napari_backfat.io.dicom_stations import DIXON, station_plan
from napari_backfat.io.manifest import sha256_of
from napari_backfat.io.nifti import Loaded
from napari_backfat.io.station_blend import gains_of, match_of, stitch
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Source, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.io.dicom_frame import Frame
    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.io.dicom_stack import Stack
    from napari_backfat.io.station_blend import Match
    from napari_backfat.io.stations import Plan

_LARGEST_INTENSITY = 1e30  # beyond it, sums of float32 intensities overflow
MAX_RATIO = 400
"""Bytes of voxels (float32) for each byte of the files, beyond `_RATIO_COUNTS_FROM`.

Compressed MR images take a third of their pixels, empty ones a thousandth.
"""
_RATIO_COUNTS_FROM = 2**29


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

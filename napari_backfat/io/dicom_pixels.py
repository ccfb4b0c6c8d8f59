"""Stored values of the frames in one DICOM file."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_backfat.io import decoders
from napari_backfat.io.codestream import check_sizes
from napari_backfat.io.dicom_bytes import PARSER_FAILURES, parsed
from napari_backfat.io.dicom_value import value_of
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

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

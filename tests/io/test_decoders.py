"""Compressed frames: exact where compression is exact, bounded and in one sentence otherwise."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from napari_backfat.io import decoders
from napari_backfat.io.codestream import claim
from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_open import read_dicom
from napari_backfat.io.dicom_pixels import decoded_frames
from napari_backfat.io.dicom_series import list_series
from napari_backfat.model.errors import BackfatError
from tests.io.dicoms import classic, enhanced, save, scaled, stored_voxels
from tests.io.files import affine_for
from tests.io.jpeg_lossless import encode, fragments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

SHAPE = (40, 36, 3)
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(autouse=True)
def one_process() -> Iterator[None]:
    """One decoding process for a whole test, as for a series."""
    with decoders.decoding():
        yield


def image_of(stored: np.ndarray, bits: int, stream: bytes, **tags: object) -> FileDataset:
    """One image of which the pixels are a JPEG stream."""
    (image,) = classic(np.zeros((*stored.T.shape, 1), np.uint16), affine_for(), **tags)
    image.file_meta.TransferSyntaxUID = JPEGLossless
    image.BitsAllocated = 8 if bits <= 8 else 16
    image.BitsStored, image.HighBit = bits, bits - 1
    image.PixelRepresentation = int(stored.min() < 0)
    image.PixelData = encapsulate([stream])
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    return image


def read_one(image: FileDataset, folder: Path) -> np.ndarray:
    save(folder, [image])
    (path,) = folder.iterdir()
    (found,) = decoded_frames(path, [0])
    return found


@pytest.mark.parametrize("bits", range(8, 17))
def test_jpeg_lossless_of_every_depth_and_predictor(bits: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(bits)
    for predictor in range(1, 8):
        stored = rng.integers(0, 2**bits, (23, 19))
        stored[:2, :3] = [[0, 2**bits - 1, 2 ** (bits - 1)], [2**bits - 1, 0, 1]]
        stream = encode(stored, bits, predictor=predictor, restart_rows=predictor % 3)
        found = read_one(image_of(stored, bits, stream), tmp_path / str(predictor))
        assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
        np.testing.assert_array_equal(found, stored)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signed_jpeg_lossless(bits: int, tmp_path: Path) -> None:
    stored = np.random.default_rng(1).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (23, 19))
    stored[0, :2] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    found = read_one(image_of(stored, bits, encode(stored, bits)), tmp_path / "s")
    np.testing.assert_array_equal(found, stored)


def test_the_encoder_of_the_tests_agrees_with_another_decoder() -> None:
    stored = np.random.default_rng(2).integers(0, 256, (23, 19))
    for predictor in range(1, 8):
        stream = encode(stored, 8, predictor=predictor, restart_rows=4)
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(stream))), stored)


def test_bits_that_the_point_transform_drops_are_zero(tmp_path: Path) -> None:
    stored = np.random.default_rng(3).integers(0, 4096, (23, 19))
    found = read_one(image_of(stored, 12, encode(stored, 12, shift=2)), tmp_path / "s")
    np.testing.assert_array_equal(found, stored >> 2 << 2)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_classic_series_of_jpeg_lossless(syntax: str, tmp_path: Path) -> None:
    stored, affine = stored_voxels(SHAPE), affine_for("PIR")
    images = classic(stored, affine)
    for k, image in enumerate(images):
        image.file_meta.TransferSyntaxUID = syntax
        image.PixelData = encapsulate([encode(stored[..., k].T, 16)])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    volume = read_dicom(save(tmp_path / "s", images)).volume
    np.testing.assert_array_equal(volume.voxels, volume.file_grid.to_working(scaled(stored)))


def test_frames_in_several_items_of_a_multi_frame_file(tmp_path: Path) -> None:
    stored = stored_voxels((40, 36, 5))
    image = enhanced([(stored, ["ORIGINAL", "PRIMARY", "M", "NONE"])], affine_for())
    plain = read_dicom(save(tmp_path / "plain", [image])).volume.voxels
    image.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    streams = [encode(stored[..., k].T, 16, predictor=1 + k) for k in range(5)]
    image.PixelData = fragments(streams, 700)
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    assert image.PixelData.count(b"\xfe\xff\x00\xe0") > 20
    found = read_dicom(save(tmp_path / "s", [image])).volume.voxels
    np.testing.assert_array_equal(found, plain)


def test_lossy_jpeg_of_eight_bits(tmp_path: Path) -> None:
    stored = np.random.default_rng(7).integers(0, 256, (24, 16)).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(stored).save(stream, "JPEG", quality=90)
    image = image_of(stored, 8, stream.getvalue())
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    expected = np.asarray(Image.open(BytesIO(stream.getvalue())))
    np.testing.assert_array_equal(read_one(image, tmp_path / "s"), expected)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, True), (16, True)])
def test_bits_and_signs_without_loss(syntax: str, bits: int, signed: bool, tmp_path: Path) -> None:
    low = -(2 ** (bits - 1)) if signed else 0
    stored = np.random.default_rng(8).integers(low, low + 2**bits, (36, 40))
    image = image_of(stored, bits, b"none")
    kind = np.uint8 if bits == 8 else np.int16 if signed else np.uint16
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.PixelData = stored.astype(kind).tobytes()
    image["PixelData"].is_undefined_length = False
    image.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read_one(image, tmp_path / "s"), stored)


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_lossy_jpeg_of_twelve_bits(name: str) -> None:
    (found,) = decoded_frames(SHIPPED / name, [0])
    # Two values that the tests of pydicom expect of this image, as decoded by libjpeg.
    assert (int(found[420, 140]), int(found[230, 120])) == (244, 95)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("MR_small_jp2klossless.dcm", "MR_small.dcm"), ("MR_small_RLE.dcm", "MR_small.dcm"),
     ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm")],
)  # fmt: skip
def test_files_of_pydicom_agree_with_their_uncompressed_twins(name: str, plain: str) -> None:
    (found,) = decoded_frames(SHIPPED / name, [0])
    np.testing.assert_array_equal(found, pydicom.dcmread(SHIPPED / plain).pixel_array)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_jpeg_lossless_frame_that_is_cut_off(share: float, tmp_path: Path) -> None:
    stored = np.random.default_rng(4).integers(0, 4096, (64, 60))
    stream = encode(stored, 12)
    image = image_of(stored, 12, stream[: int(len(stream) * share)])
    with pytest.raises(BackfatError, match=r"^The pixels of IM\w+ cannot be read \(damaged"):
        read_one(image, tmp_path / "s")


def test_what_libjpeg_would_only_print_is_refused(tmp_path: Path) -> None:
    """It fills lines that it cannot decode, and goes on."""
    stored = np.random.default_rng(5).integers(0, 4096, (64, 60))
    stream = encode(stored, 12)
    half = len(stream) // 2
    for number, damaged in enumerate(
        (
            stream[:half] + stream[half + 300 :],  # lines are missing
            stream[:-2] + bytes(300) + stream[-2:],  # more than the lines need
            stream[:half] + b"\xff\xd9" + stream[half + 2 :],  # an end in the middle
        )
    ):
        with pytest.raises(BackfatError, match="cannot be read"):
            read_one(image_of(stored, 12, damaged), tmp_path / str(number))


def test_a_series_that_claims_far_more_than_its_files_hold(tmp_path: Path) -> None:
    """Empty frames shrink a thousand times: GB of voxels in a file of some kB."""
    stored = np.zeros((512, 512, 5), np.uint16)
    image = enhanced([(stored, ["ORIGINAL", "PRIMARY", "M", "NONE"])], affine_for())
    image.compress(JPEG2000Lossless, generate_instance_uid=False)
    frame = next(generate_frames(image.PixelData, number_of_frames=5))
    groups = image.PerFrameFunctionalGroupsSequence
    step = groups[1].PlanePositionSequence[0].ImagePositionPatient
    first = groups[0].PlanePositionSequence[0].ImagePositionPatient
    count = 600
    many = []
    for k in range(count):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [
            f"{float(a) + k * (float(b) - float(a)):.6g}" for a, b in zip(first, step, strict=True)
        ]
        group.PlanePositionSequence = [position]
        many.append(group)
    image.PerFrameFunctionalGroupsSequence = many
    image.NumberOfFrames = count
    image.PixelData = encapsulate([frame] * count)
    folder = save(tmp_path / "s", [image])
    before = psutil.Process().memory_info().rss
    with pytest.raises(BackfatError, match=r"claims 0\.6 GB of voxels in files of 0\.\d+ MB"):
        read_dicom(folder)
    assert psutil.Process().memory_info().rss - before < 200e6


def test_a_stream_that_claims_far_more_than_it_holds(tmp_path: Path) -> None:
    """Header and stream agree on 8000 x 8000 pixels, in 1 kB."""
    stored = np.zeros((64, 60), int)
    stream = bytearray(encode(stored, 12))
    at = stream.index(b"\xff\xc3") + 5
    struct.pack_into(">2H", stream, at, 8000, 8000)
    assert claim(bytes(stream)) is not None
    image = image_of(stored, 12, bytes(stream))
    image.Rows = image.Columns = 8000
    with pytest.raises(BackfatError, match="cannot be read"):
        read_one(image, tmp_path / "s")
    assert decoders._child is None  # no decoder saw it


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_a_decoder_cannot_take_all_memory(tmp_path: Path) -> None:
    images = classic(stored_voxels(SHAPE), affine_for())
    for image in images:
        image.compress(JPEGLSLossless, generate_instance_uid=False)
    (info,) = list_series(save(tmp_path / "series", images))
    sound = read_series(info).volume.voxels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "LEAST_BYTES", 2**20)
        patch.setattr(decoders, "_child", None)
        patch.setattr(decoders, "_SCRIPT", greedy(tmp_path))
        with pytest.raises(BackfatError, match="cannot be read"):
            read_series(info)
        assert decoders._child is not None
        assert psutil.Process(decoders._child.process.pid).memory_info().rss < 200e6
        decoders._child.end()
    np.testing.assert_array_equal(read_series(info).volume.voxels, sound)


def greedy(folder: Path) -> Path:
    text = decoders._SCRIPT.read_text("utf-8")
    call = "pixels, said = ready[kind](frame, asked)"
    changed = folder / "greedy.py"
    changed.write_text(text.replace(call, f"hold = b'1' * 10**9; {call}"), "utf-8")
    return changed


def test_large_rle_frames_are_unpacked_elsewhere(tmp_path: Path) -> None:
    """64 bytes for each byte: a frame of some MB would take hundreds here."""
    images = classic(stored_voxels(SHAPE), affine_for())
    for image in images:
        image.compress(RLELossless, generate_instance_uid=False)
    (info,) = list_series(save(tmp_path / "series", images))
    sound = read_series(info).volume.voxels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "_RLE_HERE", 100)
        np.testing.assert_array_equal(read_series(info).volume.voxels, sound)
        assert decoders._child is not None


def test_nothing_stays_behind(tmp_path: Path) -> None:
    stored = np.random.default_rng(6).integers(0, 4096, (64, 60))
    read_one(image_of(stored, 12, encode(stored, 12)), tmp_path / "s")
    child = decoders._child
    assert child is not None
    assert child.folder.is_dir()
    assert not (child.folder / "frame.dcm").exists()
    child.end()
    assert not child.folder.exists()
    assert child.process.poll() is not None


def test_the_process_ends_when_nobody_asks_any_more(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    script = [sys.executable, "-I", str(decoders._SCRIPT), json.dumps(sys.path), str(own)]
    done = subprocess.run(script, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0
    assert not own.exists()


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_frame_of_which_the_asker_is_gone_does_not_compute_for_ever(tmp_path: Path) -> None:
    """Nobody is there to end it: the system does, by the limit on its processor time."""
    text = decoders._SCRIPT.read_text("utf-8")
    call = "pixels, said = ready[kind](frame, asked)"
    script = tmp_path / "child.py"
    script.write_text(text.replace(call, "exec('while 1: pass')"), "utf-8")
    asked = {"kind": "rle", "memory": 2**28, "seconds": 0.1, "rows": 1, "columns": 1}
    head = json.dumps(asked).encode()
    request = len(head).to_bytes(8, "little") + (1).to_bytes(8, "little") + head + b"x"
    command = [sys.executable, "-I", str(script), json.dumps(sys.path), str(tmp_path / "own")]
    done = subprocess.run(command, input=request, timeout=100, check=False, capture_output=True)
    assert done.returncode == -signal.SIGXCPU


def test_what_streams_claim() -> None:
    stored = stored_voxels(SHAPE)
    (image, *_) = classic(stored, affine_for())
    image.compress(JPEG2000Lossless)
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    found = claim(frame)
    assert found is not None
    assert (found.rows, found.columns, found.precision) == (36, 40, 16)
    assert claim(b"anything") is None
    assert JPEGExtended12Bit in decoders._KINDS
    assert os.path.isfile(decoders._SCRIPT)

"""TorchScript and ONNX networks through the real loading code."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.network_backend import NetworkBackend
from tests.segment.external.networks import (
    finish,
    lopsided,
    nearest_class,
    onnx_bytes,
    scan_showing,
    torchscript_bytes,
    write_model,
)

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]


@pytest.fixture(scope="module")
def script() -> dict[int, bytes]:
    return {d: torchscript_bytes(nearest_class(d), d) for d in (2, 3)}


def backend(folder: Path, expected: str | None = None) -> NetworkBackend:
    return NetworkBackend(inspect_folder(folder), expected)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_labels_come_back_voxel_by_voxel(
    tmp_path: Path, dimensions: int, kind: str, script: dict[int, bytes]
) -> None:
    network = nearest_class(dimensions)
    data = script[dimensions] if kind == "torchscript" else onnx_bytes(network, dimensions)
    folder = write_model(tmp_path / "model", data, dimensions, kind)
    truth = lopsided()
    progress, found = finish(backend(folder).run(scan_showing(truth), "cpu"))
    np.testing.assert_array_equal(found.muscle, truth)
    assert found.muscle.dtype == np.uint8
    assert found.backend == "Nearest class 1.2"
    assert found.weights_sha256 == hashlib.sha256(data).hexdigest()
    assert found.device == "cpu"
    assert found.about["licence"] == "CC-BY-NC-4.0"
    assert found.about["inputs"] == ["water"]
    assert found.combined == ()
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert 0 < found.slice_uncertainty.max() < 1  # a soft maximum is never quite sure


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_the_orientation_of_the_file_changes_nothing(
    axes: str, tmp_path: Path, script: dict[int, bytes]
) -> None:
    truth = lopsided((4, 6, 10))
    wanted = ORIENTATIONS[(ORIENTATIONS.index(axes) * 7) % 48]  # each network orientation once
    folder = write_model(tmp_path / "model", script[3], 3, orientation=wanted)
    scan = scan_showing(truth, axes=axes)
    _, found = finish(backend(folder).run(scan, "cpu"))
    np.testing.assert_array_equal(found.muscle, truth)
    grid = scan.reference.file_grid
    written = np.ascontiguousarray(grid.to_file(found.muscle))
    np.testing.assert_array_equal(grid.to_working(written), truth)


def test_an_oblique_scan_changes_nothing(tmp_path: Path, script: dict[int, bytes]) -> None:
    angle = np.radians(15)
    turned = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    truth = lopsided()
    folder = write_model(tmp_path / "model", script[3], 3)
    _, found = finish(backend(folder).run(scan_showing(truth, rotation=turned), "cpu"))
    np.testing.assert_array_equal(found.muscle, truth)


@pytest.mark.parametrize(
    ("orientation", "axis", "step"),
    [("RAS", 2, -1), ("LPS", 2, 1), ("ARS", 1, -1), ("SPL", 0, -1), ("IPL", 0, 1)],
)
def test_the_first_axis_of_the_network_points_where_its_orientation_says(
    tmp_path: Path, orientation: str, axis: int, step: int
) -> None:
    # The network moves everything by one voxel along its first axis.
    data = torchscript_bytes(nearest_class(3, shift=1), 3)
    folder = write_model(tmp_path / "model", data, 3, orientation=orientation)
    truth = np.zeros((5, 6, 7), np.uint8)
    truth[2, 3, 4] = 3
    _, found = finish(backend(folder).run(scan_showing(truth), "cpu"))
    np.testing.assert_array_equal(found.muscle, np.roll(truth, step, axis=axis))


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.8])
def test_windows_give_what_the_whole_gives(
    tmp_path: Path, overlap: float, script: dict[int, bytes]
) -> None:
    truth = lopsided((9, 20, 31))
    for dimensions, patch in ((3, [8, 8, 8]), (2, [16, 8])):
        folder = write_model(
            tmp_path / f"m{dimensions}",
            script[dimensions],
            dimensions,
            patch=patch,
            overlap=overlap,
        )
        progress, found = finish(backend(folder).run(scan_showing(truth), "cpu"))
        np.testing.assert_array_equal(found.muscle, truth)
        assert sum(p.text.startswith("Window") for p in progress) > 5


def test_sizes_are_padded_to_a_multiple(tmp_path: Path) -> None:
    import torch

    class Halves(torch.nn.Module):
        """Fails on odd sizes, as a network that halves its input does."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = nearest_class(2)

        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            assert image.shape[2] % 8 == 0
            assert image.shape[3] % 8 == 0
            # Deep supervision: the full resolution first.
            return [self.inner(image), self.inner(image[:, :, ::2, ::2])]

    truth = lopsided((3, 13, 21))
    data = torchscript_bytes(Halves(), 2)
    folder = write_model(tmp_path / "fits", data, 2, multiple=8)
    _, found = finish(backend(folder).run(scan_showing(truth), "cpu"))
    np.testing.assert_array_equal(found.muscle, truth)
    folder = write_model(tmp_path / "does not", data, 2)
    with pytest.raises(BackfatError, match=r"failed on an input of shape .*'multiple'"):
        finish(backend(folder).run(scan_showing(truth), "cpu"))


def test_other_voxel_sizes_are_resampled_there_and_back(
    tmp_path: Path, script: dict[int, bytes]
) -> None:
    # Blocks larger than any voxel, so that only borders can differ.
    truth = np.zeros((12, 40, 40), np.uint8)
    truth[2:10, 8:32, 22:36] = 3
    scan = scan_showing(truth, spacing=(4.0, 1.5, 1.5))
    for spacing in ([1.0, 1.0, None], [2.2, 2.2, 3.0], [3.0, 1.5, 4.0]):
        folder = write_model(
            tmp_path / str(spacing), script[3], 3, spacing_mm=spacing, orientation="RAS"
        )
        _, found = finish(backend(folder).run(scan, "cpu"))
        # Between background 0 and class 3 the resampled image passes 1 and 2, which the network
        # names as it must; what matters is that the place stays.
        ours = found.muscle == 3
        overlap = 2 * (ours & (truth == 3)).sum() / (ours.sum() + (truth == 3).sum())
        assert overlap > 0.9, spacing
        centre = np.argwhere(ours).mean(axis=0) - np.argwhere(truth == 3).mean(axis=0)
        assert np.abs(centre).max() < 0.6, spacing  # no more than one border row more or less


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"kind": "fixed", "mean": 100.0, "std": 50.0}, lambda x: (x - 100) / 50),
        ({"kind": "percentile", "low": 0, "high": 100}, lambda x: (x - x.min()) / np.ptp(x)),
        ({"kind": "zscore"}, lambda x: (x - x.mean()) / x.std()),
        (
            {"kind": "zscore", "nonzero": True},
            lambda x: np.where(x != 0, (x - x[x != 0].mean()) / x[x != 0].std(), 0),
        ),
        (
            {"kind": "zscore", "scope": "slice"},
            lambda x: (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True),
        ),
    ],
)
def test_intensities_are_scaled_as_the_manifest_says(
    tmp_path: Path, how: dict[str, Any], expected: Any
) -> None:
    data = torchscript_bytes(nearest_class(2), 2)
    folder = write_model(tmp_path / "model", data, 2, normalisation=how)
    raw = (np.random.default_rng(0).gamma(2, 60, (3, 16, 16)) * lopsided((3, 16, 16))).astype("f4")
    _, found = finish(backend(folder).run(scan_showing(raw), "cpu"))
    scaled = expected(raw.astype(np.float64))
    clear = np.abs(scaled - np.floor(scaled) - 0.5) > 1e-3  # not within rounding of a border
    nearest = np.clip(np.rint(scaled), 0, 8)
    assert len(np.unique(nearest)) > 1
    np.testing.assert_array_equal(found.muscle[clear], nearest[clear])


def test_each_channel_gets_the_contrast_it_asks_for(tmp_path: Path) -> None:
    data = torchscript_bytes(nearest_class(3, channels=2), 3, 2)
    truth = lopsided()
    scan = scan_showing(np.zeros_like(truth), truth)  # water is empty, fat holds the classes
    folder = write_model(tmp_path / "model", data, 3, channels=[["fat"], ["in", "water"]])
    _, found = finish(backend(folder).run(scan, "cpu"))
    np.testing.assert_array_equal(found.muscle, truth)
    assert found.about["inputs"] == ["fat", "water"]
    single = scan_showing(truth, contrasts=(Contrast.T2W,))
    with pytest.raises(BackfatError, match=r"needs a fat image as input 1; this scan has t2w only"):
        finish(backend(folder).run(single, "cpu"))


def test_classes_that_are_no_muscle_are_background(
    tmp_path: Path, script: dict[int, bytes]
) -> None:
    def fewer(manifest: dict[str, Any]) -> None:
        manifest["output"]["labels"] = {
            "5": {"muscle": "psoas major", "side": "left"},
            "8": {"muscle": "quadratus lumborum", "side": "right"},
        }

    truth = lopsided()
    folder = write_model(tmp_path / "model", script[3], 3, edit=fewer)
    _, found = finish(backend(folder).run(scan_showing(truth), "cpu"))
    np.testing.assert_array_equal(found.muscle, np.where(np.isin(truth, (5, 8)), truth, 0))
    texts = [f.text for f in found.flags]
    assert "This model does not outline multifidus and erector spinae: left blank." in texts
    assert not any("was not found" in t and "ultifidus" in t for t in texts)
    assert any(t.startswith("Psoas major R was not found") for t in texts)


def test_nothing_found_is_a_clean_answer(tmp_path: Path, script: dict[int, bytes]) -> None:
    folder = write_model(tmp_path / "model", script[3], 3)
    _, found = finish(backend(folder).run(scan_showing(np.zeros((3, 8, 8))), "cpu"))
    assert [f.kind for f in found.flags] == ["no paraspinal muscles"]
    assert not found.found


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_network_that_is_not_as_described_is_said_in_words(tmp_path: Path, kind: str) -> None:
    network = nearest_class(3, classes=4)
    data = torchscript_bytes(network, 3) if kind == "torchscript" else onnx_bytes(network, 3)
    folder = write_model(tmp_path / "classes", data, 3, kind)
    with pytest.raises(BackfatError, match=r"gives 4 classes, but its labels go up to 8"):
        finish(backend(folder).run(scan_showing(lopsided()), "cpu"))
    folder = write_model(tmp_path / "dimensions", data, 2, kind)
    with pytest.raises(BackfatError, match=r"(failed on an input|gives an array) of shape"):
        finish(backend(folder).run(scan_showing(lopsided()), "cpu"))
    folder = write_model(tmp_path / "rubbish", b"no network at all" * 99, 3, kind)
    with pytest.raises(BackfatError, match=r"is not an? (ONNX|TorchScript) file"):
        finish(backend(folder).run(scan_showing(lopsided()), "cpu"))


def test_replaced_weights_are_refused(tmp_path: Path, script: dict[int, bytes]) -> None:
    folder = write_model(tmp_path / "model", script[3], 3)
    (folder / "model.pt").write_bytes(script[2])
    with pytest.raises(BackfatError, match=r"damaged or were replaced"):
        finish(backend(folder).run(scan_showing(lopsided()), "cpu"))
    # Even if somebody changes the manifest as well: the hash of when it was added is remembered.
    folder = write_model(tmp_path / "model", script[2], 2)
    with pytest.raises(BackfatError, match=r"have changed since they were added"):
        finish(backend(folder, "0" * 64).run(scan_showing(lopsided()), "cpu"))


class _Trap:
    """Unpickling this writes a file: the classic attack by a weights file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "it ran")


def test_a_pickle_in_the_place_of_a_network_is_never_opened(tmp_path: Path) -> None:
    import torch

    sprung = tmp_path / "sprung.txt"
    plain = pickle.dumps(_Trap(sprung))
    with (tmp_path / "zipped.pt").open("wb") as stream:
        torch.save({"weights": _Trap(sprung)}, stream)
    for number, data in enumerate((plain, (tmp_path / "zipped.pt").read_bytes())):
        pickle.loads(plain)  # the trap works
        sprung.unlink()
        folder = write_model(tmp_path / f"m{number}", data, 3)
        with pytest.raises(BackfatError, match="not a TorchScript file"):
            finish(backend(folder).run(scan_showing(lopsided()), "cpu"))
        assert not sprung.exists()


def test_without_onnx_runtime_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(tmp_path / "model", onnx_bytes(nearest_class(3), 3), 3, "onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackfatError, match=r"pip install napari-backfat\[onnx\]"):
        finish(backend(folder).run(scan_showing(lopsided()), "cpu"))


def test_devices_that_are_not_there(tmp_path: Path, script: dict[int, bytes]) -> None:
    import onnxruntime
    import torch

    if not torch.cuda.is_available():
        folder = write_model(tmp_path / "script", script[3], 3)
        with pytest.raises(BackfatError, match="not available here"):
            finish(backend(folder).run(scan_showing(lopsided()), "cuda"))
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        folder = write_model(tmp_path / "onnx", onnx_bytes(nearest_class(3), 3), 3, "onnx")
        with pytest.raises(BackfatError, match="cannot use the device"):
            finish(backend(folder).run(scan_showing(lopsided()), "cuda"))


def test_cancelling_answers_at_once(tmp_path: Path, script: dict[int, bytes]) -> None:
    folder = write_model(tmp_path / "model", script[2], 2)
    job = backend(folder).run(scan_showing(lopsided((30, 64, 64))), "cpu")
    for step in job:
        if step.text.startswith("Window"):
            break
    started = time.perf_counter()
    job.close()
    assert time.perf_counter() - started < 0.5


def test_torch_keeps_its_threads(tmp_path: Path, script: dict[int, bytes]) -> None:
    import torch

    before = torch.get_num_threads()
    folder = write_model(tmp_path / "model", script[2], 2)
    finish(backend(folder).run(scan_showing(lopsided()), "cpu"))
    assert torch.get_num_threads() == before


# ------------------------------------------------------------------ MuscleMap


def write_musclemap(folder: Path, wholebody: bool = True) -> Path:
    """A folder as MuscleMap ships it: a MONAI U-Net's weights and its description."""
    import torch
    from monai.networks.nets.unet import UNet

    if wholebody:
        values = [(1111, "multifidus", "left"), (6160, "sacrum", "no side")]
        values += [(5131, "quadratus lumborum", "left"), (5102, "multifidus", "right")]
        labels = [{"region": "-", "anatomy": a, "side": s, "value": v} for v, a, s in values]
    else:
        labels = [
            {"structure": "multifidus", "side": "right", "value": 1},
            {"structure": "multifidus", "side": "left", "value": 2},
        ]
    model = {
        "version": 1.0,
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": len(labels) + 1,
        "channels": [4, 8],
        "act": "LeakyReLU",
        "strides": [2],
        "num_res_units": 1,
        "norm": "instance",
    }
    config = {
        "parameters": {"roi_size": [32, 32], "pix_dim": [1, 1, -1]},
        "model": model,
        "labels": labels,
    }
    folder.mkdir()
    (folder / "net.json").write_text(json.dumps(config))
    torch.manual_seed(4)
    names = ("spatial_dims", "in_channels", "out_channels", "channels", "strides", "num_res_units")
    network = UNet(**{k: model[k] for k in (*names, "act", "norm")})
    torch.save(network.state_dict(), folder / "net.pth")
    return folder


def test_a_musclemap_folder_is_read_as_it_is(tmp_path: Path) -> None:
    folder = write_musclemap(tmp_path / "musclemap")
    model = inspect_folder(folder)
    assert model.kind == "musclemap"
    # Classes follow the sorted numbers 1111, 5102, 5131, 6160; 1111 is cervical and not ours.
    meaning = {n: (v.muscle, v.side) for n, v in model.label_map.labels.items()}
    assert meaning == {2: ("multifidus", "right"), 3: ("quadratus lumborum", "left")}
    image = np.random.default_rng(1).gamma(2, 80, (3, 40, 44)).astype(np.float32)
    _, found = finish(NetworkBackend(model).run(scan_showing(image), "cpu"))
    assert set(np.unique(found.muscle)) <= {0, 2, 7}
    assert found.found
    assert found.backend == "net 1.0"


def test_the_musclemap_network_sees_what_musclemap_shows_it(tmp_path: Path) -> None:
    """On a 1 mm grid of one window the labels are MONAI's own, in RAS, scaled as MuscleMap does."""
    import torch

    from napari_backfat.segment.external.musclemap_torch import load_network

    folder = write_musclemap(tmp_path / "musclemap")
    model = inspect_folder(folder)
    image = np.random.default_rng(1).gamma(2, 80, (2, 32, 32)).astype(np.float32)
    image[:, :5] = 0
    _, found = finish(NetworkBackend(model).run(scan_showing(image, spacing=(5, 1, 1)), "cpu"))
    ras = image.transpose(2, 1, 0)[::-1, ::-1, ::-1]
    scaled = np.where(ras != 0, (ras - ras[ras != 0].mean()) / ras[ras != 0].std(), 0)
    network = load_network(folder, model.details["config"])
    for z in range(2):
        with torch.inference_mode():
            plane = torch.from_numpy(scaled[:, :, z].copy()[None, None].astype(np.float32))
            wanted = network(plane).argmax(dim=1)[0].numpy()
        ours = found.muscle.transpose(2, 1, 0)[::-1, ::-1, ::-1][:, :, z]
        np.testing.assert_array_equal(ours == 2, wanted == 2)
        np.testing.assert_array_equal(ours == 7, wanted == 3)


def test_an_early_musclemap_model_is_read_by_its_names(tmp_path: Path) -> None:
    model = inspect_folder(write_musclemap(tmp_path / "abdomen", wholebody=False))
    meaning = {n: (v.muscle, v.side) for n, v in model.label_map.labels.items()}
    assert meaning == {1: ("multifidus", "right"), 2: ("multifidus", "left")}


def test_a_trap_in_musclemap_weights_does_not_spring(tmp_path: Path) -> None:
    import torch

    folder = write_musclemap(tmp_path / "musclemap")
    sprung = tmp_path / "sprung.txt"
    torch.save({"weights": _Trap(sprung)}, folder / "net.pth")
    with pytest.raises(BackfatError, match="could run code"):
        finish(NetworkBackend(inspect_folder(folder)).run(scan_showing(lopsided()), "cpu"))
    assert not sprung.exists()

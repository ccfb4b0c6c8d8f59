from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.weights import find_weights, load_networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_weights_load_and_run(weights_folder: Callable[..., Path]) -> None:
    weights = find_weights(weights_folder())
    coarse, fine = load_networks(weights)
    assert coarse(torch.zeros(1, 2, 64, 64)).shape == (1, 9, 64, 64)
    assert fine(torch.zeros(2, 2, 96, 128)).shape == (2, 9, 96, 128)
    assert not fine.training
    assert weights.description == f"untrained (sha256 {weights.sha256[:12]})"


def test_one_changed_byte_is_noticed(weights_folder: Callable[..., Path]) -> None:
    folder = weights_folder()
    path = folder / "net.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackfatError, match="damaged or were replaced"):
        load_networks(find_weights(folder))


def test_an_architecture_that_does_not_fit_is_noticed(weights_folder: Callable[..., Path]) -> None:
    def wider(manifest: dict[str, Any]) -> None:
        manifest["fine"]["features"] = [8, 8, 8, 8, 8, 8]

    with pytest.raises(BackfatError, match="do not fit"):
        load_networks(find_weights(weights_folder(wider)))


def test_a_missing_file_and_a_missing_manifest_say_what_to_do(
    weights_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = weights_folder()
    (folder / "net.safetensors").unlink()
    with pytest.raises(BackfatError, match=r"net\.safetensors are missing"):
        find_weights(folder)
    with pytest.raises(BackfatError, match="Reinstall"):
        find_weights(tmp_path / "nowhere")


@pytest.mark.parametrize("field", ["sha256", "file", "name", "coarse", "fine"])
def test_a_manifest_without_a_field_is_refused(
    weights_folder: Callable[..., Path], field: str
) -> None:
    folder = weights_folder(lambda manifest: manifest.pop(field))
    with pytest.raises(BackfatError, match="no readable manifest"):
        find_weights(folder)

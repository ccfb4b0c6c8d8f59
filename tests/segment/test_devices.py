from __future__ import annotations

import psutil
import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.devices import (
    CHOICES,
    available_devices,
    check_memory,
    out_of_memory,
    resolve_device,
)


def test_the_cpu_is_always_there_and_auto_takes_the_best() -> None:
    devices = available_devices()
    assert devices[-1] == "cpu"
    assert resolve_device("auto")[0] == devices[0]
    assert resolve_device("cpu") == ("cpu", resolve_device("cpu")[1])
    assert resolve_device("cpu")[1].startswith("The CPU will be used")


@pytest.mark.parametrize("choice", ["cuda", "mps"])
def test_an_absent_device_is_refused_with_a_way_out(choice: str) -> None:
    if choice in available_devices():
        assert resolve_device(choice)[0] == choice
        return
    with pytest.raises(BackfatError, match=f"'{choice}' is not available.*Choose 'auto' or 'cpu'"):
        resolve_device(choice)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(BackfatError, match="Choose one of"):
        resolve_device("tpu")
    assert CHOICES[0] == "auto"


def test_too_little_memory_is_said_before_anything_starts() -> None:
    check_memory(1, "cpu")
    total = psutil.virtual_memory().total
    with pytest.raises(BackfatError, match=r"needs about .* GB in memory.*crop the scan"):
        check_memory(2 * total, "cpu")


def test_running_out_on_a_gpu_advises_the_cpu() -> None:
    assert "'cpu'" in str(out_of_memory("cuda"))
    assert "crop" in str(out_of_memory("cpu"))

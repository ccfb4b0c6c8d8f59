"""Which device a network can run on, said in words; and whether there is memory enough."""

from __future__ import annotations

import platform

from napari_backfat.model.errors import BackfatError

CHOICES = ("auto", "cpu", "cuda", "mps")


def available_devices() -> tuple[str, ...]:
    """Devices that torch can use here, best first; "cpu" is always among them."""
    import torch

    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def resolve_device(choice: str) -> tuple[str, str]:
    """Turn a choice into a device and say what will be used.

    Parameters
    ----------
    choice : {"auto", "cpu", "cuda", "mps"}
        What the user chose.

    Returns
    -------
    tuple of str
        The torch device and one sentence for people.

    Raises
    ------
    BackfatError
        If the choice is unknown or this device is not there.
    """
    if choice not in CHOICES:
        raise BackfatError(f"Unknown device '{choice}'. Choose one of {', '.join(CHOICES)}.")
    devices = available_devices()
    if choice == "auto":
        choice = devices[0]
    if choice not in devices:
        raise BackfatError(
            f"The device '{choice}' is not available here ({_why_not(choice)}). "
            "Choose 'auto' or 'cpu'."
        )
    return choice, _sentence(choice)


def _why_not(choice: str) -> str:
    import torch

    if choice == "cuda":
        built = torch.version.cuda
        return "no CUDA GPU was found" if built else "this torch was installed without CUDA"
    return "it needs an Apple GPU and macOS"


def _sentence(device: str) -> str:
    import torch

    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name(0)
        return f"The GPU {name} will be used ({free / 1e9:.1f} GB free)."
    if device == "mps":
        return "The Apple GPU (Metal) will be used."
    threads = torch.get_num_threads()
    return f"The CPU will be used ({platform.machine()}, {threads} threads)."


def check_memory(needed_bytes: int, device: str) -> None:
    """Refuse early, with advice, when a run would not fit into memory.

    Parameters
    ----------
    needed_bytes : int
        Estimated additional memory of the run.
    device : str
        torch device.

    Raises
    ------
    BackfatError
        If less than that is available.
    """
    if device == "cuda":
        import torch

        free = int(torch.cuda.mem_get_info()[0])
        place, advice = "on the GPU", "Choose the device 'cpu' or close other programs on the GPU."
    else:
        import psutil

        free = int(psutil.virtual_memory().available)
        place, advice = "in memory", "Close other programs or crop the scan to the lower back."
    if free < needed_bytes:
        raise BackfatError(
            f"The segmentation needs about {needed_bytes / 1e9:.1f} GB {place}, but only "
            f"{free / 1e9:.1f} GB are free. {advice}"
        )


def out_of_memory(device: str) -> BackfatError:
    """Give the error to raise when a device ran out of memory after all."""
    advice = (
        "Choose the device 'cpu' or close other programs on the GPU."
        if device != "cpu"
        else "Close other programs or crop the scan to the lower back."
    )
    return BackfatError(f"The segmentation ran out of memory on '{device}'. {advice}")


def device_note(choice: str) -> str:
    """Say in one sentence what a choice will use, or why it cannot; takes seconds at first."""
    try:
        return resolve_device(choice)[1]
    except BackfatError as error:
        return str(error)

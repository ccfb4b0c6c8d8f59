"""Where a network runs: what this computer has, and what a choice means."""

from __future__ import annotations

import importlib.util
import os

from napari_backfat.model.errors import BackfatError

CHOICES = ("auto", "cpu", "cuda", "mps")


def available_devices() -> list[str]:
    """Return the devices that can be chosen, best guess first, without importing torch.

    Starting torch takes seconds, so a graphics device is only guessed from its driver here;
    `resolve_device` asks torch itself.
    """
    devices = ["cpu"]
    if os.path.exists("/dev/nvidiactl") or os.path.exists("/proc/driver/nvidia"):
        devices.append("cuda")
    elif os.name == "nt" and importlib.util.find_spec("torch") is not None:
        devices.append("cuda")
    if os.uname().sysname == "Darwin" if hasattr(os, "uname") else False:
        devices.append("mps")
    return devices


def describe_choice(choice: str) -> str:
    """Return what a choice will use, without starting torch; one sentence for people."""
    if choice == "auto":
        others = [d for d in available_devices() if d != "cpu"]
        if others:
            return f"Uses {others[0]} if torch can, else the processor."
        return f"Uses the processor ({os.cpu_count()} cores); no graphics device was found."
    if choice == "cpu":
        return f"Uses the processor ({os.cpu_count()} cores)."
    return f"Uses {choice}, or says so if torch cannot."


def resolve_device(choice: str) -> tuple[str, str]:
    """Ask torch which device a choice stands for.

    Parameters
    ----------
    choice : str
        One of `CHOICES`.

    Returns
    -------
    device, sentence : str
        torch's name of the device, and what will be used, for people.

    Raises
    ------
    BackfatError
        If the chosen device cannot be used here.
    """
    if choice not in CHOICES:
        raise BackfatError(f"There is no device '{choice}'; choose one of {', '.join(CHOICES)}.")
    import torch

    usable = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    device = choice
    if choice == "auto":
        device = next(d for d in ("cuda", "mps", "cpu") if usable[d])
    elif not usable[choice]:
        raise BackfatError(
            f"torch cannot use '{choice}' on this computer; choose 'auto' or 'cpu' instead."
        )
    if device == "cuda":
        return device, f"Uses the graphics card {torch.cuda.get_device_name(0)}."
    if device == "mps":
        return device, "Uses the Apple graphics processor."
    return device, f"Uses the processor with {torch.get_num_threads()} threads."

"""Runs TorchScript files, and MuscleMap networks, with torch in this process.

A TorchScript file is a ZIP archive of tensors and of code in TorchScript's own language;
`torch.jit.load` reads it without Python's pickle, so opening it makes no Python objects and runs no
Python. That code can still do what tensor operations can do: use files of people you trust.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.devices import out_of_memory, resolve_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def load_torchscript(data: bytes, device: str, called: str) -> tuple[Run, str]:
    """Load a TorchScript file.

    Parameters
    ----------
    data : bytes
        The file, already checked by its hash.
    device : str
        "auto", "cpu", "cuda" or "mps".
    called : str
        The model's name, for errors.

    Returns
    -------
    tuple of callable and str
        From (1, channel, *window) to (1, class, *window), float32; and the device.
    """
    import torch

    where, _ = resolve_device(device)
    with warnings.catch_warnings():
        # torch asks authors to export in a newer form; files in this form stay in use all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            network = torch.jit.load(io.BytesIO(data), map_location=where)  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            raise BackfatError(
                f"{called} is not a TorchScript file that this torch ({torch.__version__}) can "
                f"read: {_first_line(error)}."
            ) from error
    return runner(network.eval(), where, called), where


def runner(network: Any, device: str, called: str) -> Run:
    """Wrap a torch network; of several outputs (deep supervision) the first is taken."""
    import torch

    def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                found = network(torch.from_numpy(window).to(device))
        except MemoryError as error:
            raise out_of_memory(device) from error
        # torch.jit.Error, for what a script itself raises, is no RuntimeError.
        except (RuntimeError, TypeError, ValueError, torch.jit.Error) as error:
            text = str(error).lower()
            if "out of memory" in text or "can't allocate" in text:
                raise out_of_memory(device) from error
            raise BackfatError(
                f"{called} failed on an input of shape {window.shape}: {_first_line(error)}. "
                "Check 'dimensions', 'channels', 'patch' and 'multiple' in its manifest."
            ) from error
        while isinstance(found, list | tuple) and found:
            found = found[0]
        if not isinstance(found, torch.Tensor):
            raise BackfatError(f"{called} gives {type(found).__name__}; an array is needed.")
        return np.asarray(found.float().cpu().numpy())

    return run


def half_the_threads() -> AbstractContextManager[None]:
    """Let torch use half the cores meanwhile, which leaves the window responsive."""
    import contextlib

    import torch

    @contextlib.contextmanager
    def limited() -> Iterator[None]:
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, threads // 2))
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    return limited()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript errors begin with a traceback of the script; the reason stands last.
    position = -1 if "Traceback" in str(error) else 0
    return (lines or [type(error).__name__])[position].rstrip(".")[:200]

"""Runs ONNX files with ONNX Runtime in this process.

An ONNX file describes a graph of tensor operations in protocol-buffer form: opening it runs no
Python. ONNX Runtime is an optional extra (``pip install napari-backfat[onnx]``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}


def load_onnx(data: bytes, device: str, called: str) -> tuple[Run, str]:
    """Load an ONNX file; its weights must be inside the file.

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

    Raises
    ------
    BackfatError
        If ONNX Runtime is missing, lacks the device, or cannot read the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackfatError(
            "ONNX models need ONNX Runtime: pip install napari-backfat[onnx]."
        ) from error
    there = onnxruntime.get_available_providers()
    usable = [name for name, provider in _PROVIDERS.items() if provider in there]
    if device == "auto":
        device = next(iter(usable), "cpu")
    if device != "cpu" and device not in usable:
        raise BackfatError(
            f"This ONNX Runtime cannot use the device '{device}'. Choose 'auto' or 'cpu'."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, (os.cpu_count() or 2) // 2)
    options.log_severity_level = 4
    providers = ["CPUExecutionProvider"]
    if device != "cpu":
        providers.insert(0, _PROVIDERS[device])
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # its exception classes share no public base class
        raise BackfatError(
            f"{called} is not an ONNX file that ONNX Runtime {onnxruntime.__version__} can read "
            f"({_first_line(error)}). Its weights must be inside the file itself."
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        taken = ", ".join(f"{i.name}: {i.type}" for i in inputs)
        raise BackfatError(f"{called} takes {taken}; one input tensor(float) is needed.")
    name, first = inputs[0].name, session.get_outputs()[0].name

    def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (found,) = session.run([first], {name: window})
        except Exception as error:  # as above
            raise BackfatError(
                f"{called} failed on an input of shape {window.shape}: {_first_line(error)}. "
                "Check 'dimensions', 'channels', 'patch' and 'multiple' in its manifest."
            ) from error
        return np.asarray(found, dtype=np.float32)

    return run, device


def _first_line(error: BaseException) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text.strip().rstrip(".")[:200]

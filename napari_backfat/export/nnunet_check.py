"""nnU-Net's own check of a dataset, where nnunetv2 is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from pathlib import Path


def verify_with_nnunet(folder: Path, python: str = sys.executable) -> str | None:
    """Let nnU-Net itself check a dataset, in a process of its own.

    Parameters
    ----------
    folder : Path
        Dataset folder.
    python : str
        Interpreter that has nnunetv2.

    Returns
    -------
    str or None
        What nnU-Net printed; None if nnunetv2 is not installed here.

    Raises
    ------
    BackfatError
        If nnU-Net refuses the dataset.
    """
    if python == sys.executable and importlib.util.find_spec("nnunetv2") is None:
        return None
    code = (
        "import sys\n"
        "from nnunetv2.experiment_planning.verify_dataset_integrity import "
        "verify_dataset_integrity\n"
        "if __name__ == '__main__':\n"
        "    verify_dataset_integrity(sys.argv[1], 1)\n"
    )
    place = {name: str(folder.parent) for name in ("nnUNet_raw", "nnUNet_preprocessed")}
    environment = os.environ | place | {"nnUNet_results": str(folder.parent)}
    done = subprocess.run(
        [python, "-c", code, str(folder)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode != 0 or "Error" in done.stdout:
        last = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
        if "ModuleNotFoundError" in last or "ImportError" in last:
            raise BackfatError(
                f"{folder} is written, but nnU-Net could not check it: its installation is "
                f"incomplete ({last})."
            )
        raise BackfatError(f"nnU-Net's own check refuses {folder}: {last}")
    return done.stdout.strip()

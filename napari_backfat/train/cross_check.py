"""The twin of the bundled weights that has never seen one person, nor any real image.

The bundled weights learn from every label map and from most of the real case, because there is so
little of both. What their recipe does on anatomy and on a real scan that it was not shown is
measured with a second network: the same code, the same settings, one map and the real case left
out, half the steps (cross_check.toml). `make cross-check` makes it in a folder of its own; it is
never shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.train.config import TrainConfig, load_config

if TYPE_CHECKING:
    from napari_backfat.segment.torch_backend import TorchBackend

CROSS_CHECK_CONFIG = Path(__file__).with_name("cross_check.toml")


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """A network and the configuration that says what it has not seen.

    Attributes
    ----------
    backend : TorchBackend
        The twin.
    config : TrainConfig
        Its configuration; `maps_held_out` names the maps it may be measured on.
    """

    backend: TorchBackend
    config: TrainConfig


def open_cross_check(folder: Path | None, config: Path = CROSS_CHECK_CONFIG) -> CrossCheck | None:
    """Open the twin's weights.

    Parameters
    ----------
    folder : Path or None
        Weights folder; None means that there is no twin and nothing is measured with it.
    config : Path
        Its configuration.

    Raises
    ------
    BackfatError
        If the weights or the configuration cannot be read.
    """
    if folder is None:
        return None
    from napari_backfat.segment.torch_backend import TorchBackend

    return CrossCheck(TorchBackend(folder), load_config(config))

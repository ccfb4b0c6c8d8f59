"""The twin of the bundled weights that has never seen one person.

The bundled weights learn from every label map there is, because maps are few. What their recipe
does on anatomy that it was not shown is measured with a second network: the same code and settings,
one map held out (cross_check.toml), fewer steps. `make cross-check` makes it in a folder of its
own; it is never shipped.
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

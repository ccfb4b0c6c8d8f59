"""Training configuration: one TOML file holds everything that changes the weights."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from napari_backfat.model.errors import BackfatError

# The trainings in their order; a place decides a seed.
STAGES = ("coarse", "fine", "refine")
DEFAULT_CONFIG = Path(__file__).with_name("default.toml")


@dataclass(frozen=True)
class StageConfig:
    """One network's training.

    Attributes
    ----------
    spacing_mm : float
        In-plane pixel of the network's input.
    patch : tuple of int
        Height and width of a training patch in pixels, multiples of 32.
    features : tuple of int
        Channels of the U-Net.
    batch, steps : int
        Slices a step and number of steps.
    learning_rate : float
        Peak of the one-cycle schedule.
    real : int
        Patches of each batch that are cut from `TrainConfig.real_case`.
    """

    spacing_mm: float
    patch: tuple[int, int]
    features: tuple[int, ...]
    batch: int
    steps: int
    learning_rate: float
    real: int = 0


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights, beside the code."""

    seed: int
    pool_lumbar: int
    pool_phantom: int
    pool_trunk: int
    pool_negative: int
    held_out: int
    fine: StageConfig
    coarse: StageConfig
    workers: int = 2
    maps: tuple[str, ...] = field(default_factory=tuple)
    maps_held_out: tuple[str, ...] = field(default_factory=tuple)
    real_case: str = ""
    pool_oblique: int = 0
    pool_oblique_phantom: int = 0
    pool_upper: int = 0
    refine: StageConfig | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the trainings, in their order."""
        return tuple(name for name in STAGES if getattr(self, name) is not None)

    def synthetic_only(self) -> TrainConfig:
        """Return the same training without patches of the real case."""
        changed: dict[str, Any] = {n: replace(self.stage(n), real=0) for n in self.stages}
        return replace(self, **changed)

    def stage(self, name: str) -> StageConfig:
        """Return the settings of one training.

        Raises
        ------
        BackfatError
            If the configuration has no such training.
        """
        if name not in self.stages:
            raise BackfatError(f"The training configuration has no stage '{name}'.")
        found: StageConfig = getattr(self, name)
        return found


def _stage(raw: dict[str, Any]) -> StageConfig:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
    return StageConfig(**values)


def load_config(path: Path = DEFAULT_CONFIG) -> TrainConfig:
    """Read a training configuration.

    Raises
    ------
    BackfatError
        If the file is missing or holds unknown keys.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BackfatError(f"The training configuration {path} cannot be read: {error}") from error
    unknown = set(raw) - {f.name for f in fields(TrainConfig)}
    if unknown:
        raise BackfatError(f"{path} has unknown settings: {', '.join(sorted(unknown))}.")
    stages = {name: _stage(raw[name]) for name in STAGES if name in raw}
    raw |= stages
    for key in ("maps", "maps_held_out"):
        raw[key] = tuple(raw.get(key, ()))
    if raw["held_out"] and not raw["maps_held_out"]:
        raise BackfatError(f"{path} wants held-out slices but names no map in maps_held_out.")
    both = set(raw["maps"]) & set(raw["maps_held_out"])
    if both:
        raise BackfatError(f"{path} trains on maps that it holds out: {', '.join(sorted(both))}.")
    for stage in stages.values():
        if stage.real and not raw.get("real_case"):
            raise BackfatError(f"{path} wants real patches but names no real_case.")
        if stage.real >= stage.batch:
            raise BackfatError(f"{path} wants {stage.real} real patches in {stage.batch}.")
    config = TrainConfig(**raw)
    special = (config.pool_oblique, config.pool_oblique_phantom, config.pool_upper)
    if config.refine is not None and 0 in special:
        raise BackfatError(f"{path} refines, but wants no oblique or upper slices in its pool.")
    return config


def data_root() -> Path:
    """Folder of the label maps: environment BACKFAT_DATA, else ../shared/data beside the project.

    Raises
    ------
    BackfatError
        If neither exists.
    """
    root = os.environ.get("BACKFAT_DATA")
    path = Path(root) if root else Path(__file__).parents[3] / "shared" / "data"
    if not (path / "label_maps").is_dir():
        raise BackfatError(
            f"No label_maps folder in {path}. Set BACKFAT_DATA to the folder that holds it."
        )
    return path

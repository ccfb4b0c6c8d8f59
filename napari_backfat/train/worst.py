"""The ten worst cases with pictures: where the shipped weights fail, for everyone to see."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.train.damage import DAMAGES
from napari_backfat.train.evaluate import evaluate_real_dixon, run
from napari_backfat.train.trials import map_trial, phantom_trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.segment.torch_backend import TorchBackend
    from napari_backfat.train.config import TrainConfig
    from napari_backfat.train.trials import Trial

logger = logging.getLogger(__name__)

_LEAST_ML = 1.0  # of a muscle in the truth: below, Dice measures chance
_PHANTOMS, _MAPS = 60_001, 70_001  # first seeds; no other study uses them


@dataclass(frozen=True, eq=False)
class Case:
    """One trial and what came of it."""

    trial: Trial
    made: Segmentation
    dice: dict[Muscle, float]

    @property
    def mean(self) -> float:
        """Mean Dice of the muscles that are there."""
        return float(np.mean(list(self.dice.values())))

    @property
    def warned(self) -> bool:
        """Whether the program said that something is doubtful or missing."""
        kinds = ("low confidence", "doubtful case", "not found", "no paraspinal muscles")
        return any(f.kind in kinds for f in self.made.flags)

    @property
    def worst_slice(self) -> int:
        """Slice in which most voxels are wrong."""
        wrong = self.made.muscle != self.trial.truth
        return int(np.argmax(wrong.sum(axis=(1, 2))))


def judge(trial: Trial, backend: TorchBackend, device: str = "cpu") -> Case:
    """Run a trial and compare it with the truth; a muscle that was not found has Dice 0."""
    made = run(backend, trial.scan, device)
    dice = {}
    for m in MUSCLES:
        truth, ours = trial.truth == m, made.muscle == m
        if truth.sum() * trial.scan.geometry.voxel_ml >= _LEAST_ML:
            dice[m] = 2 * float((truth & ours).sum()) / float(truth.sum() + ours.sum())
    return Case(trial, made, dice or {MUSCLES[0]: 1.0})


def _trials(
    damages: tuple[str, ...], phantoms: int, maps: int, config: TrainConfig, root: Path | None
) -> Iterator[Trial]:
    for damage in damages:
        for i in range(phantoms):
            yield phantom_trial(_PHANTOMS + i, damage)
        for i in range(maps if root is not None else 0):
            assert root is not None
            yield map_trial(root, config.maps_held_out, _MAPS + i, damage)


def write_worst(
    backend: TorchBackend,
    config: TrainConfig,
    root: Path | None,
    page: Path,
    *,
    phantoms: int = 30,
    maps: int = 20,
    per_damage: int = 2,
    device: str = "cpu",
) -> list[Case]:
    """Find the ten worst cases and write a page with their pictures.

    Parameters
    ----------
    backend : TorchBackend
        What is measured.
    config : TrainConfig
        Names the held-out maps.
    root : Path or None
        Data folder; without it there are phantoms only.
    page : Path
        Markdown file; pictures go to ``images/worst-NN.png`` beside it. They show phantom persons
        only; of the label map and of the real case, which are not this project's to pass on,
        there are numbers.
    phantoms, maps : int
        Undamaged persons of each kind.
    per_damage : int
        Persons of each kind for every damage, in the second table.
    device : str
        torch device.

    Returns
    -------
    list of Case
        The ten worst phantom persons, the worst first.
    """
    cases = []
    for trial in _trials(("clean",), phantoms, maps, config, root):
        cases.append(judge(trial, backend, device))
        logger.info("%s: %.3f", trial.name, cases[-1].mean)
    cases.sort(key=lambda c: c.mean)
    ten = [c for c in cases if c.trial.person.startswith("phantom")][:10]
    of_maps = [c for c in cases if c not in ten and c.trial.person.startswith("map")][:10]
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.glob("worst-*.png"):
        old.unlink()
    for i, case in enumerate(ten, start=1):
        draw_case(case, images / f"worst-{i:02d}.png")
    lines = [*_head(backend, cases), *_table(ten, pictures=True)]
    if of_maps:
        lines += [
            "## Deformations of the held-out label map",
            "Without pictures: the map is not this project's to pass on.",
            *_table(of_maps, pictures=False),
        ]
    harmed: list[Case] = []
    for damage in (d for d in DAMAGES if d != "clean"):
        of_this = [
            judge(t, backend, device)
            for t in _trials((damage,), per_damage, per_damage, config, root)
        ]
        harmed.append(min(of_this, key=lambda c: c.mean))
        logger.info("%s: worst %.3f", damage, harmed[-1].mean)
    lines += [
        "## Damaged images",
        f"The worst of {2 * per_damage} persons for each kind of damage of `train/damage.py`, "
        "which goes beyond what a usable scan shows.",
        *_table(harmed, pictures=False),
    ]
    if root is not None and (root / "real_dixon").is_dir():
        lines += _real(backend, root, device)
    page.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return ten


def _head(backend: TorchBackend, cases: list[Case]) -> list[str]:
    middle = float(np.median([c.mean for c in cases]))
    bad = [c for c in cases if c.mean < 0.8]
    said = sum(c.warned for c in bad)
    return [
        "# The ten worst cases",
        f"Written by `python -m napari_backfat.train worst` for {backend.name}. {len(cases)} "
        "synthetic scans that no training saw (phantom persons with their own seeds and random "
        "scanner settings; deformations of the held-out label map under random sequences) have a "
        f"median mean Dice of {middle:.3f}; {len(bad)} of them lie under 0.8, and the program "
        f"warned about {said} of these. First the ten phantom persons with the lowest.",
        "In the pictures: left the image, in the middle the truth, right what the network drew, "
        "in the slice with most wrong voxels. They are synthetic; a real scan can fail in ways "
        "that are not here.",
    ]


def _table(cases: list[Case], *, pictures: bool) -> list[str]:
    groups = ("multifidus", "erector spinae", "psoas", "quadratus")
    head = "| | case | mean Dice | " + " | ".join(f"{g} L, R" for g in groups) + " | warned |"
    rows = [head, "|---" * (len(groups) + 4) + "|"]
    for i, case in enumerate(cases, start=1):
        pairs = []
        for group in range(4):
            both = (case.dice.get(MUSCLES[2 * group + s]) for s in (0, 1))
            pairs.append(", ".join("-" if d is None else f"{d:.2f}" for d in both))
        rows.append(
            f"| {i} | {case.trial.name} | {case.mean:.2f} | "
            + " | ".join(pairs)
            + f" | {'yes' if case.warned else 'no'} |"
        )
    parts = ["\n".join(rows)]
    if pictures:
        parts += [
            f"### {i}. {case.trial.name}\n\n![Image, truth and outline of case {i}]"
            f"(images/worst-{i:02d}.png)"
            for i, case in enumerate(cases, start=1)
        ]
    return parts


def _real(backend: TorchBackend, root: Path, device: str) -> list[str]:
    rows = ["| input | " + " | ".join(("ES R", "MF R", "MF L", "ES L")) + " |", "|---" * 5 + "|"]
    for name, scores in evaluate_real_dixon(backend, root, device).items():
        dice = [v["dice"] for v in scores.values() if isinstance(v, dict) and "dice" in v]
        rows.append(f"| {name} | " + " | ".join(f"{d:.3f}" for d in dice) + " |")
    return [
        "## The real case",
        "Dice on the one real Dixon case with expert labels (erector spinae and multifidus only); "
        "the model card says how much of it was trained on. No picture of it is shown.",
        "\n".join(rows),
    ]


def draw_case(case: Case, path: Path) -> None:
    """Draw image, truth and outline of a case's worst slice beside each other."""
    from matplotlib.figure import Figure

    z = case.worst_slice
    image = case.trial.scan.reference.voxels[z]
    truth, ours = case.trial.truth[z], case.made.muscle[z]
    rows, columns = (np.flatnonzero(((truth > 0) | (ours > 0)).any(axis=k)) for k in (1, 0))
    if rows.size:
        margin = 25
        box = (
            slice(max(0, rows[0] - margin), rows[-1] + margin),
            slice(max(0, columns[0] - margin), columns[-1] + margin),
        )
        image, truth, ours = image[box], truth[box], ours[box]
    figure = Figure(figsize=(9, 2.9), dpi=80)
    for i, (labels, title) in enumerate(((None, "image"), (truth, "truth"), (ours, "network"))):
        axes = figure.add_subplot(1, 3, i + 1)
        spacing = case.trial.scan.geometry.spacing_mm
        axes.imshow(
            image,
            cmap="gray",
            vmax=float(np.percentile(image, 99.5)),
            aspect=spacing[1] / spacing[2],
        )
        if labels is not None:
            axes.imshow(_colors(labels), aspect=spacing[1] / spacing[2], interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(path, metadata={"Software": None})


def _colors(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Half transparent colours of the eight muscles, light on one side and dark on the other."""
    tones = ((0.9, 0.2, 0.2), (0.2, 0.8, 0.3), (0.3, 0.5, 1.0), (1.0, 0.8, 0.1))
    table = np.zeros((9, 4), dtype=np.float32)
    for m in MUSCLES:
        light = 1.0 if m % 2 else 0.65
        table[m] = (*(c * light for c in tones[(m - 1) // 2]), 0.5)
    return table[labels]

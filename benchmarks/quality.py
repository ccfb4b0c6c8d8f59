"""Does the program know when its outlines are wrong? Measured where the truth is known.

``python -m benchmarks.quality`` runs the bundled network over phantom persons and over the
held-out label map, clean and damaged in nine ways, fits the quality estimate on one half of the
persons, measures it on the other half and on the real case, writes
``napari_backfat/weights/quality.json`` (which the program reads) and prints the tables of
``docs/ai-trust.md``. To be run again after every training: the estimate belongs to the weights.
``--check`` measures the estimate in place without fitting or writing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from benchmarks.real_case import expert_muscles, open_case
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup
from napari_backfat.segment.quality import (
    FEATURES,
    QUALITY_FILE,
    Evidence,
    QualityModel,
    load_quality,
)
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.segment.weights import BUNDLED, find_weights
from napari_backfat.train.config import load_config
from napari_backfat.train.damage import DAMAGES
from napari_backfat.train.evaluate import run
from napari_backfat.train.real_slices import EXPERT
from napari_backfat.train.sources import scan_of
from napari_backfat.train.trials import Trial, map_trial, phantom_trial
from tests.shared_data import real_dixon_case, shared_data_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_backfat.segment.backend import Segmentation

REAL = "real case"
BAD = 0.8  # Dice below which an outline should be flagged
GRAVE = 0.7  # Dice below which missing it would be grave
_LEAST_ML = 0.5  # of truth: below, Dice measures chance
_FOUND = 0.9  # part of the bad outlines that the thresholds must find on the fitting half
_ENOUGH = 8  # bad outlines of one kind of muscle for a threshold of its own


@dataclass(frozen=True)
class Row:
    """One outline: what is true of it and what was known without the truth."""

    person: str
    seed: int
    contrast: str
    damage: str
    muscle: int
    dice: float
    evidence: dict[str, float]

    @property
    def features(self) -> np.ndarray:
        """Vector of the estimate."""
        return Evidence(**self.evidence).as_vector()


@dataclass(frozen=True)
class SliceRow:
    """Uncertainty and truth of one slice."""

    seed: int
    uncertainty: float
    dice: float


def rows_of(trial: Trial, made: Segmentation) -> tuple[list[Row], list[SliceRow], int]:
    """Compare a result with the truth; the third value counts muscles that were not found."""
    rows, slices, missed = [], [], 0
    voxel_ml = trial.scan.geometry.voxel_ml
    labelled = EXPERT if trial.person == REAL else MUSCLES
    for m in labelled:
        ours, truth = made.muscle == m, trial.truth == m
        if truth.sum() * voxel_ml < _LEAST_ML and not ours.any():
            continue
        if m not in made.quality:
            missed += 1  # the program says "not found"; there is no outline to judge
            continue
        dice = 2 * float((ours & truth).sum()) / float(ours.sum() + truth.sum())
        evidence = asdict(made.quality[m].evidence)
        rows.append(Row(trial.person, trial.seed, trial.contrast, trial.damage, m, dice, evidence))
    for z, uncertainty in enumerate(made.slice_uncertainty):
        ours, truth = made.muscle[z], trial.truth[z]
        # Where psoas and quadratus have no labels, a slice's Dice would count them as wrong.
        if uncertainty > 0 and truth.any() and trial.person != REAL:
            same = 2 * float(((ours == truth) & (ours > 0)).sum())
            dice = same / float((ours > 0).sum() + (truth > 0).sum())
            slices.append(SliceRow(trial.seed, float(uncertainty), dice))
    return rows, slices, missed


def makers(persons: int, maps: int) -> Iterator[tuple[str, Callable[[], Trial]]]:
    """Yield the trials of a study: every person clean and with four damages in turn."""
    kinds = [k for k in DAMAGES if k != "clean"]
    config, root = load_config(), shared_data_folder()
    held_out = config.maps_held_out if (root / "label_maps").is_dir() else ()
    for i in range(persons):
        seed = 20001 + i
        for k in ("clean", *(kinds[(4 * i + j) % len(kinds)] for j in range(4))):
            yield f"phantom {seed}, {k}", lambda s=seed, d=k: phantom_trial(s, d)
    for i in range(maps if held_out else 0):
        seed = 30001 + i
        for k in ("clean", *(kinds[(2 * i + j) % len(kinds)] for j in range(2))):
            yield f"map {seed}, {k}", lambda s=seed, d=k: map_trial(root, held_out, s, d)


def real_trials() -> Iterator[Trial]:
    """Yield the real case, clean and damaged; only what the expert labelled counts."""
    case = real_dixon_case()
    if case.absent:
        return
    session = open_case(case)
    assert session.case is not None
    scan, truth = session.case.scan, expert_muscles(case, session)
    images = {v.contrast: v.voxels for v in scan.images}
    for i, (name, damage) in enumerate(DAMAGES.items()):
        harmed, changed = damage(np.random.default_rng([99, i]), dict(images), truth)
        made = scan_of(harmed, scan.reference.file_grid, "real")
        yield Trial(REAL, 0, "water+fat", name, made, changed)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic curve."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def fit(rows: list[Row], sha256: str) -> QualityModel:
    """Fit logit(Dice) by ridge regression, one intercept for each kind of muscle.

    More evidence against an outline never raises its estimate: coefficients are kept from being
    positive, which also makes the curve hold beyond what the study has seen.
    """
    features = np.stack([r.features for r in rows])
    groups = np.array([(r.muscle - 1) // 2 for r in rows])
    hot = np.eye(4)[groups]
    dice = np.clip([r.dice for r in rows], 0.03, 0.985)
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    # Positive weights only: of the evidence with its sign turned, of each intercept both ways.
    design = np.hstack([-(features - centre) / scale, hot, -hot])
    ridge = Ridge(alpha=3.0, fit_intercept=False, positive=True)
    weights = ridge.fit(design, np.log(dice / (1 - dice))).coef_
    n = len(FEATURES)
    coefficients = -weights[:n] / scale
    own = weights[n : n + 4] - weights[n + 4 :] - float(coefficients @ centre)
    intercepts = {g: float(own[i]) for i, g in enumerate(MuscleGroup)}
    model = QualityModel(sha256, intercepts, coefficients, dict.fromkeys(MuscleGroup, 0.0))
    expected = expectations(model, rows)
    bad = np.array([r.dice < BAD for r in rows])
    # The lowest threshold that still finds most of the bad outlines, for each kind of muscle: the
    # network is surer of a misplaced border between two muscles than of a muscle's edge.
    overall = float(np.quantile(expected[bad], _FOUND)) if bad.any() else 0.5
    thresholds = {}
    for i, group in enumerate(MuscleGroup):
        own = expected[bad & (groups == i)]
        found = float(np.quantile(own, _FOUND)) if len(own) >= _ENOUGH else overall
        thresholds[group] = round(found, 3)
    return replace(model, thresholds=thresholds)


def expectations(model: QualityModel, rows: list[Row]) -> np.ndarray:
    """Return the estimated Dice of each outline."""
    return np.array(
        [model.judge(Muscle(r.muscle), Evidence(**r.evidence)).expected_dice for r in rows],
        dtype=np.float64,
    )


def judged(model: QualityModel, rows: list[Row]) -> dict[str, Any]:
    """Measure an estimate against the truth."""
    expected = expectations(model, rows)
    dice = np.array([r.dice for r in rows])
    limit = np.array([model.thresholds[Muscle(r.muscle).group] for r in rows])
    bad, grave, flagged = dice < BAD, dice < GRAVE, expected < limit
    both = bad.any() and not bad.all()
    return {
        "outlines": len(rows),
        "bad": int(bad.sum()),
        "spearman": float(spearmanr(expected, dice).statistic) if len(rows) > 3 else np.nan,
        "auroc": float(roc_auc_score(bad, -expected)) if both else np.nan,
        "found": float(flagged[bad].mean()) if bad.any() else np.nan,
        "found_grave": float(flagged[grave].mean()) if grave.any() else np.nan,
        "false_alarms": float(flagged[~bad].mean()) if (~bad).any() else np.nan,
        "mean_error": float(np.abs(expected - dice).mean()) if len(rows) else np.nan,
    }


def collect(
    trials: Iterator[Trial], backend: TorchBackend, until: float = math.inf
) -> tuple[list[Row], list[SliceRow], int]:
    """Run the pipeline over trials, no further one after this `time.monotonic`."""
    rows: list[Row] = []
    slices: list[SliceRow] = []
    missed = 0
    for trial in trials:
        more, of_slices, absent = rows_of(trial, run(backend, trial.scan))
        rows, slices, missed = rows + more, slices + of_slices, missed + absent
        if time.monotonic() > until:
            break
    return rows, slices, missed


def _line(console: Console, name: str, result: dict[str, Any]) -> None:
    numbers = ("spearman", "auroc", "found", "found_grave", "false_alarms", "mean_error")
    shown = ("-" if np.isnan(result[k]) else f"{result[k]:.2f}" for k in numbers)
    console.print(
        f"| {name} | {result['outlines']} | {result['bad']} | " + " | ".join(shown) + " |"
    )


def report(
    console: Console, model: QualityModel, rows: list[Row], slices: list[SliceRow], real: list[Row]
) -> dict[str, Any]:
    """Print the tables of the half that was not fitted, and return their numbers."""
    console.print(
        f"| outlines | number | Dice < {BAD} | Spearman | AUROC | found | found of those < {GRAVE} "
        "| false alarms | mean error |"
    )
    console.print("|---" * 9 + "|")
    parts: dict[str, np.ndarray] = {
        "all": np.ones(len(rows), bool),
        "phantom persons": np.array([r.person.startswith("phantom") for r in rows]),
        "held-out label map": np.array([r.person.startswith("map") for r in rows]),
    }
    for group in MuscleGroup:
        parts[group.value] = np.array([Muscle(r.muscle).group is group for r in rows])
    for damage in DAMAGES:
        parts[damage] = np.array([r.damage == damage for r in rows])
    results = {}
    for name, where in parts.items():
        chosen = [r for r, w in zip(rows, where, strict=True) if w]
        if len(chosen) > 3:
            results[name] = judged(model, chosen)
            _line(console, name, results[name])
    if real:
        results["real case"] = judged(model, real)
        _line(console, "real case, clean and damaged", results["real case"])
    raw = [1 - r.evidence["unsure"] for r in rows]
    dice = [r.dice for r in rows]
    alone = {
        f: float(spearmanr([-r.evidence[f] for r in rows], dice).statistic) for f in FEATURES[:7]
    }
    words = ", ".join(f"{name} {value:.2f}" for name, value in alone.items())
    console.print(f"\nSpearman of each piece of evidence alone: {words}.\n")
    results["mean probability alone"] = {"spearman": float(spearmanr(raw, dice).statistic)}
    results["alone"] = alone
    if len(slices) > 3:
        found = spearmanr([-s.uncertainty for s in slices], [s.dice for s in slices]).statistic
        console.print(f"{len(slices)} slices: Spearman of sureness and Dice {found:.2f}.")
        results["slices"] = {"number": len(slices), "spearman": float(found)}
    return results


def main(arguments: list[str], console: Console | None = None) -> int:
    """Run the study; see the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--persons", type=int, default=36, help="phantom persons")
    parser.add_argument("--maps", type=int, default=14, help="deformations of the held-out map")
    parser.add_argument("--minutes", type=float, default=120.0, help="no new trial after these")
    parser.add_argument("--check", action="store_true", help="measure only, write nothing")
    parser.add_argument("--rows", type=Path, default=Path("out/quality-rows.json"))
    parser.add_argument("--reuse", action="store_true", help="read the rows of the last run")
    options = parser.parse_args(arguments)
    console = console or Console(width=160, soft_wrap=True)
    backend, weights = TorchBackend(), find_weights()
    if options.reuse:
        raw = json.loads(options.rows.read_text("utf-8"))
        rows = [Row(**r) for r in raw["rows"]]
        slices = [SliceRow(**r) for r in raw["slices"]]
        real = [Row(**r) for r in raw["real"] if r["muscle"] in EXPERT]
        missed = raw["missed"]
        if raw["weights_sha256"] != weights.sha256:
            console.print("these rows belong to other weights")
            return 2
    else:
        every = list(makers(options.persons, options.maps))
        rng = np.random.default_rng(0)  # mixed, so that a study that was cut short is a fair one
        order = [every[i] for i in rng.permutation(len(every))]
        made = (make() for _, make in track(order, "trials", console=console))
        until = time.monotonic() + 60 * options.minutes
        rows, slices, missed = collect(made, backend, until)
        _keep(options.rows, weights.sha256, missed, rows, slices, [])
        real, _, _ = collect(real_trials(), backend)
        _keep(options.rows, weights.sha256, missed, rows, slices, real)
    fitting = [r for r in rows if r.seed % 2 == 0]
    testing = [r for r in rows if r.seed % 2 == 1]
    model = load_quality(BUNDLED) if options.check else fit(fitting, weights.sha256)
    if model is None:
        console.print(f"there is no {QUALITY_FILE} yet")
        return 2
    console.print(f"{weights.description}; {missed} muscles not found and said so.\n")
    results = report(console, model, testing, [s for s in slices if s.seed % 2 == 1], real)
    if not options.check:
        _write(model, fitting, results)
        console.print(f"written to {BUNDLED / QUALITY_FILE}")
    return 0


def _keep(
    path: Path,
    sha256: str,
    missed: int,
    rows: list[Row],
    slices: list[SliceRow],
    real: list[Row],
) -> None:
    """Keep what was run, so that another fit needs no other run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "weights_sha256": sha256,
        "missed": missed,
        "rows": [asdict(r) for r in rows],
        "slices": [asdict(s) for s in slices],
        "real": [asdict(r) for r in real],
    }
    path.write_text(json.dumps(kept) + "\n", "utf-8")


def _write(model: QualityModel, fitting: list[Row], results: dict[str, Any]) -> None:
    clean = json.loads(json.dumps(results, default=float).replace("NaN", "null"))
    page = {
        "about": "Estimate of an outline's Dice from its evidence; see segment/quality.py. "
        "Made by python -m benchmarks.quality; belongs to these weights only.",
        "weights_sha256": model.weights_sha256,
        "features": list(FEATURES),
        "coefficients": [round(float(c), 5) for c in model.coefficients],
        "intercepts": {g.value: round(v, 5) for g, v in model.intercepts.items()},
        "thresholds": {g.value: v for g, v in model.thresholds.items()},
        "fitted_on": f"{len(fitting)} outlines of persons with even seeds",
        "measured_on_odd_seeds": {
            k: {n: round(v, 3) if isinstance(v, float) else v for n, v in r.items()}
            for k, r in clean.items()
        },
    }
    (BUNDLED / QUALITY_FILE).write_text(json.dumps(page, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

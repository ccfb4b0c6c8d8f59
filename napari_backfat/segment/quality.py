"""How far an outline can be trusted, estimated without knowing the truth."""

from __future__ import annotations

import itertools
import json
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

QUALITY_FILE = "quality.json"
_UNSURE = 0.25  # 1 - mean probability, where nothing better was measured
_LEAST_OVERLAP = 0.5
_MOST = 1.5  # of the side ratio's logarithm: the other side is absent or less than a quarter


@dataclass(frozen=True)
class Evidence:
    """What the network and the shape say about one muscle's outline; 0 is good for each.

    Attributes
    ----------
    unsure : float
        1 - mean probability of the muscle's voxels.
    unsharp : float
        1 - the overlap 2 sum_in(p) / (n + sum_all(p)) that the probabilities themselves expect
        between the outline and the truth.
    disagreement : float
        1 - Dice between single looks (mirrored, zoomed) and their mean.
    cleaned : float
        1 - Dice of the outline before and after the anatomical checks.
    imbalance : float
        Absolute logarithm of left over right volume, at most 1.5.
    roughness : float
        1 - mean Dice of the outlines in neighbouring slices (0 for a single slice).
    smallness : float
        2 ml over the volume, at most 1.
    """

    unsure: float
    unsharp: float
    disagreement: float
    cleaned: float
    imbalance: float
    roughness: float
    smallness: float

    def as_vector(self) -> NDArray[np.float64]:
        """Features of the estimate: the numbers themselves and logarithms of the first three."""
        raw = np.array(astuple(self), dtype=np.float64)
        return np.concatenate([raw, np.log(raw[:3] + 0.01)])


FEATURES = (
    *(f.name for f in fields(Evidence)),
    "log_unsure",
    "log_unsharp",
    "log_disagreement",
)


@dataclass(frozen=True)
class MuscleQuality:
    """The estimate for one muscle.

    Attributes
    ----------
    expected_dice : float or None
        Estimated Dice with an expert's outline, 0 to 1; None for weights for which no estimate
        was measured.
    doubtful : bool
        Whether it lies below the threshold at which outlines with a Dice under 0.8 are found;
        without an estimate, whether the mean probability is under 0.75.
    evidence : Evidence
        What it was estimated from.
    """

    expected_dice: float | None
    doubtful: bool
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class QualityModel:
    """A logistic curve over the evidence, fitted where the truth is known.

    Attributes
    ----------
    weights_sha256 : str
        Hash of the weights it was fitted for.
    intercepts : mapping of MuscleGroup to float
        One for each kind of muscle.
    coefficients : ndarray, shape (len(FEATURES),)
        Of `Evidence.as_vector`.
    thresholds : mapping of MuscleGroup to float
        Expected Dice below which an outline is called doubtful.
    """

    weights_sha256: str
    intercepts: Mapping[MuscleGroup, float]
    coefficients: NDArray[np.float64]
    thresholds: Mapping[MuscleGroup, float]

    def judge(self, muscle: Muscle, evidence: Evidence) -> MuscleQuality:
        """Estimate the Dice of one muscle: 1 / (1 + exp(-(intercept + c . features)))."""
        score = self.intercepts[muscle.group] + float(self.coefficients @ evidence.as_vector())
        dice = float(1 / (1 + np.exp(-np.clip(score, -30, 30))))
        return MuscleQuality(dice, dice < self.thresholds[muscle.group], evidence)


def load_quality(folder: Path) -> QualityModel | None:
    """Read the quality estimate of a weights folder; None without a usable one."""
    try:
        raw: dict[str, Any] = json.loads((folder / QUALITY_FILE).read_text(encoding="utf-8"))
        if tuple(raw["features"]) != FEATURES:
            return None
        return QualityModel(
            str(raw["weights_sha256"]),
            {g: float(raw["intercepts"][g.value]) for g in MuscleGroup},
            np.array(raw["coefficients"], dtype=np.float64),
            {g: float(raw["thresholds"][g.value]) for g in MuscleGroup},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def judge_all(
    evidence: Mapping[Muscle, Evidence], folder: Path, weights_sha256: str
) -> dict[Muscle, MuscleQuality]:
    """Judge every outline with the estimate that belongs to the weights.

    Parameters
    ----------
    evidence : mapping
        What is known about each muscle.
    folder : Path
        Weights folder, whose `QUALITY_FILE` is used if it was made for these weights.
    weights_sha256 : str
        Hash of the weights that made the outlines.
    """
    model = load_quality(folder)
    if model is None or model.weights_sha256 != weights_sha256:
        return {m: MuscleQuality(None, e.unsure > _UNSURE, e) for m, e in evidence.items()}
    return {m: model.judge(m, e) for m, e in evidence.items()}


@dataclass(frozen=True, eq=False)
class Sums:
    """What was added up over the voxels while outlines were drawn; arrays have 9 entries.

    Attributes
    ----------
    voxels : ndarray
        Voxels of each label.
    confidence : ndarray
        Sum of the labels' own probabilities over them.
    mass : ndarray
        Sum of each label's probability over all voxels.
    same, total : ndarray
        Twice the overlap, and the sum of sizes, of single looks and their mean.
    """

    voxels: NDArray[np.float64]
    confidence: NDArray[np.float64]
    mass: NDArray[np.float64]
    same: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def credible(self) -> bool:
        """Whether the outlines together can be muscles at all.

        The probabilities themselves must expect an overlap with the truth of at least a half.
        Heavily damaged images of a back keep 0.75 and more; what the network draws into noise has
        about 0.4.
        """
        expected = 2 * self.confidence[1:].sum()
        return bool(expected >= _LEAST_OVERLAP * (self.voxels[1:].sum() + self.mass[1:].sum()))


def gather(
    raw: NDArray[np.uint8], cleaned: NDArray[np.uint8], sums: Sums, voxel_ml: float
) -> dict[Muscle, Evidence]:
    """Collect the evidence of every muscle that was found.

    Parameters
    ----------
    raw, cleaned : ndarray, shape (Z, Y, X), uint8
        Muscle ids before and after the anatomical checks.
    sums : Sums
        What the network said.
    voxel_ml : float
        Volume of a voxel.
    """
    boxes = ndimage.find_objects(((raw > 0) | (cleaned > 0)).view(np.uint8))
    if not boxes:
        return {}
    raw, cleaned = raw[boxes[0]], cleaned[boxes[0]]  # most of a long scan holds no muscle
    before = np.bincount(raw.ravel(), minlength=9)
    areas = np.stack([np.bincount(p.ravel(), minlength=9)[:9] for p in cleaned])
    after = areas.sum(axis=0)
    kept = np.bincount(cleaned[raw == cleaned].ravel(), minlength=9)
    between = np.zeros(9)
    for here, following in itertools.pairwise(cleaned):
        between += np.bincount(here[here == following].ravel(), minlength=9)[:9]
    # The first and last slice of a muscle count once, all others twice.
    pairs = (areas[:-1] + areas[1:]) * ((areas[:-1] > 0) & (areas[1:] > 0))
    found = {}
    for m in MUSCLES:
        if not after[m]:
            continue
        other = after[m.mirrored]
        ratio = _MOST if not other else min(_MOST, abs(float(np.log(after[m] / other))))
        neighbours = float(pairs[:, m].sum())
        found[m] = Evidence(
            1 - _share(sums.confidence[m], sums.voxels[m]),
            1 - _share(2 * sums.confidence[m], sums.voxels[m] + sums.mass[m]),
            1 - _share(sums.same[m], sums.total[m]),
            1 - 2 * float(kept[m]) / float(before[m] + after[m]),
            ratio,
            1 - 2 * float(between[m]) / neighbours if neighbours else 0.0,
            min(1.0, 2 / max(float(after[m]) * voxel_ml, 1e-6)),
        )
    return found


def _share(part: float, whole: float) -> float:
    # A muscle that only the clean-up made has no voxels of its own: nothing speaks for it.
    return float(part / whole) if whole > 0 else 0.0


def uncertain_slices(
    uncertainty: NDArray[np.floating[Any]], spacing_mm: float, most: int = 8
) -> list[int]:
    """List the slices that a reader should look at first.

    Parameters
    ----------
    uncertainty : ndarray, shape (Z,)
        Mean uncertainty of each slice's muscle voxels; 0 where none are.
    spacing_mm : float
        Distance of slices.
    most : int
        Length of the list at most.

    Returns
    -------
    list of int
        Slice indices, the most uncertain first; at least 10 mm (and two slices) apart, and each
        above the median of the slices with muscle. Empty where nothing is known.
    """
    values = np.asarray(uncertainty, dtype=np.float64)
    known = values[values > 0]
    if known.size == 0:
        return []
    apart = max(2, round(10 / spacing_mm))
    chosen: list[int] = []
    for z in np.argsort(-values, kind="stable"):
        if len(chosen) == most or values[z] <= 0:
            break
        if known.size > 1 and chosen and values[z] <= np.median(known):
            break
        if all(abs(int(z) - c) >= apart for c in chosen):
            chosen.append(int(z))
    return chosen

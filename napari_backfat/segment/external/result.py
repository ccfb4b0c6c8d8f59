"""From a model's numbers to the muscles of this program, with what must be said about them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, MuscleGroup, Side, muscle_of
from napari_backfat.model.combined import COMBINED
from napari_backfat.segment.backend import QualityFlag, Segmentation
from napari_backfat.segment.external.sides import split_sides
from napari_backfat.segment.flags import NOTHING_FOUND, quality_flags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.external.label_map import LabelMap
    from napari_backfat.segment.external.model_folder import ModelFolder

NO_CONFIDENCE = "The model gave labels only, so nothing is known about where it was unsure."


def to_muscles(
    numbers: NDArray[np.integer[Any]], label_map: LabelMap, scan: Scan
) -> NDArray[np.uint8]:
    """Translate a model's numbers; numbers the map does not name become background.

    Parameters
    ----------
    numbers : ndarray, shape (Z, Y, X), integer
        The model's own label numbers on the working grid.
    label_map : LabelMap
        Their meaning.
    scan : Scan
        Gives voxel size and body for dividing sides.

    Returns
    -------
    ndarray, shape (Z, Y, X), uint8
        `Muscle` ids.
    """
    table = label_map.lookup(int(numbers.max(initial=0)))
    muscle: NDArray[np.uint8] = table[numbers]
    both = [(n, label) for n, label in label_map.labels.items() if label.side == "both"]
    masks = [numbers == n for n, _ in both]
    if masks:
        left = split_sides(masks, scan.reference.voxels, scan.geometry.spacing_mm)
        for (_, label), mask, part in zip(both, masks, left, strict=True):
            muscle[mask] = muscle_of(label.group, Side.RIGHT)
            muscle[part] = muscle_of(label.group, Side.LEFT)
    return muscle


def segmentation_of(
    model: ModelFolder,
    label_map: LabelMap,
    scan: Scan,
    numbers: NDArray[np.integer[Any]],
    *,
    sha256: str,
    device: str,
    started: float,
    best: NDArray[np.float32] | None = None,
    about: dict[str, Any] | None = None,
) -> Segmentation:
    """Make the result of a run.

    The labels stay as the model gave them: no islands are removed and no sides exchanged, so that
    the masks are those its authors describe.

    Parameters
    ----------
    model : ModelFolder
        What ran.
    label_map : LabelMap
        Meaning of its numbers.
    scan : Scan
        What it saw.
    numbers : ndarray, shape (Z, Y, X), integer
        Its labels on the working grid.
    sha256 : str
        Hash of the weights.
    device : str
        Where it ran.
    started : float
        `time.perf_counter` at the start.
    best : ndarray, shape (Z, Y, X), float32, optional
        Probability of each voxel's label.
    about : dict, optional
        More for the provenance.
    """
    muscle = to_muscles(numbers, label_map, scan)
    confidence: dict[Muscle, float] = {}
    doubt = np.zeros(len(muscle), dtype=np.float32)
    if best is not None:
        counts = np.bincount(muscle.ravel(), minlength=len(MUSCLES) + 1)
        sums = np.bincount(muscle.ravel(), best.ravel(), minlength=len(MUSCLES) + 1)
        confidence = {m: float(sums[m] / counts[m]) for m in MUSCLES if counts[m]}
        for z in np.flatnonzero(muscle.any(axis=(1, 2))):
            doubt[z] = float((1 - best[z][muscle[z] > 0]).mean())
    return Segmentation(
        muscle=muscle,
        backend=model.title,
        weights_sha256=sha256,
        device=device,
        flags=_flags(muscle, label_map, scan, confidence, known=best is not None),
        seconds=time.perf_counter() - started,
        slice_uncertainty=doubt,
        combined=label_map.combined if muscle.any() else (),
        about={
            "kind": model.kind,
            "name": model.name,
            "version": model.version,
            "licence": model.licence.name,
            "folder": str(model.path),
            "label_map": label_map.name,
            **(about or {}),
        },
    )


def _flags(
    muscle: NDArray[np.uint8],
    label_map: LabelMap,
    scan: Scan,
    confidence: dict[Muscle, float],
    known: bool,
) -> tuple[QualityFlag, ...]:
    if not muscle.any():
        return (NOTHING_FOUND,)
    flags = [QualityFlag(None, "combined class", COMBINED[k].text) for k in label_map.combined]
    hidden = {g for key in label_map.combined for g in COMBINED[key].hidden}
    absent = [g for g in MuscleGroup if g not in label_map.groups]
    if absent:
        names = " and ".join(g.value for g in absent)
        flags.append(
            QualityFlag(
                None, "not in the model", f"This model does not outline {names}: left blank."
            )
        )
    if not known:
        flags.append(QualityFlag(None, "no confidence", NO_CONFIDENCE))
    inside = np.any([(v.voxels != 0).any(axis=0) for v in scan.images], axis=0)
    unmentioned = hidden | set(absent)
    flags += [
        flag
        for flag in quality_flags(muscle, confidence, inside)
        if flag.muscle is None or flag.muscle.group not in unmentioned
    ]
    return tuple(flags)

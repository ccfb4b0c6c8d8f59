"""What restoring unsaved work would change, before anybody decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.colors import muscle_rgb
from napari_backfat.review.recovered import restore_job

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_backfat.model.progress import Progress
    from napari_backfat.model.volume import Scan
    from napari_backfat.review.autosave import Recovery
    from napari_backfat.review.session import Loaded

_OPACITY = 0.45


@dataclass(frozen=True)
class MuscleDifference:
    """One muscle in unsaved work, against what would be opened without it.

    Attributes
    ----------
    muscle : Muscle
        Which one.
    before_ml, after_ml : float
        Its volume without and with the unsaved work.
    voxels : int
        Voxels whose muscle or tissue differs and that are this muscle before or after.
    """

    muscle: Muscle
    before_ml: float
    after_ml: float
    voxels: int


@dataclass(frozen=True, eq=False)
class Preview:
    """What restoring would change.

    Attributes
    ----------
    loaded : Loaded
        The restored case, ready to be opened.
    rows : tuple of MuscleDifference
        The muscles that differ.
    other : tuple of str
        What else differs, in words.
    slice_index : int
        The slice in which most voxels differ, working index Z.
    picture : ndarray, shape (Y, X, 3), uint8
        This slice with the restored muscles; the patient's right is on its left side.
    """

    loaded: Loaded
    rows: tuple[MuscleDifference, ...]
    other: tuple[str, ...]
    slice_index: int
    picture: NDArray[np.uint8]


def preview_job(found: Recovery, loaded: Loaded) -> Generator[Progress, None, Preview]:
    """Restore unsaved work and compare it; changes nothing on the disk.

    Parameters
    ----------
    found : Recovery
        From `review.autosave.find_recovery`.
    loaded : Loaded
        What is opened without it: the scan, and the saved case if one was chosen.

    Raises
    ------
    BackfatError
        If the unsaved work cannot be read.
    """
    restored = yield from restore_job(found, loaded)
    return preview_of(restored, loaded)


def preview_of(restored: Loaded, loaded: Loaded) -> Preview:
    """Compare restored work with what is opened without it."""
    new, old = restored.files, loaded.files
    assert new is not None
    shape = loaded.scan.geometry.shape
    empty = np.zeros(shape, np.uint8)
    muscle, tissue = (empty, empty) if old is None else (old.muscles, old.tissue)
    differs = (new.muscles != muscle) | (new.tissue != tissue)
    ml = loaded.scan.geometry.voxel_ml
    before = np.bincount(muscle.ravel(), minlength=len(Muscle))
    after = np.bincount(new.muscles.ravel(), minlength=len(Muscle))
    was, now = muscle[differs], new.muscles[differs]
    rows = tuple(
        MuscleDifference(m, float(before[m]) * ml, float(after[m]) * ml, touched)
        for m in MUSCLES
        if (touched := int(np.count_nonzero((was == m) | (now == m))))
    )
    other = []
    if old is not None and new.threshold != old.threshold:
        other.append(f"fat threshold {100 * old.threshold:.1f} % to {100 * new.threshold:.1f} %")
    for name, was_said, is_said in (
        ("what was entered about the person", old.patient if old else {}, new.patient),
        ("personal context", old.context if old else {}, new.context),
        *(
            (text, old.provenance.get(key) if old else None, new.provenance.get(key))
            for key, text in (("levels", "levels"), ("vertebrae", "disc lines"))
        ),
    ):
        if _said(was_said) != _said(is_said):
            other.append(name)
    had, has = loaded.scan.exchanged, restored.scan.exchanged
    if (had is None) != (has is None) or (
        had is not None and has is not None and not np.array_equal(had, has)
    ):
        other.append("where water and fat are exchanged")
    per_slice = differs.sum(axis=(1, 2))
    if not per_slice.any():
        per_slice = (new.muscles > 0).sum(axis=(1, 2))
    z = int(per_slice.argmax()) if per_slice.any() else shape[0] // 2
    return Preview(restored, rows, tuple(other), z, picture_of(restored.scan, new.muscles, z))


def picture_of(scan: Scan, muscle: NDArray[np.uint8], z: int) -> NDArray[np.uint8]:
    """Return a slice with its muscles in colour, uint8 (Y, X, 3)."""
    plane = scan.reference.voxels[z].astype(np.float64)
    low, high = np.percentile(plane, (1, 99))
    grey = np.clip((plane - low) / max(high - low, 1e-12), 0, 1)
    picture = np.repeat(grey[..., None], 3, axis=2)
    for m in np.unique(muscle[z]):
        if m:
            where = muscle[z] == m
            colour = np.array(muscle_rgb(Muscle(int(m))))
            picture[where] = (1 - _OPACITY) * picture[where] + _OPACITY * colour
    return (255 * picture + 0.5).astype(np.uint8)


def _said(record: object) -> object:
    """Return a record without the entries that hold nothing."""
    if isinstance(record, dict):
        return {k: v for k, v in record.items() if v not in (None, "", [], {})}
    return record or None

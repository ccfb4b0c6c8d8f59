"""The corrected cases of a folder, for whatever learns from them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.io.manifest import MANIFEST
from napari_backfat.io.session import open_case
from napari_backfat.io.tables import PROVENANCE, read_json
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_backfat.io.session import OpenedCase
    from napari_backfat.model.volume import Scan


class Which(StrEnum):
    """Which cases of a folder are taken."""

    CORRECTED = "corrected"
    """The muscle map is not simply the AI's: a person changed it, or it was made elsewhere."""
    DONE = "done"
    """Marked as done by a reader, corrected or not."""
    ALL = "all"
    """Every case that holds muscle, the AI's untouched results too."""


@dataclass(frozen=True, eq=False)
class CollectedCase:
    """One case with its images, ready to be learned from.

    Attributes
    ----------
    folder : Path
        Case folder; for messages on this computer only, it may hold a name.
    id : str
        Anonymous identifier: it depends on the image files alone, so it stays the same.
    scan : Scan
        The images, recognised by the hashes that the case recorded.
    muscles : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids as the reader left them.
    ai_muscles : ndarray, shape (Z, Y, X), uint8, or None
        `Muscle` ids as the AI left them.
    labelled : frozenset of Muscle
        Muscles of which at least one voxel is labelled; of the others nothing is known.
    changed_voxels : int or None
        Voxels that differ from the AI's map; None without one.
    weights_sha256 : str or None
        Weights that made the AI's map.
    """

    folder: Path
    id: str
    scan: Scan
    muscles: NDArray[np.uint8]
    ai_muscles: NDArray[np.uint8] | None
    labelled: frozenset[Muscle]
    changed_voxels: int | None
    weights_sha256: str | None


@dataclass(frozen=True)
class LeftOut:
    """A case that was not taken.

    Attributes
    ----------
    folder : Path
        Case folder.
    why : str
        One sentence for people.
    problem : bool
        Whether something is wrong with it (an image is missing or changed, a file is damaged), or
        it is merely not one of those that were asked for.
    """

    folder: Path
    why: str
    problem: bool


def case_folders(root: str | Path) -> list[Path]:
    """Find case folders, at any depth, in the order of their paths.

    Raises
    ------
    BackfatError
        If there is no such folder, or no case in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise BackfatError(f"There is no folder {root}.")
    found = []
    for place, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        if MANIFEST in files:
            found.append(Path(place))
    if not found:
        raise BackfatError(
            f"{root} holds no saved case (no folder with a {MANIFEST}); choose the folder in which "
            "the case folders lie."
        )
    return sorted(found)


def collect(root: str | Path, which: Which = Which.CORRECTED) -> Iterator[CollectedCase | LeftOut]:
    """Open the cases of a folder one after the other.

    Of several cases made of the same images, the one that was saved last is taken, so that no
    image is learned from twice and none is both learned from and held out.

    Parameters
    ----------
    root : str or Path
        Folder that is searched at any depth; or one case folder.
    which : Which
        Cases that are wanted.

    Yields
    ------
    CollectedCase or LeftOut
        One for each case folder. A missing or changed image is a `LeftOut`; the rest continues.

    Raises
    ------
    BackfatError
        If there is no case at all.
    """
    same: dict[tuple[str, ...], list[tuple[str, Path]]] = {}
    for folder in case_folders(root):
        images, saved = _recorded(folder)
        same.setdefault(images or (str(folder),), []).append((saved, folder))
    for copies in same.values():
        taken: Path | None = None
        for _, folder in sorted(copies, key=lambda c: c[0], reverse=True):
            if taken is not None:
                why = f"It is made of the same images as {taken.name}, which was saved later."
                yield LeftOut(folder, why, problem=False)
                continue
            found = read_one(folder, which)
            if isinstance(found, CollectedCase):
                taken = folder
            yield found


def read_one(folder: Path, which: Which) -> CollectedCase | LeftOut:
    """Open one case folder; what cannot be used becomes a sentence."""
    try:
        opened = open_case(folder)
    except BackfatError as error:
        return LeftOut(folder, str(error), problem=True)
    files = opened.files
    present = np.bincount(files.muscles.ravel(), minlength=len(Muscle)) > 0
    labelled = frozenset(m for m in MUSCLES if present[m])
    changed = None
    if files.ai_muscles is not None:
        changed = int(np.count_nonzero(files.muscles != files.ai_muscles))
    if not labelled:
        return LeftOut(folder, "It holds no muscle.", problem=False)
    if which is Which.CORRECTED and changed == 0:
        return LeftOut(folder, "The muscles are as the AI left them.", problem=False)
    if which is Which.DONE and not is_done(opened):
        return LeftOut(folder, "It is not marked as done.", problem=False)
    return CollectedCase(
        folder,
        anonymous_id(opened.scan),
        opened.scan,
        files.muscles,
        files.ai_muscles,
        labelled,
        changed,
        (files.provenance.get("ai") or {}).get("weights_sha256"),
    )


def anonymous_id(scan: Scan) -> str:
    """Name a scan by its image files alone: "bf_" and ten hexadecimal digits."""
    text = "|".join(image.source.sha256 for image in scan.images)
    return f"bf_{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def is_done(opened: OpenedCase) -> bool:
    """Whether a reader marked the case as done (``"state": "done"`` under ``review``)."""
    review = opened.files.provenance.get("review")
    return isinstance(review, dict) and review.get("state") == "done"


def _recorded(folder: Path) -> tuple[tuple[str, ...], str]:
    """Hashes of a case's images and when it was saved; nothing if that cannot be read."""
    try:
        record = read_json(folder / "provenance.json", PROVENANCE)
    except BackfatError:
        return (), ""
    saved = (record.model_extra or {}).get("saved")
    return tuple(i.sha256 for i in record.inputs), saved if isinstance(saved, str) else ""

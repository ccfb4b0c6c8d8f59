"""Find the cases of a folder, a BIDS data set or a table."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.dicom_open import is_dicom
from napari_backfat.io.manifest import MANIFEST
from napari_backfat.io.naming import find_partner, guess_contrast
from napari_backfat.io.tables import PROVENANCE, read_csv, read_json
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.worklist.entry import AiRun, AiState, Entry
from napari_backfat.worklist.store import SETTINGS, note_event, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_backfat.worklist.store import Worklist

_IMAGES = (".nii", ".nii.gz")
_MASKS = re.compile(r"(^|[^a-z])(seg|dseg|mask|masks|label|labels|muscles|tissue)($|[^a-z])")
_MOST_UNNAMED = 6  # of one scan: water, fat, in-phase, opposed-phase, fat fraction, R2*
_NOT_BACK = ("derivatives", "sourcedata", "code")  # of a BIDS data set
_COLUMNS = {"water", "fat", "image", "contrast", "case", "label", "note"}


@dataclass(frozen=True)
class Found:
    """A case that could be added.

    Attributes
    ----------
    label : str
        For people.
    images : tuple of Path
        Its images; empty for a saved case.
    contrasts : tuple of Contrast
        One per image.
    case : Path or None
        Saved case folder.
    note : str
        For everybody.
    """

    label: str
    images: tuple[Path, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    case: Path | None = None
    note: str = ""


def find_cases(source: str | Path) -> tuple[list[Found], list[str]]:
    """Find the cases of a folder, a BIDS data set (``dataset_description.json``) or a CSV table.

    A water and a fat image that differ in that word alone are one case; a single image is one
    where its name says what it shows. Folders of DICOM files and saved cases are cases. A table
    has the columns ``water`` and ``fat``, or ``image`` (and ``contrast``), or ``case``, and may
    have ``label`` and ``note``; its paths are seen from its folder.

    Parameters
    ----------
    source : str or Path
        Folder or CSV file.

    Returns
    -------
    cases : list of Found
        In the order of the table, or of the paths.
    notes : list of str
        What was left out, and why.

    Raises
    ------
    BackfatError
        If there is nothing at `source`, or a table names a file that does not exist.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() == ".csv":
        return _from_table(source), []
    if not source.is_dir():
        raise BackfatError(f"There is no folder or CSV table {source}.")
    is_bids = (source / "dataset_description.json").is_file()
    found: list[Found] = []
    notes: list[str] = []
    for place, folders, files in os.walk(source):
        here = Path(place)
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith(".") and not (is_bids and here == source and f in _NOT_BACK)
        )
        if SETTINGS in files:  # readers' folders are no new cases
            folders.clear()
        elif MANIFEST in files:
            folders.clear()
            found.append(Found(_label(here, source), case=here))
        else:
            found += _in_folder(here, sorted(files), source, is_bids, notes)
    return found, notes


def scan_in(folder: str | Path) -> tuple[Path, ...]:
    """Return the image files of the one scan that lies in a folder, not below it.

    Parameters
    ----------
    folder : str or Path
        A folder that somebody wants to open.

    Returns
    -------
    tuple of Path
        A water and a fat image, one image, or up to six whose names do not say what they show.
        Empty without such files: the folder may hold DICOM files.

    Raises
    ------
    BackfatError
        If the files are not those of one scan.
    """
    folder = Path(folder)
    try:
        files = sorted(p.name for p in folder.iterdir() if p.is_file())
    except OSError:  # whoever opens the folder says why
        return ()
    images = [f for f in files if f.lower().endswith(_IMAGES) and not _MASKS.search(f.lower())]
    if not images:
        return ()
    found = _in_folder(folder, files, folder, False, [])
    if len(found) == 1:
        return found[0].images
    if not found and len(images) <= _MOST_UNNAMED:
        return tuple(folder / name for name in images)
    raise BackfatError(
        f"{folder} holds {len(images)} images of more than one scan; open the images of one, or "
        "make a worklist of the folder (Worklist…, New list…)."
    )


def add_cases(worklist: Worklist, cases: Iterable[Found]) -> tuple[list[Entry], list[Found]]:
    """File cases as new; what is there already stays as it is.

    Returns
    -------
    added : list of Entry
        New ones.
    known : list of Found
        Those that were there.
    """
    now = worklist.now()
    added, known = [], []
    for order, case in enumerate(cases):
        images = [worklist.recorded(p) for p in case.images]
        folder = None if case.case is None else worklist.recorded(case.case)
        entry = Entry(
            id=_id(case.label, folder, images),
            label=case.label,
            images=images,
            contrasts=[c.value for c in case.contrasts],
            case=folder,
            added=stamp(now),
            order=order,
            note=case.note,
            ai=AiRun(state=AiState.DONE if _has_ai(case.case) else AiState.WAITING),
        )
        note_event(entry, now, "-", "added")
        if worklist.add(entry):
            added.append(entry)
        else:
            known.append(case)
    return added, known


def _id(label: str, case: str | None, images: list[str]) -> str:
    """Name a case by its files, so that nothing can be filed twice."""
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40].strip("-") or "case"
    text = "|".join(sorted([*images, *([case] if case else [])]))
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _has_ai(case: Path | None) -> bool:
    """Whether a saved case holds a result of the AI, or muscles from elsewhere."""
    if case is None:
        return False
    if (case / "ai_muscles.nii.gz").is_file():
        return True
    record = read_json(case / "provenance.json", PROVENANCE)
    return bool((record.model_extra or {}).get("edits"))


def _label(path: Path, source: Path) -> str:
    relative = path.resolve().relative_to(source.resolve()).as_posix()
    return path.resolve().name if relative == "." else relative


def _in_folder(
    here: Path, files: list[str], source: Path, is_bids: bool, notes: list[str]
) -> list[Found]:
    images = [here / f for f in files if f.lower().endswith(_IMAGES)]
    if not images:
        first = next((here / f for f in files if not f.startswith(".")), None)
        if first is not None and is_dicom(first):
            return [Found(_label(here, source), (here,), (Contrast.UNKNOWN,))]
        return []
    found, singles, used = [], [], set[Path]()
    for image in images:
        contrast = guess_contrast(image)
        if image in used or _MASKS.search(image.name.lower()):
            continue
        partner = find_partner(image)
        if contrast is Contrast.WATER and partner is not None:
            used |= {image, partner}
            label = _name(image, source, is_bids, alone=len(images) <= 2)
            found.append(Found(label, (image, partner), (Contrast.WATER, Contrast.FAT)))
        elif contrast is Contrast.FAT and partner is not None:
            continue  # comes with its water image
        elif contrast is Contrast.UNKNOWN:
            notes.append(f"Left out: {image} (its name does not say what it shows; use a table).")
        else:
            singles.append((image, contrast))
    for image, contrast in singles:
        if found and contrast in (Contrast.IN_PHASE, Contrast.OPPOSED_PHASE):
            continue  # of the same acquisition
        label = _name(image, source, is_bids, alone=len(images) == 1)
        found.append(Found(label, (image,), (contrast,)))
    return found


def _name(image: Path, source: Path, is_bids: bool, *, alone: bool) -> str:
    """Name a case: by BIDS entities, by its folder if it is alone there, else by its file."""
    stem = re.sub(r"\.nii(\.gz)?$", "", image.name, flags=re.IGNORECASE)
    if is_bids:
        parts = stem.split("_")
        kept = [p for p in parts if p.split("-")[0] in ("sub", "ses", "run")]
        suffix = parts[-1] if "-" not in parts[-1] else ""
        return " ".join([*kept, suffix]).strip() if kept else stem
    if alone and image.parent.resolve() != source.resolve():
        return _label(image.parent, source)
    where = _label(image.parent, source) if image.parent.resolve() != source.resolve() else ""
    return f"{where}/{stem}".strip("/")


def _from_table(table: Path) -> list[Found]:
    found = []
    for number, row in enumerate(read_csv(table), start=2):
        cells = {str(k).strip().lower(): v for k, v in row.items()}
        unknown = set(cells) - _COLUMNS
        if unknown:
            raise BackfatError(
                f"{table} has the unknown column {sorted(unknown)[0]!r}; known are "
                f"{', '.join(sorted(_COLUMNS))}."
            )
        paths = {
            name: (table.parent / str(cells[name])).absolute()
            for name in ("water", "fat", "image", "case")
            if cells.get(name) is not None
        }
        missing = next((p for p in paths.values() if not _exists(p)), None)
        if missing is not None:
            raise BackfatError(f"{table}, line {number}: there is no {missing}.")
        label, note = str(cells.get("label") or ""), str(cells.get("note") or "")
        if set(paths) == {"water", "fat"}:
            images, roles = (paths["water"], paths["fat"]), (Contrast.WATER, Contrast.FAT)
            found.append(Found(label or paths["water"].name, images, roles, None, note))
        elif set(paths) == {"image"}:
            image = paths["image"]
            role = _role(cells.get("contrast"), image, f"{table}, line {number}")
            found.append(Found(label or image.name, (image,), (role,), None, note))
        elif set(paths) == {"case"}:
            found.append(Found(label or paths["case"].name, case=paths["case"], note=note))
        else:
            raise BackfatError(
                f"{table}, line {number}: give water and fat, or image, or case, and nothing else."
            )
    return found


def _exists(path: Path) -> bool:
    return path.exists() or path.with_name(path.name.partition("#")[0]).exists()


def _role(word: object, image: Path, where: str) -> Contrast:
    if word is None:
        return guess_contrast(image)
    try:
        return Contrast(str(word).strip().lower())
    except ValueError as error:
        raise BackfatError(f"{where}: '{word}' is no contrast.") from error

"""One cohort table from many case folders, without anything that names a person."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat.io.manifest import MANIFEST, WORK, find_file, read_manifest
from napari_backfat.io.tables import PROVENANCE, RECORD, read_csv, read_json
from napari_backfat.model.anatomy import MuscleGroup, Side
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Patient
from napari_backfat.model.progress import Progress
from napari_backfat.risk.files import shipped_model
from napari_backfat.risk.prevalence import activity_group

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_BACK = (MuscleGroup.MULTIFIDUS.value, MuscleGroup.ERECTOR_SPINAE.value)
_ANSWERS = ("diabetes", "dyslipidaemia", "osteoporosis", "osteoarthritis")
_CASE = "case"


@dataclass(frozen=True)
class CohortTable:
    """What `collect` found.

    Attributes
    ----------
    rows : list of dict
        One per usable case; a value that is not known is None.
    keys : list of dict
        Which person is which folder; to be kept apart from `rows`.
    skipped : list of str
        Sentences: folders that were left out, and why.
    notes : list of str
        What was taken into the table although something about it is unusual.
    """

    rows: list[dict[str, Any]]
    keys: list[dict[str, str]]
    skipped: list[str]
    notes: list[str]


def collect(folder: Path, more: Path | None = None) -> Generator[Progress, None, CohortTable]:
    """Collect the case folders anywhere below a folder.

    People get numbers in a random order, drawn anew each time. Fat and lean volume are those the
    risk estimate uses (volume times mean fat fraction, corrections followed, within the stated
    vertebrae); they come from the case's record of the estimate.

    Parameters
    ----------
    folder : Path
        Searched with everything below it.
    more : Path, optional
        CSV with a column `case` (name of the case folder, or its path below `folder`) and others,
        such as the outcome and the site, to be joined.

    Yields
    ------
    Progress

    Returns
    -------
    CohortTable

    Raises
    ------
    BackfatError
        If the folder is not there, holds no case, or `more` cannot be used.
    """
    if not folder.is_dir():
        raise BackfatError(f"There is no folder {folder}.")
    places = sorted(
        path.parent for path in folder.rglob(MANIFEST) if WORK not in path.relative_to(folder).parts
    )
    if not places:
        raise BackfatError(f"There is no case folder (with a {MANIFEST}) in {folder}.")
    extra = _Extra(folder, more) if more is not None else None
    found: list[tuple[Path, dict[str, Any]]] = []
    skipped, notes = [], []
    images: dict[tuple[str, ...], Path] = {}
    for number, place in enumerate(places):
        yield Progress(number / len(places), place.name)
        try:
            joined = extra.of(place) if extra is not None else {}
            row, hashes, remarks = _row(place)
            first = images.setdefault(hashes, place)
            if first is not place:
                raise BackfatError(f"the same images as {first.relative_to(folder)}")
        except BackfatError as error:
            skipped.append(f"{place.relative_to(folder)}: {error}")
            continue
        notes += [f"{place.relative_to(folder)}: {text}" for text in remarks]
        found.append((place, row | joined))
    if extra is not None and extra.unused:
        notes.append(f"{more}: no case folder for {', '.join(extra.unused)}.")
    secrets.SystemRandom().shuffle(found)
    digits = len(str(len(found)))
    rows, keys = [], []
    for number, (place, row) in enumerate(found, start=1):
        person = f"P{number:0{digits}d}"
        rows.append({"person": person, **row})
        keys.append({"person": person, "case": place.relative_to(folder).as_posix()})
    return CohortTable(rows, keys, skipped, notes)


def _row(place: Path) -> tuple[dict[str, Any], tuple[str, ...], list[str]]:
    """Return the row of a case, the hashes of its images, and remarks."""
    manifest = read_manifest(place)
    if manifest is None:
        raise BackfatError(f"{place} has no {MANIFEST}.")
    remarks = []

    def file(name: str) -> Path:
        path, changed = find_file(place, name, str(manifest["files"].get(name, "")))
        if path is None:
            raise BackfatError(f"{name} is missing from the case.")
        if changed:
            remarks.append(f"{name} was changed by another program after it was saved.")
        return path

    patient = Patient.parse(read_json(file("patient.json"), RECORD))
    measures = read_csv(file("measurements.csv"))
    risk = read_json(file("risk.json"), RECORD)
    provenance = read_json(file("provenance.json"), PROVENANCE)
    record = provenance.model_extra or {}
    levels = record.get("levels") or {}
    volumes = _risk_volumes(risk)
    if volumes["fat_ml"] is None:
        remarks.append("no fat fraction or nothing measured, so fat_ml and lean_ml are empty.")
    met = patient.activity_met_min_per_week
    group = activity_group(shipped_model("nako-hybrid").population.activity, patient)
    row: dict[str, Any] = {
        "age": patient.age_years,
        "sex": patient.sex.value if patient.sex else None,
        "activity": group.key if group else None,
        "met_min_per_week": met,
    }
    row |= {name: getattr(patient, name) for name in _ANSWERS}
    row |= volumes
    row |= _by_muscle(measures)
    row |= {
        "first_level": levels.get("first_level"),
        "last_level": levels.get("last_level"),
        "fat_map": (record.get("fat_map") or {}).get("kind"),
        "segmented_by": _segmenter(record),
        "corrected": bool(record.get("edits")),
    }
    return row, tuple(sorted(i.sha256 for i in provenance.inputs)), remarks


def _risk_volumes(risk: dict[str, Any]) -> dict[str, float | None]:
    found: dict[str, float | None] = {"fat_ml": None, "lean_ml": None}
    scores = risk.get("z_scores")
    for score in scores if isinstance(scores, list) else []:
        try:
            found[f"{score['key']}_ml"] = score["measured"]["value"]
        except (KeyError, TypeError) as error:
            raise BackfatError("risk.json is damaged (z_scores).") from error
    return {name: found[name] for name in ("fat_ml", "lean_ml")}


def _by_muscle(measures: list[dict[str, Any]]) -> dict[str, float | None]:
    """Whole-scan volume and mean fat fraction of each back muscle and side."""
    wanted = {"volume": "ml", "mean_fat_fraction": "percent"}
    try:
        table = {(m["muscle"], m["side"], m["measure"]): m["value"] for m in measures}
    except KeyError as error:
        raise BackfatError(f"measurements.csv is damaged: no column {error.args[0]}.") from error
    found = {}
    for muscle in _BACK:
        for side in Side:
            for measure, unit in wanted.items():
                name = f"{muscle.replace(' ', '_')}_{side.value}_{measure}_{unit}"
                found[name] = table.get((muscle, side.value, measure))
    return found


def _segmenter(record: dict[str, Any]) -> str | None:
    about = (record.get("ai") or {}).get("model")
    if isinstance(about, dict):
        return " ".join(str(about[k]) for k in ("name", "version") if about.get(k)) or None
    return str(about) if about else None


class _Extra:
    """Rows of another table by case."""

    def __init__(self, folder: Path, path: Path) -> None:
        rows = read_csv(path)
        if not rows or _CASE not in rows[0]:
            raise BackfatError(f"{path} needs a column '{_CASE}' with the names of case folders.")
        self._folder, self._path = folder, path
        self._rows = {str(row[_CASE]): {k: v for k, v in row.items() if k != _CASE} for row in rows}
        twice = [name for name, n in Counter(str(r[_CASE]) for r in rows).items() if n > 1]
        if twice:
            raise BackfatError(f"{path} names these cases more than once: {', '.join(twice)}.")
        self._used: set[str] = set()

    def of(self, place: Path) -> dict[str, Any]:
        """Return what is to be joined to a case."""
        for name in (place.relative_to(self._folder).as_posix(), place.name):
            if name in self._rows:
                if name in self._used:
                    raise BackfatError(f"'{name}' in {self._path.name} stands for several folders")
                self._used.add(name)
                return self._rows[name]
        raise BackfatError(f"it is not in {self._path.name}")

    @property
    def unused(self) -> list[str]:
        """Names without a case folder."""
        return sorted(set(self._rows) - self._used)

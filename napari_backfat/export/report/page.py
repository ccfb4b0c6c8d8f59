"""The words and numbers of a report, once for every format."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.export.report.corrected import footnote, heading, with_column
from napari_backfat.export.report.pictures import shown_image
from napari_backfat.measure.table import MEASURES, cut_note, value_of
from napari_backfat.model.anatomy import MuscleGroup, Side, muscle_of
from napari_backfat.model.fat_map import FatMapKind
from napari_backfat.model.risk_results import RESEARCH_USE_ONLY
from napari_backfat.risk.describe import (
    GRADE_TEXT,
    absolute_text,
    prevalence_text,
    relative_text,
    signed,
    z_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_backfat.export.content import Content
    from napari_backfat.model.context import PersonalContext
    from napari_backfat.model.results import MuscleMeasure
    from napari_backfat.model.risk_results import RiskEstimate

_SHOWN = ("volume", "lean_volume", "fat_volume", "mean_fat_fraction", "fat_share", "max_csa")
_MOST_LIMITS = 9
_LONGEST = 230
_MOST_CONTEXT = 8
_FAT_OF_THE_ESTIMATE = (
    "These are volume × mean fat fraction, and the rest, of the back muscles within the stated "
    "levels; the table's lean and fat are counted by the threshold."
)
_NOT_COMPUTED = (
    "Recorded, not computed with: no coefficient was estimated together with the muscles."
)


@dataclass(frozen=True)
class Row:
    """One muscle of the table.

    Attributes
    ----------
    name : str
        Muscle.
    cells : tuple of (str, str)
        Right and left of each measure; an empty string where there is no value.
    asymmetry : str
        Difference of the volumes, and which side is larger.
    both : bool
        Whether the first of each pair holds for both sides together.
    """

    name: str
    cells: tuple[tuple[str, str], ...]
    asymmetry: str
    both: bool = False


@dataclass(frozen=True)
class Page:
    """Everything a report says.

    Attributes
    ----------
    title, label, date : str
        Heading, what the case is called, and the day of the report.
    warning : str
        The disclaimer; it stands once.
    facts : tuple of (str, str)
        What was examined.
    measures : tuple of str
        Headings of the table, with unit.
    rows : tuple of Row
        One per muscle, then all together.
    footnotes : tuple of str
        Below the table.
    corrections : tuple of str
        What a person changed after the AI.
    risk : tuple of str
        The estimate in sentences, strongest first; empty without one.
    drivers : tuple of (str, str, str)
        Input, how it moves the odds, and its evidence.
    evidence : tuple of str
        What the evidence grades mean.
    context : tuple of str
        Personal context that stands beside the estimate, with the reason why it is not in it.
    methods, limits : tuple of str
        How it was made, and what limits it.
    reader : str
        Who answers for it; empty: nobody was named.
    """

    title: str
    label: str
    date: str
    warning: str
    facts: tuple[tuple[str, str], ...]
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    corrections: tuple[str, ...]
    risk: tuple[str, ...]
    drivers: tuple[tuple[str, str, str], ...]
    evidence: tuple[str, ...]
    context: tuple[str, ...]
    methods: tuple[str, ...]
    limits: tuple[str, ...]
    reader: str


def page_of(
    content: Content,
    *,
    reader: str = "",
    label: str = "",
    identity: Mapping[str, str] | None = None,
    date: dt.date | None = None,
) -> Page:
    """Write the report of a case.

    Parameters
    ----------
    content : Content
        The case.
    reader : str, optional
        Name of the person who read it.
    label : str, optional
        What the report calls the case; else the short name made of the images' hashes.
    identity : mapping of str to str, optional
        What is known of the person, if it was asked for: shown as it is.
    date : datetime.date, optional
        Day of the report; today.
    """
    measures = [m for m in MEASURES if m.key in _SHOWN]
    if content.fat_map.kind is not FatMapKind.FAT_FRACTION:
        measures = [m for m in measures if m.key != "mean_fat_fraction"]
    heads = [f"{m.label} ({m.unit.replace('cm2', 'cm²')})" for m in measures]
    rows = _rows(content, [m.key for m in measures])
    corrected = heading(content)
    if corrected:
        place = 1 + [m.key for m in measures].index("mean_fat_fraction")
        heads.insert(place, corrected)
        rows = with_column(rows, content, place)
    risk = content.risk
    return Page(
        title="Paraspinal muscles on MRI",
        label=label or f"Case {content.case_id}",
        date=f"{date or dt.datetime.now(dt.UTC).date():%d %B %Y}",
        warning=RESEARCH_USE_ONLY,
        facts=_facts(content, identity or {}),
        measures=tuple(heads),
        rows=rows,
        footnotes=_footnotes(content),
        corrections=_corrections(content),
        risk=_risk(risk) if risk else (),
        drivers=_drivers(risk) if risk else (),
        evidence=tuple(GRADE_TEXT.values()) if risk else (),
        context=_context(content.context),
        methods=_methods(content),
        limits=_limits(content),
        reader=reader,
    )


def _facts(content: Content, identity: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    z, y, x = content.scan.geometry.shape
    dz, dy, dx = content.scan.geometry.spacing_mm
    patient, levels = content.patient, content.levels
    age = f"{patient.age_years:g} years" if patient.age_years is not None else "not stated"
    sex = patient.sex.value if patient.sex else "not stated"
    stated = "not stated"
    if levels:
        stated = (
            f"{levels.first_level}\u2013{levels.last_level}, slices {levels.first_slice} to "
            f"{levels.last_slice}"
        )
    shown = shown_image(content.scan)
    images = " + ".join(
        f"{v.contrast.value}{' (shown)' if v is shown else ''}" for v in content.scan.images
    )
    return (
        *identity.items(),
        ("Age, sex", f"{age}, {sex}"),
        ("Images", f"{images}, {x} × {y} × {z} voxels of {dx:.2f} × {dy:.2f} × {dz:.2f} mm"),
        ("Levels stated", stated),
    )


def _number(key: str, of: MuscleMeasure) -> str:
    measure = next(m for m in MEASURES if m.key == key)
    value = value_of(measure, of)
    return "" if value is None else f"{value:.{measure.decimals}f}"


def _rows(content: Content, keys: Sequence[str]) -> tuple[Row, ...]:
    now = content.measurement
    rows = []
    for group in MuscleGroup:
        right, left = (now.muscles[muscle_of(group, s)] for s in (Side.RIGHT, Side.LEFT))
        cells = tuple((_number(k, right), _number(k, left)) for k in keys)
        asymmetry = now.asymmetry[group]
        text = ""
        if asymmetry:
            side = asymmetry.larger.value[0].upper() if asymmetry.larger else "="
            text = f"{asymmetry.percent:.1f} % ({side})" if asymmetry.larger else "0 %"
        titles = (now.combined_titles.get(muscle_of(group, s), "") for s in Side)
        names = {title[:-2] for title in titles if title}  # without the side
        rows.append(Row(names.pop() if names else group.value.capitalize(), cells, text))
    for name, of in (("ES + MF, both sides", now.back), ("All, both sides", now.total)):
        cells = tuple((_number(k, of), "") for k in keys)
        rows.append(Row(name, cells, "", both=True))
    return tuple(rows)


def _footnotes(content: Content) -> tuple[str, ...]:
    threshold = f"{100 * content.measurement.threshold:g} %"
    kind = content.fat_map.kind
    notes = [
        "R: the patient's right. Max CSA: largest area in one slice plane. Asymmetry: difference "
        "of the volumes in per cent of the larger side, which is named."
    ]
    plain = content.fat_map.decision is content.fat_map.codes
    share = "Fat share: fat / (lean + fat)."
    if kind is FatMapKind.NONE:
        notes.append("Lean and fat could not be told apart on this scan and are left blank.")
    elif kind is FatMapKind.FAT_FRACTION:
        rule = (
            f"voxels with a fat fraction of {threshold} or more"
            if plain
            else f"voxels that the method ({content.fat_map.method}) calls fat"
        )
        notes.append(
            f"Fat: {rule}. Mean FF: mean fat fraction over the muscle, whatever the threshold. "
            f"{share}"
        )
        notes.append(footnote(content))
    else:
        notes.append(
            f"Lean and fat by {content.fat_map.method}, on one contrast: there is no fat fraction. "
            f"{share}"
        )
    notes += _extent(content)
    cut = _grouped(content)
    if cut:
        notes.append(
            f"Volumes are those of the part inside the field of view; cut: {'; '.join(cut)}."
        )
    shared = content.measurement.combined_notes
    if shared:
        notes.append("; ".join(f"{m.display_name}: {text}" for m, text in shared.items()) + ".")
    return tuple(notes)


def _extent(content: Content) -> list[str]:
    """Say which slices the numbers are of: levels are stated for the estimate alone."""
    held = np.flatnonzero(content.muscle.any(axis=(1, 2)))
    if not held.size:
        return []
    first, last = int(held[0]), int(held[-1])
    text = f"The table is of everything outlined, slices {first} to {last}"
    levels = content.levels
    if levels is None:
        return [f"{text}."]
    if first >= levels.first_slice and last <= levels.last_slice:
        return [f"{text}, and so is the estimate."]
    return [
        f"{text}; the estimate is of the stated levels alone, slices {levels.first_slice} to "
        f"{levels.last_slice}."
    ]


def _grouped(content: Content) -> list[str]:
    """Name the muscles cut at the same ends together."""
    by_note: dict[str, list[str]] = {}
    for muscle in content.present:
        note = cut_note(content.measurement.muscles[muscle])
        if note:
            ends = note.removeprefix("cut by field of view (").removesuffix(")")
            by_note.setdefault(ends, []).append(muscle.display_name)
    if len(by_note) == 1 and len(content.present) == len(next(iter(by_note.values()))):
        return [f"all muscles ({next(iter(by_note))})"]
    return [f"{', '.join(names)} ({ends})" for ends, names in by_note.items()]


def _corrections(content: Content) -> tuple[str, ...]:
    if content.ai is None or content.ai_measurement is None:
        hand = (
            f" Tissue painted by hand: {content.by_hand_ml:.1f} ml." if content.by_hand_ml else ""
        )
        return (f"The muscle map was not made by this program's AI.{hand}",)
    if not content.corrected:
        return ("None: the masks are as the AI left them; no person has changed them.",)
    lines = []
    for change in content.corrections:
        before = content.ai_measurement.muscles[change.muscle].volume_ml
        after = content.measurement.muscles[change.muscle].volume_ml
        lines.append(
            f"{change.muscle.display_name}: AI {before:.1f} ml, now {after:.1f} ml "
            f"(+{change.added_ml:.1f}, \u2212{change.removed_ml:.1f})"
        )
    if content.by_hand_ml:
        lines.append(f"Lean or fat painted by hand: {content.by_hand_ml:.1f} ml")
    return tuple(lines)


def _risk(risk: RiskEstimate) -> tuple[str, ...]:
    lines = []
    relative, absolute = relative_text(risk.relative), absolute_text(risk.absolute)
    if risk.relative.value is not None:
        relative += f", against {risk.relative.comparator}. Evidence: {risk.relative.grade.value}."
    lines.append(relative)
    if risk.absolute.probability is not None:
        absolute += f" for {risk.absolute.outcome}. Evidence: {risk.absolute.grade.value}."
    lines.append(absolute)
    lines.append(f"{prevalence_text(risk.activity)}. Evidence: {risk.activity.grade.value}.")
    reasons = {z.blank.text for z in risk.z_scores if z.blank is not None}
    if len(reasons) == 1:
        lines.append(f"No Z scores. {reasons.pop()}")
    else:
        lines += [z_text(z) for z in risk.z_scores]
        lines.append(_FAT_OF_THE_ESTIMATE)
    told = "\n".join(lines)
    lines += [f"Not given: {r.text}" for r in risk.refusals if r.text not in told]
    lines += [f"Note: {w.text}" for w in risk.warnings]
    return tuple(dict.fromkeys(lines))


def _drivers(risk: RiskEstimate) -> tuple[tuple[str, str, str], ...]:
    known = [c for c in risk.contributions if c.known]
    rows = [
        (
            f"{c.label} ({c.input_text})",
            f"odds × {math.exp(c.log_odds):.2f} ({signed(c.log_odds)})",
            c.grade.value,
        )
        for c in sorted(known, key=lambda c: -abs(c.log_odds))
    ]
    unknown = [c.label for c in risk.contributions if not c.known]
    if unknown:
        rows.append((f"Unknown, averaged over: {', '.join(unknown)}", "", ""))
    return tuple(rows)


def _context(context: PersonalContext) -> tuple[str, ...]:
    """Return factors and scores; remarks stay with the case, since they may name somebody."""
    lines = [_short(line) for line in context.model_copy(update={"remarks": ""}).lines()]
    if len(lines) > _MOST_CONTEXT:
        rest = len(lines) - _MOST_CONTEXT + 1
        lines = [*lines[: _MOST_CONTEXT - 1], f"{rest} further entries are kept with the case."]
    return (_NOT_COMPUTED, *lines) if lines else ()


def _methods(content: Content) -> tuple[str, ...]:
    ai = content.ai
    lines = [f"Program: {content.program}."]
    if ai:
        lines.append(
            f"Segmentation: {ai.get('backend', 'unknown')}, weights SHA-256 "
            f"{str(ai.get('weights_sha256'))[:16]}, {str(ai.get('finished', ''))[:10]}."
        )
    method = content.fat_map.method
    lines.append(f"Fat and lean: {method}." if method != "none" else "Fat and lean: not separated.")
    if content.risk:
        lines.append(f"Risk model: {content.risk.model_id} {content.risk.model_version}.")
    edits = content.provenance.get("edits")
    if edits is not None:
        lines.append(f"Recorded edits: {edits}.")
    return tuple(lines)


def _limits(content: Content) -> tuple[str, ...]:
    ai = content.ai or {}
    undefined = content.measurement.total.undefined_ml
    # Which muscles are cut stands below the table, of the masks as they are now.
    lines = [f["text"] for f in ai.get("flags", []) if f.get("kind") != "continues beyond the scan"]
    lines += list(content.scan.notes) + list(content.fat_map.notes)
    if undefined > 0.05 and content.fat_map.kind is not FatMapKind.NONE:
        lines.append(f"{undefined:.1f} ml of the muscles have no fat value (too little signal).")
    lines = [_short(line) for line in dict.fromkeys(lines)]
    if len(lines) > _MOST_LIMITS:
        rest = len(lines) - _MOST_LIMITS + 1
        lines = [*lines[: _MOST_LIMITS - 1], f"{rest} further notes are kept with the case."]
    return tuple(lines)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

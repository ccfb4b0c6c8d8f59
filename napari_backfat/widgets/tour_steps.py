"""The steps of the tour: what each says, where it points, and when the person has done it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMainWindow

from napari_backfat.io.sample import sample_paths
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.widgets.tool_table import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtCore import QObject
    from qtpy.QtWidgets import QWidget

    from napari_backfat.model.case import Case
    from napari_backfat.widgets.review_widget import ReviewWidget

Slices = set[int]


@dataclass(frozen=True)
class Step:
    """One card of the tour.

    Attributes
    ----------
    title, text : str
        Text is rich text; numbers carry their units, keys stand in brackets.
    place : callable
        Widgets to point at, in the state of the moment.
    done : callable
        What the person has achieved, in a sentence, or "" while the step waits. It is given the
        review and what `mark` returned when the step began.
    mark : callable
        State to compare with.
    page : int, optional
        Tab of the review that holds the widgets.
    action, do : str and callable, optional
        Button of the card that does the step for the person.
    can_do : callable
        Whether that button is offered now.
    """

    title: str
    text: str
    place: Callable[[ReviewWidget], Sequence[QWidget]]
    done: Callable[[ReviewWidget, Any], str]
    mark: Callable[[ReviewWidget], Any] = lambda _: None
    page: int | None = None
    action: str = ""
    do: Callable[[ReviewWidget], None] | None = None
    can_do: Callable[[ReviewWidget], bool] = lambda _: True


def main_window(review: ReviewWidget) -> QMainWindow | None:
    """Return napari's window, also while the dock of the review floats."""
    parent: QObject | None = review
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parent()
    return parent


def open_sample(review: ReviewWidget) -> None:
    """Open the bundled synthetic case; asks first if unsaved work is open."""
    sample = sample_paths()
    review.desk.open_scan([sample.water, sample.fat])


def is_sample(case: Case | None) -> bool:
    """Return whether a case is the bundled one."""
    if case is None:
        return False
    return Path(case.scan.reference.source.path).resolve() in {
        path.resolve() for path in (sample_paths().water, sample_paths().fat)
    }


def _state_sample(review: ReviewWidget) -> None:
    """State the levels and the fictional person of the bundled case."""
    sample = sample_paths()
    review.session.set_patient(Patient.from_json(sample.patient.read_bytes()))
    review.session.set_levels(SpineRange(**json.loads(sample.levels.read_text())))


def _case(review: ReviewWidget) -> Case | None:
    return review.session.case


def _picture(review: ReviewWidget) -> Sequence[QWidget]:
    window = main_window(review)
    widget = window.centralWidget() if window is not None else None
    return [widget] if widget is not None else []


# ---------------------------------------------------------------------- what was done


def _opened(review: ReviewWidget, _: object) -> str:
    case = _case(review)
    if case is None:
        return ""
    return "The sample case is open." if is_sample(case) else "A case is open."


def _segmented(review: ReviewWidget, _: object) -> str:
    case = _case(review)
    if case is None or case.ai is None:
        return ""
    return f"The muscles were found in {case.ai.provenance.get('seconds', 0):.0f} s."


def _slices_seen(review: ReviewWidget) -> Slices:
    return {review.viewer.dims.current_step[-3]} if review.layers is not None else set()


def _scrolled(review: ReviewWidget, seen: Slices) -> str:
    seen |= _slices_seen(review)
    return f"{len(seen)} slices seen." if len(seen) > 3 else ""


def _uncertain(review: ReviewWidget) -> Sequence[QWidget]:
    part = review.segment_panel
    return [part.uncertain.button] if part.uncertain.isVisibleTo(part) else [part.run]


def _walked(review: ReviewWidget, before: str) -> str:
    note = review.segment_panel.uncertain.note.text()
    return f"Slice {note.split('slice ')[-1]}." if note != before and "slice" in note else ""


def _edits(review: ReviewWidget) -> tuple[int, int, float]:
    case = _case(review)
    if case is None:
        return 0, 0, 0.0
    return id(case), len(case.masks.history.done), _fat_ml(case)


def _fat_ml(case: Case) -> float:
    return case.measurement.total.fat_ml if case.measurement is not None else 0.0


def _painted(review: ReviewWidget, before: tuple[int, int, float]) -> str:
    case = _case(review)
    if case is None or id(case) != before[0]:
        return ""
    history = case.masks.history
    if len(history.done) <= before[1]:
        return ""
    return f"Fat of all muscles: {before[2]:.2f} ml before, {_fat_ml(case):.2f} ml now."


def _threshold(review: ReviewWidget) -> tuple[float, float]:
    case = _case(review)
    return (case.masks.threshold, _fat_ml(case)) if case is not None else (0.5, 0.0)


def _moved(review: ReviewWidget, before: tuple[float, float]) -> str:
    now = _threshold(review)
    if now[0] == before[0]:
        return ""
    return f"Fat from {100 * now[0]:.0f} % on: {before[1]:.1f} ml before, {now[1]:.1f} ml now."


def _stated(review: ReviewWidget, _: object) -> str:
    case = _case(review)
    if case is None or case.levels is None:
        return ""
    levels = case.levels
    return (
        f"{levels.first_level} to {levels.last_level}, slices {levels.first_slice} to "
        f"{levels.last_slice}."
    )


def _estimated(review: ReviewWidget, _: object) -> str:
    window = review.risk.window
    return "The window stays open beside the work." if window and window.isVisible() else ""


def _saved(review: ReviewWidget, _: object) -> str:
    case = _case(review)
    if case is None or not case.saved or not case.folder:
        return ""
    return "Saved; the folder opens again as it is now."


# ---------------------------------------------------------------------- the steps


def _key(name: str) -> str:
    return BY_NAME[name].key


def _steps() -> tuple[Step, ...]:
    return (
        Step(
            "Open a scan",
            "<b>Open scan…</b> takes a water and a fat image together, or one image; <b>DICOM…</b> "
            "a folder; files can also be dropped. For the tour take the bundled synthetic case.",
            lambda r: [r.case_panel.open_scan],
            _opened, page=0, action="Open the sample case", do=open_sample,
            can_do=lambda r: not is_sample(_case(r)),
        ),
        Step(
            "Let the AI outline the muscles",
            "Press <b>Segment muscles</b> (Ctrl+R). It runs on this computer, on two free "
            "processor cores for 10 to 30 seconds. What it remarks stands above the button.",
            lambda r: [r.segment_panel.run],
            _segmented, page=0, action="Run the AI", do=lambda r: r.run_ai(),
            can_do=lambda r: _case(r) is not None and not r.jobs.busy and not _segmented(r, None),
        ),
        Step(
            "Look through the slices",
            "Turn the wheel over the picture, or drag the slider below it. Axial A, coronal C, "
            "sagittal S; next image Q; masks on or off H. Hold Space to move the picture.",
            _picture, _scrolled, mark=_slices_seen,
        ),
        Step(
            "Go where the AI was least sure",
            "<b>Next uncertain slice</b> (W) shows the worst slice first. The number is the AI's "
            "doubt from 0 (none) to 1, which is not the chance of an error.",
            _uncertain, _walked, mark=lambda r: r.segment_panel.uncertain.note.text(), page=0,
        ),
        Step(
            "Correct, and watch the numbers",
            f"Take the <b>brush</b> ({_key('brush')}) and <b>Fat</b> (F), and paint inside a "
            "muscle. Shift erases while held; [ and ] change the size in mm; Ctrl+Z takes it back. "
            "The table follows: <b>AI</b>, <b>now</b> and the difference <b>Δ</b>.",
            lambda r: [r.brush_panel.edit.buttons["brush"], *_picture(r), r.live.tables],
            _painted, mark=_edits, page=0,
            action="Take brush and fat", do=lambda r: r.tools.press("brush"),
            can_do=lambda r: _case(r) is not None,
        ),
        Step(
            "Decide what counts as fat",
            "Move the slider: a voxel is fat from this fat fraction on, in %. What you painted by "
            "hand stays. Other ways are under <i>Person and levels, Fat method</i>.",
            lambda r: [r.brush_panel.threshold],
            _moved, mark=_threshold, page=0,
        ),
        Step(
            "State levels and person",
            "Reference values hold for stated vertebrae only. Name the first and the last with "
            "their slices, then age (years), sex and activity (minutes per week). Unknown "
            "stays unknown.",
            lambda r: [*r.levels_panel.levels.values(), *r.levels_panel.slices.values()],
            _stated, page=1, action="Fill in the sample's", do=_state_sample,
            can_do=lambda r: is_sample(_case(r)),
        ),
        Step(
            "Read the estimate",
            "The card gives relative odds and an approximate probability in %, each with its 95 % "
            "interval. <b>Estimate…</b> explains every number; click one to see its source.",
            lambda r: [r.live.risk.details],
            _estimated,
        ),
        Step(
            "Save, export, report",
            "<b>Save</b> (Ctrl+Shift+S) keeps the case folder, <b>Export…</b> writes DICOM, NIfTI "
            "or BIDS, <b>Report…</b> one page as PDF or HTML. All keys: ?",
            lambda r: [r.case_panel.save, r.case_panel.export, r.case_panel.report],
            _saved, page=0,
        ),
    )  # fmt: skip


STEPS = _steps()

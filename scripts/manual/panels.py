"""Every panel in both themes and at two sizes of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QCursor

from napari_backfat.widgets.export_dialog import ExportDialog, ReportDialog
from scripts.manual.pictures import take
from tests.widgets.conftest import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from scripts.manual.window import Hands

SIZES = ((1280, 800), (1600, 1000))
THEMES = ("dark", "light")
# What is seen, and how it is brought there.
STATES: dict[str, Callable[[Hands], None]] = {}


def _state(show: Callable[[Hands], None]) -> Callable[[Hands], None]:
    STATES[show.__name__.removeprefix("_").replace("_", "-")] = show
    return show


@_state
def _review(hands: Hands) -> None:
    hands.review.tools.choose_tool("pan_zoom")
    hands.bring(hands.review.live, hands.review.case_panel.save)


@_state
def _correct(hands: Hands) -> None:
    hands.key(Qt.Key.Key_R)
    hands.bring(hands.review.brush_panel.threshold)


@_state
def _levels(hands: Hands) -> None:
    hands.review.tools.choose_tool("pan_zoom")
    hands.key(Qt.Key.Key_S)
    hands.bring(hands.review.levels_panel.lines.propose)


@_state
def _person(hands: Hands) -> None:
    hands.key(Qt.Key.Key_A)
    hands.bring(hands.review.patient_panel)


@_state
def _fat_method(hands: Hands) -> None:
    hands.bring(hands.review.methods.panel.compare)


@_state
def _plots(hands: Hands) -> None:
    hands.bring(hands.review.case_panel.save, hands.review.plots)


# Only the docks that differ from the first picture: the canvas is the largest part of a file.
CROPPED = {"correct", "person", "fat-method"}


def every_panel(hands: Hands) -> list[str]:
    """Take all pictures; returns their names below docs/images/panels, in order."""
    names: list[str] = []
    hands.review.page.let_go()
    for theme in THEMES:
        hands.viewer.theme = theme
        settle(1.0)
        for width, height in SIZES:
            hands.resize(width, height)
            tail = f"{theme}-{width}"
            for state, bring in STATES.items():
                bring(hands)
                settle(0.8)
                crop = (hands.review,) if state in CROPPED else ()
                names.append(_take(f"{state}-{tail}", hands.window, crop))
            if "Shift-V" in hands.review.tools.keys.texts:
                hands.bring(hands.review.live, hands.review.case_panel.save)
                hands.key(Qt.Key.Key_V, Qt.KeyboardModifier.ShiftModifier)
                settle(1.5)
                names.append(_take(f"linked-{tail}", hands.window, ()))
                hands.key(Qt.Key.Key_V, Qt.KeyboardModifier.ShiftModifier)
                settle(0.5)
            hands.bring(hands.review.live)
        names += _windows(hands, theme)
    hands.viewer.theme = THEMES[0]
    settle(0.5)
    return names


def the_worklist(hands: Hands) -> list[str]:
    """Take the pictures of the open worklist."""
    panel = hands.review.worklist
    assert panel is not None
    names = []
    for theme in THEMES:
        hands.viewer.theme = theme
        for width, height in SIZES:
            hands.resize(width, height)
            hands.bring(panel)
            names.append(_take(f"worklist-{theme}-{width}", hands.window, (panel,)))
    return names


def _windows(hands: Hands, theme: str) -> list[str]:
    """Take the windows of their own, which keep their size when the main window changes."""
    review = hands.review
    review.live.risk.details.click()
    estimate = review.risk.window
    assert estimate is not None
    names = []
    for index, tab in enumerate(("what-if", "context", "notes")):
        estimate.tabs.setCurrentIndex(index)
        settle(0.8)
        names.append(_take(f"estimate-{tab}-{theme}", estimate, ()))
    estimate.explain("odds")
    settle(0.4)
    names.append(_take(f"explanation-{theme}", estimate.explanation, ()))
    estimate.explanation.close()
    estimate.close()
    review.brush_panel.help.click()
    sheet: Any = review.tools.sheet
    settle(0.4)
    names.append(_take(f"keys-{theme}", sheet, ()))
    sheet.close()
    review.methods.panel.compare.click()
    hands.jobs_done()
    window: Any = review.methods.window
    settle(0.4)
    names.append(_take(f"fat-compare-{theme}", window, ()))
    window.close()
    for name, dialog in (
        ("export", ExportDialog(review, from_dicom=True)),
        ("report", ReportDialog(review)),
    ):
        dialog.show()
        settle(0.4)
        names.append(_take(f"{name}-{theme}", dialog, ()))
        dialog.close()
        dialog.deleteLater()
    review.tour.start()
    settle(0.6)
    names.append(_take(f"tour-{theme}", hands.window, (review.tour.card,)))
    review.tour.end()
    return names


def _take(name: str, root: QWidget, crop: tuple[Any, ...]) -> str:
    QCursor.setPos(root.mapToGlobal(root.rect().bottomRight()))  # or a tooltip covers something
    settle(0.3)
    take(f"panels/{name}", root, crop, colors=128)
    return name

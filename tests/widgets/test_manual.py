"""The manual names keys and buttons as they are, and every picture it shows exists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QGroupBox,
    QLabel,
    QTabWidget,
    QWidget,
)

from napari_backfat.widgets.export_dialog import ExportDialog
from napari_backfat.widgets.tool_table import TOOLS
from napari_backfat.widgets.tour_card import KEYS
from tests.shared_data import REPOSITORY
from tests.widgets.conftest import settle

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.widgets.review_widget import ReviewWidget

DOCS = REPOSITORY / "docs"
PAGES = sorted((DOCS / "manual").glob("*.md"))
SHOWING = [*PAGES, DOCS / "screens.md"]
_HELD = {"Shift", "Space"}  # not bound: napari's own key for moving, and a modifier
_MOST_BYTES = 6_000_000


def text_of(page: Path) -> str:
    """Return a page without its blocks of commands."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def named_keys(text: str) -> set[str]:
    """Return what stands between single backticks and is no command or file."""
    found = set(re.findall(r"`([^`]+)`", text))
    return {k for k in found if re.fullmatch(r"((Ctrl|Shift|Alt)\+)*([^ ]|F\d+|Esc|Space)", k)}


def test_there_are_pages_and_they_are_reachable() -> None:
    assert len(PAGES) >= 8
    index = text_of(DOCS / "manual" / "README.md")
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index


@pytest.mark.parametrize("page", SHOWING, ids=lambda p: p.stem)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (page.parent / link).resolve().is_file(), link


def test_every_picture_is_shown_and_all_are_small() -> None:
    shown = {
        (page.parent / link).resolve()
        for page in SHOWING
        for link in re.findall(r"\]\(([^)#]+\.png)\)", page.read_text(encoding="utf-8"))
    }
    pictures = {p for kind in ("manual", "panels") for p in (DOCS / "images" / kind).glob("*.png")}
    assert shown == pictures
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.mode == "P", picture
            assert image.width <= 1600
            assert image.height <= 1240
    everything = sum(p.stat().st_size for p in (DOCS / "images").rglob("*.png"))
    assert everything < _MOST_BYTES


def test_every_tool_is_named_with_its_key() -> None:
    text = text_of(DOCS / "manual" / "correct.md")
    named = dict(re.findall(r"\*\*([\w ]+)\*\* \(`([^`]+)`\)", text))
    named |= dict(re.findall(r"\| \*\*([\w ]+)\*\* \| `([^`]+)` \|", text))
    assert named == {spec.label: spec.shown_key for spec in TOOLS}


def test_every_key_of_the_manual_is_bound(window: tuple[Any, ReviewWidget]) -> None:
    _, review = window
    review.open_worklist()
    bound = {
        key.replace("Control", "Ctrl").replace("Escape", "Esc").replace("-", "+")
        for key in review.tools.keys.texts
        if len(key) > 1
    } | {key for key in review.tools.keys.texts if len(key) == 1}
    for page in PAGES:
        assert named_keys(text_of(page)) - bound - _HELD == set(), page.name
    tour = text_of(DOCS / "manual" / "open.md")
    assert all(key in tour for key in KEYS.values())


def test_every_name_in_bold_is_on_the_screen(window: tuple[Any, ReviewWidget]) -> None:
    _, review = window
    review.open_worklist()
    estimate = review.risk.show()
    dialog = ExportDialog(review, from_dicom=True)
    settle(0.1)
    assert review.worklist is not None
    roots: list[QWidget] = [review, review.live, review.worklist, estimate, dialog]
    names = {"AI", "now", "Δ"}  # heads of the table
    for root in roots:
        for kind in (QAbstractButton, QCheckBox, QLabel):
            names |= {w.text().strip() for w in root.findChildren(kind)}
        names |= {w.title() for w in root.findChildren(QGroupBox)}
        for tabs in root.findChildren(QTabWidget):
            names |= {tabs.tabText(i) for i in range(tabs.count())}
    estimate.close()
    dialog.deleteLater()
    prose = {"what", "tool", "Research use only."}
    for page in PAGES:
        bold = set(re.findall(r"\*\*([^*]+)\*\*", text_of(page)))
        assert bold - names - prose == set(), page.name

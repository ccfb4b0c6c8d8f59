"""Coloured text follows napari's theme and can be read in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_backfat.measure.quantify import quantify
from napari_backfat.model.anatomy import Muscle
from napari_backfat.model.masks import Masks
from napari_backfat.review.fat import fat_map_of
from napari_backfat.widgets.measurement_panel import MINUS
from napari_backfat.widgets.theme_colors import ON_LIGHT, on_light, shade, themed
from tests.phantom import make_case
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from napari_backfat.widgets.review_widget import ReviewWidget

_TEXT = sorted(set(ON_LIGHT) - {"#6B5A34"})  # that one fills shapes


def contrast(one: QColor, other: QColor) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(color: QColor) -> float:
        parts = (color.redF(), color.greenF(), color.blueF())
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", _TEXT)
def test_every_text_colour_stands_out_on_its_ground(color: str) -> None:
    for name, shown in (("dark", color), ("light", ON_LIGHT[color])):
        ground = QColor(*get_theme(name).background.as_rgb_tuple()[:3])
        assert contrast(QColor(shown), ground) >= 4.5, (name, shown)


def test_shown_and_hidden_labels_follow_the_theme(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    tabs, first, second = QTabWidget(), QWidget(), QWidget()
    labels = []
    for page in (first, second):
        label = QLabel("Look at this")
        themed(label, "color: #E08A1E;")
        QVBoxLayout(page).addWidget(label)
        tabs.addTab(page, "page")
        labels.append(label)
    viewer.window.add_dock_widget(tabs, name="themed")
    settle(0.2)
    assert [label.styleSheet() for label in labels] == ["color: #E08A1E;"] * 2
    assert shade(QColor("#E08A1E"), first).name().upper() == "#E08A1E"
    viewer.theme = "light"
    wait_for(lambda: on_light(first))
    wait_for(lambda: labels[0].styleSheet() == "color: #8A4600;")
    tabs.setCurrentIndex(1)
    wait_for(lambda: labels[1].styleSheet() == "color: #8A4600;")
    assert shade(QColor("#E08A1E"), first).name().upper() == "#8A4600"
    viewer.theme = "dark"
    wait_for(lambda: labels[1].styleSheet() == "color: #E08A1E;")
    themed(labels[1], "")
    settle(0.1)
    assert labels[1].styleSheet() == ""


def test_differences_in_the_table_follow_the_theme(window: tuple[Any, ReviewWidget]) -> None:
    viewer, review = window
    made = make_case((5, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2)
    masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
    masks.replace(made.muscles)
    ai = quantify(masks.ledger, masks.geometry, masks.fat_map.kind, masks.threshold)
    masks.replace(np.where(made.muscles == Muscle.ERECTOR_SPINAE_LEFT, 0, made.muscles))
    now = quantify(masks.ledger, masks.geometry, masks.fat_map.kind, masks.threshold)
    table = review.live.table
    table.set_measurement(now, ai)

    def colors() -> set[str]:
        cells = [table.item(r, c) for r in range(2, table.rowCount()) for c in range(3, 15, 3)]
        return {
            cell.foreground().color().name().upper()
            for cell in cells
            if cell is not None and cell.text().startswith(MINUS)
        }

    assert colors() == {"#4A9FE0"}
    viewer.theme = "light"
    wait_for(lambda: colors() == {"#155A94"})
    viewer.theme = "dark"
    wait_for(lambda: colors() == {"#4A9FE0"})

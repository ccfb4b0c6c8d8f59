"""Planes, images and masks by key and button."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from tests.widgets.conftest import settle

if TYPE_CHECKING:
    from tests.widgets.conftest import Bench


def test_planes_by_key_have_the_right_letters(bench: Bench) -> None:
    letters = bench.review.layers.letters if bench.review.layers else None
    assert letters is not None
    for key, name, expected in (
        (Qt.Key.Key_S, "sagittal", "HFAP"),
        (Qt.Key.Key_C, "coronal", "HFRL"),
        (Qt.Key.Key_A, "axial", "APRL"),
    ):
        bench.key(key)
        assert "".join(letters.letters.values()) == expected
        assert bench.review.view_panel.plane_buttons[name].isChecked()
        assert bench.viewer.canvas.overlays["backfat_side_left"].visible


@pytest.mark.filterwarnings("ignore:Contours are not displayed during 3D rendering:UserWarning")
def test_letters_hide_in_3d(bench: Bench) -> None:
    bench.viewer.dims.ndisplay = 3
    settle()
    assert not bench.viewer.canvas.overlays["backfat_side_left"].visible


def test_next_image_and_masks(bench: Bench) -> None:
    layers = bench.review.layers
    assert layers is not None
    seen = []
    for _ in range(3):
        bench.key(Qt.Key.Key_Q)
        seen.append([name for name, layer in layers.images.items() if layer.visible])
    assert seen == [["fat"], ["fat map"], ["water"]]
    bench.key(Qt.Key.Key_H)
    assert not layers.muscle.visible
    assert not layers.tissue.visible
    bench.key(Qt.Key.Key_H)
    assert layers.muscle.visible

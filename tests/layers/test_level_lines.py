"""Disc lines lie in every sagittal and coronal plane, can be dragged, and never stop a brush."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.layers.level_lines import LevelLines
from napari_backfat.model.masks import Masks
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.fat import fat_map_of
from tests.phantom import make_case

_LEVELS = VertebralLevels((3.0, 9.0, 16.0), "L1")
_SAGITTAL, _CORONAL, _AXIAL = (2, 0, 1), (1, 0, 2), (0, 1, 2)


class Setup:
    """A viewer without a window, a case and its lines."""

    def __init__(self) -> None:
        made = make_case((20, 24, 32), (4.0, 2.0, 2.0))
        self.masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
        self.masks.replace(made.muscles)
        self.viewer = ViewerModel()
        self.layers = CaseLayers(self.viewer, made.scan, self.masks)
        self.viewer.scene.camera.zoom = 5.0
        self.lines = LevelLines(self.viewer, made.scan.geometry)
        self.lines.set_levels(_LEVELS)
        self.moves: list[VertebralLevels] = []
        self.releases: list[VertebralLevels] = []
        self.lines.moved.connect(self.moves.append)
        self.lines.released.connect(self.releases.append)

    def show(self, order: tuple[int, int, int]) -> None:
        self.viewer.dims.order = order

    def drag(self, *zs: float) -> None:
        """Press at the first slice, move through the others, release: napari's own callbacks."""

        def event(kind: str, z: float) -> Any:
            made = SimpleNamespace(
                type=kind, button=1, modifiers=(), is_dragging=True, handled=False,
                position=(4.0 * z, 20.0, 20.0),
            )  # fmt: skip
            return ReadOnlyWrapper(made, exceptions=("handled",))

        mouse_press_callbacks(self.viewer, event("mouse_press", zs[0]))
        for z in zs[1:]:
            mouse_move_callbacks(self.viewer, event("mouse_move", z))
        mouse_release_callbacks(self.viewer, event("mouse_release", zs[-1]))

    def drawn(self) -> list[float]:
        assert self.lines.layers is not None
        return [float(z) for z in self.lines.layers[0].data[:, 0, 0]]

    def names(self) -> list[str]:
        assert self.lines.layers is not None
        return [str(text) for text in self.lines.layers[1].text.values]


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.mark.parametrize("order", [_SAGITTAL, _CORONAL])
def test_lines_and_names_are_there_in_every_plane(setup: Setup, order: Any) -> None:
    sliders = setup.viewer.dims.range
    setup.show(order)
    assert setup.lines.visible
    assert setup.drawn() == list(_LEVELS.discs)
    assert setup.names() == ["L1", "L2", "L3", "L4"]
    assert setup.viewer.dims.range == sliders, "the lines changed napari's sliders"
    lines, names = setup.lines.layers or (None, None)
    assert lines is not None
    assert names is not None
    for step in (0, 7, setup.masks.geometry.shape[order[0]] - 1):
        setup.viewer.dims.set_current_step(order[0], step)
        assert len(lines._view_data) == 3
        assert len(names._view_data) == 4


@pytest.mark.parametrize("order", [_SAGITTAL, _CORONAL])
def test_names_stay_in_sight(setup: Setup, order: Any) -> None:
    """However far the body lies from the edge of the picture, and wherever one zooms in."""
    setup.show(order)
    assert setup.lines.layers is not None
    camera, (_, width) = setup.viewer.scene.camera, setup.viewer.canvas.size
    spacing = setup.masks.geometry.spacing_mm[order[2]]
    for zoom, middle in ((20.0, 40.0), (60.0, 22.0), (60.0, 40.0)):
        camera.zoom, camera.center = zoom, (0.0, 30.0, middle)
        on_canvas = width / 2 + (setup.lines.layers[1].data[:, order[2]] * spacing - middle) * zoom
        assert np.allclose(on_canvas, 48.0)
    camera.zoom, camera.center = 1.0, (0.0, 30.0, 20.0)  # the picture is small: at its own edge
    assert np.all(setup.lines.layers[1].data[:, order[2]] == 0)
    assert setup.names() == ["L1", "L2", "L3", "L4"]


def test_axial_view_and_key_hide_them(setup: Setup) -> None:
    assert not setup.lines.visible
    setup.show(_SAGITTAL)
    setup.lines.show(False)
    assert not setup.lines.visible
    setup.lines.show(True)
    assert setup.lines.visible
    setup.show(_AXIAL)
    assert not setup.lines.visible


def test_adding_the_layers_leaves_the_selection_alone(setup: Setup) -> None:
    before = setup.viewer.layers.selection.active
    setup.show(_SAGITTAL)
    assert setup.viewer.layers.selection.active == before == setup.layers.tissue


def test_a_drag_moves_one_line_and_gives_the_camera_back(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    setup.drag(9.1, 9.5, 10.25)
    assert setup.releases == [_LEVELS.moved(1, 10.25)]
    assert [m.discs[1] for m in setup.moves] == [9.5, 10.25]
    assert setup.drawn() == [3.0, 10.25, 16.0]
    assert setup.viewer.scene.camera.mouse_pan


def test_a_line_cannot_pass_its_neighbour_or_leave_the_scan(setup: Setup) -> None:
    setup.show(_CORONAL)
    setup.drag(9.0, 2.0)
    assert setup.releases[-1].discs == (3.0, 3.5, 16.0)
    setup.drag(16.0, 400.0)
    assert setup.releases[-1].discs == (3.0, 3.5, 19.5)


def test_far_from_a_line_the_picture_is_moved_instead(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    setup.drag(12.0, 14.0)
    assert setup.moves == setup.releases == []
    setup.drag(9.0)  # a click without a movement
    assert setup.releases == []
    assert setup.viewer.scene.camera.mouse_pan


def test_the_brush_paints_across_a_line(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    for mode in ("paint", "erase", "fill"):
        setup.layers.tissue.mode = mode
        setup.drag(9.0, 12.0)
    assert setup.moves == setup.releases == []
    setup.layers.tissue.mode = "pan_zoom"
    setup.drag(9.0, 12.0)
    assert len(setup.releases) == 1


def test_a_guessed_numbering_has_question_marks(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    guess = VertebralLevels((3.0, 9.0), "L4", numbering_stated=False)
    setup.lines.set_levels(guess)
    assert setup.names() == ["L4?", "L5?", "S1?"]
    setup.lines.set_levels(guess.confirmed())
    assert setup.names() == ["L4", "L5", "S1"]
    setup.lines.set_levels(guess.shifted(-1))
    assert setup.names() == ["L3", "L4", "L5"]


def test_deleted_layers_come_back_when_shown_again(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    assert setup.lines.layers is not None
    setup.viewer.layers.remove(setup.lines.layers[0])
    assert setup.lines.layers is None
    assert "Names of levels" not in setup.viewer.layers
    setup.show(_CORONAL)
    assert setup.lines.visible
    assert setup.drawn() == list(_LEVELS.discs)


def test_remove_leaves_nothing_behind(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    callbacks = len(setup.viewer.mouse_drag_callbacks)
    setup.lines.remove()
    assert "Vertebral levels" not in setup.viewer.layers
    assert len(setup.viewer.mouse_drag_callbacks) == callbacks - 1
    setup.drag(9.0, 12.0)
    setup.show(_CORONAL)
    assert setup.moves == []


def test_discs_outside_the_scan_are_not_drawn(setup: Setup) -> None:
    setup.show(_SAGITTAL)
    setup.lines.set_levels(VertebralLevels((-4.0, 5.0, 30.0), "L2"))
    assert setup.drawn() == [5.0]
    assert setup.names() == ["L3", "L4"]
    assert np.isfinite(setup.drawn()).all()

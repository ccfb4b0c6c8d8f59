"""Whatever is done to the layers, the live numbers equal a full recount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.layers.quiet_help import HELP
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.fat_map import FatMap, FatMapKind, apply_rule, threshold_code
from napari_backfat.model.masks import Change, Masks
from napari_backfat.review.fat import fat_map_of
from tests.phantom import make_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.napari_range


class Setup:
    """A viewer without a window, with one case in it."""

    def __init__(self, shape: tuple[int, int, int] = (6, 40, 64)) -> None:
        made = make_case(shape, fat_fraction=0.4, noise=60.0, undefined=5)
        self.masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
        self.masks.replace(made.muscles, label="start")
        self.masks.history.clear()
        self.viewer = ViewerModel()
        self.layers = CaseLayers(self.viewer, made.scan, self.masks)
        self.muscle, self.tissue = self.layers.muscle, self.layers.tissue
        self.true_muscles = made.muscles

    def check(self) -> None:
        masks = self.masks
        assert masks.ledger.equals(masks.recount())
        assert not ((masks.tissue != 0) & (masks.muscle == 0)).any()
        ruled = (masks.muscle != 0) & (masks.tissue < TissueCode.LEAN_BY_HAND)
        rule = apply_rule(masks.fat_map.codes, threshold_code(masks.threshold))
        assert np.array_equal(masks.tissue[ruled], rule[ruled])
        assert self.muscle.data is masks.muscle
        assert self.tissue.data is masks.tissue

    def inside(self) -> tuple[int, int, int]:
        z, y, x = np.argwhere(self.masks.muscle == Muscle.ERECTOR_SPINAE_LEFT)[40]
        return int(z), int(y), int(x)


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_layers_hold_the_masks_themselves(setup: Setup) -> None:
    assert setup.muscle.data is setup.masks.muscle
    assert setup.tissue.data is setup.masks.tissue


def test_the_surround_is_black_while_a_case_is_open() -> None:
    viewer = ViewerModel()
    viewer.canvas.background_color_override = "white"
    made = make_case((6, 40, 64))
    masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
    layers = CaseLayers(viewer, made.scan, masks)
    assert viewer.canvas.background_color[:3].tolist() == [0, 0, 0]
    layers.remove()
    assert viewer.canvas.background_color[:3].tolist() == [1, 1, 1]


def test_napari_names_no_keys_that_mean_something_else(setup: Setup) -> None:
    for mode in ("paint", "erase", "pan_zoom"):
        setup.muscle.mode = mode
        setup.viewer.layers.selection.active = setup.tissue
        setup.viewer.layers.selection.active = setup.muscle
        assert setup.viewer.help == HELP
    setup.layers.remove()
    assert setup.viewer.help == ""


def test_hand_paint_survives_every_threshold(setup: Setup) -> None:
    where = setup.inside()
    setup.tissue.brush_size = 3
    setup.tissue.paint(where, int(TissueCode.FAT_BY_HAND))
    painted = setup.masks.by_hand().copy()
    assert painted.sum() > 1
    for threshold in (0.0, 0.9, 0.31, 1.0, 0.5):
        setup.masks.set_threshold(threshold)
        assert np.array_equal(setup.masks.by_hand(), painted)
        assert (setup.masks.tissue[painted] == TissueCode.FAT_BY_HAND).all()
        setup.check()


def test_plain_labels_painted_by_brush_become_marks(setup: Setup) -> None:
    setup.tissue.brush_size = 1
    setup.tissue.paint(setup.inside(), int(TissueCode.FAT))
    assert setup.masks.tissue[setup.inside()] == TissueCode.FAT_BY_HAND


def test_growing_a_muscle_fills_by_the_rule(setup: Setup) -> None:
    empty = tuple(int(i) for i in np.argwhere(setup.masks.muscle == 0)[500])
    setup.muscle.brush_size = 1
    setup.muscle.paint(empty, int(Muscle.PSOAS_MAJOR_LEFT))
    expected = apply_rule(setup.masks.fat_map.codes[empty], threshold_code(setup.masks.threshold))
    assert setup.masks.muscle[empty] == Muscle.PSOAS_MAJOR_LEFT
    assert setup.masks.tissue[empty] == expected
    setup.check()


def test_tissue_outside_every_muscle_is_refused_and_said(setup: Setup) -> None:
    told: list[Change] = []
    setup.layers.binding.refused.connect(told.append)
    setup.tissue.brush_size = 1
    empty = tuple(int(i) for i in np.argwhere(setup.masks.muscle == 0)[500])
    setup.tissue.paint(empty, int(TissueCode.FAT_BY_HAND))
    assert setup.masks.tissue[empty] == 0
    assert [c.refused_outside for c in told] == [1]
    setup.check()


def test_tissue_outside_grows_the_chosen_muscle(setup: Setup) -> None:
    setup.masks.grow_into = Muscle.MULTIFIDUS_RIGHT
    setup.tissue.brush_size = 1
    empty = tuple(int(i) for i in np.argwhere(setup.masks.muscle == 0)[500])
    setup.tissue.paint(empty, int(TissueCode.LEAN_BY_HAND))
    assert setup.masks.muscle[empty] == Muscle.MULTIFIDUS_RIGHT
    assert setup.masks.tissue[empty] == TissueCode.LEAN_BY_HAND
    setup.check()


def test_erasing_and_regrowing_a_muscle_brings_marks_back(setup: Setup) -> None:
    where = setup.inside()
    setup.tissue.brush_size = setup.muscle.brush_size = 1
    setup.tissue.paint(where, int(TissueCode.FAT_BY_HAND))
    setup.muscle.paint(where, 0)
    assert setup.masks.tissue[where] == 0
    setup.muscle.paint(where, int(Muscle.ERECTOR_SPINAE_LEFT))
    assert setup.masks.tissue[where] == TissueCode.FAT_BY_HAND
    setup.check()


def test_erasing_tissue_returns_to_the_rule(setup: Setup) -> None:
    where = setup.inside()
    before = setup.masks.tissue[where]
    setup.tissue.brush_size = 1
    setup.tissue.paint(where, int(TissueCode.FAT_BY_HAND))
    setup.tissue.paint(where, 0)
    assert setup.masks.tissue[where] == before
    assert not setup.masks.by_hand().any()
    setup.check()


def test_unknown_label_is_taken_back(setup: Setup) -> None:
    setup.muscle.paint(setup.inside(), 77)
    assert setup.masks.muscle.max() <= 8
    setup.check()


def test_edit_of_a_hidden_layer_is_counted_when_shown(setup: Setup) -> None:
    setup.muscle.paint(setup.inside(), 0)
    setup.muscle.visible = False
    setup.muscle.undo()
    setup.muscle.visible = True
    setup.check()


def test_script_that_writes_into_the_array(setup: Setup) -> None:
    setup.muscle.data[:, 5:9, 5:9] = Muscle.QUADRATUS_LUMBORUM_RIGHT
    setup.muscle.refresh()
    assert (setup.masks.muscle[:, 5:9, 5:9] == Muscle.QUADRATUS_LUMBORUM_RIGHT).all()
    setup.check()


def test_replaced_data_are_taken_into_the_masks(setup: Setup) -> None:
    new: NDArray[np.uint8] = np.roll(setup.masks.muscle, 3, axis=1)
    setup.muscle.data = new.astype(np.int64)
    assert np.array_equal(setup.masks.muscle, new)
    setup.check()


def test_replaced_data_of_another_shape_are_refused(setup: Setup) -> None:
    before = setup.masks.muscle.copy()
    told: list[str] = []
    setup.layers.binding.problem.connect(told.append)
    setup.muscle.data = np.zeros((3, 3, 3), np.uint8)
    assert len(told) == 1
    assert "(3, 3, 3)" in told[0]
    assert np.array_equal(setup.masks.muscle, before)
    setup.check()


def test_undo_takes_back_a_stroke_in_both_masks(setup: Setup) -> None:
    start = setup.masks.muscle.copy(), setup.masks.tissue.copy()
    setup.muscle.brush_size = 9
    setup.muscle.paint((2, 12, 12), int(Muscle.PSOAS_MAJOR_RIGHT))
    assert not np.array_equal(setup.masks.muscle, start[0])
    setup.masks.undo()
    assert np.array_equal(setup.masks.muscle, start[0])
    assert np.array_equal(setup.masks.tissue, start[1])
    setup.check()


def test_letters_name_the_patient_sides_in_all_three_views(setup: Setup) -> None:
    dims = setup.viewer.dims
    views = {
        (0, 1, 2): ("A", "P", "R", "L"),
        (1, 0, 2): ("H", "F", "R", "L"),
        (2, 0, 1): ("H", "F", "A", "P"),
    }
    for order, (top, bottom, left, right) in views.items():
        dims.order = order
        assert setup.layers.letters.letters == {
            "top": top,
            "bottom": bottom,
            "left": left,
            "right": right,
        }


def test_several_hundred_random_edits_never_miscount() -> None:
    setup = Setup((6, 36, 40))
    rng = np.random.default_rng(20261122)
    shape = np.array(setup.masks.geometry.shape)
    layers = (setup.muscle, setup.tissue)
    tables = (9, 5)
    done: dict[str, int] = {}
    for _ in range(450):
        which = int(rng.integers(2))
        layer, labels = layers[which], tables[which]
        where = tuple(int(v) for v in rng.integers(0, shape))
        label = int(rng.integers(0, labels + 2))
        kind = str(
            rng.choice(
                [
                    "paint",
                    "paint",
                    "paint3d",
                    "fill",
                    "setitem",
                    "script",
                    "napari undo",
                    "napari redo",
                    "undo",
                    "redo",
                    "scroll",
                    "order",
                    "hide",
                    "threshold",
                    "block",
                    "replace",
                    "grow",
                ]
            )
        )
        layer.brush_size = int(rng.integers(1, 12))
        if kind == "paint":
            layer.n_edit_dimensions = 2
            layer.paint(_on_slice(setup, where), label)
        elif kind == "paint3d":
            layer.n_edit_dimensions = 3
            layer.paint(where, label)
            layer.n_edit_dimensions = 2
        elif kind == "fill":
            layer.fill(_on_slice(setup, where), label)
        elif kind == "setitem":
            index = tuple(rng.integers(0, n, 30) for n in shape)
            layer.data_setitem(index, label)
        elif kind == "script":
            z, y, x = where
            layer.data[z, y : y + 5, x : x + 5] = label
            layer.refresh()
        elif kind == "napari undo":
            layer.undo()
        elif kind == "napari redo":
            layer.redo()
        elif kind == "undo":
            setup.masks.undo()
        elif kind == "redo":
            setup.masks.redo()
        elif kind == "scroll":
            setup.viewer.dims.current_step = where
        elif kind == "order":
            setup.viewer.dims.order = tuple(int(i) for i in rng.permutation(3))
        elif kind == "hide":
            layer.visible = False
            layer.undo()
            layer.visible = True
        elif kind == "threshold":
            setup.masks.set_threshold(float(rng.integers(0, 101)) / 100)
            setup.masks.finish_step("threshold")
        elif kind == "block":
            with layer.block_history():
                layer.paint(_on_slice(setup, where), label)
                layer.paint(_on_slice(setup, where), 1)
        elif kind == "replace":
            layer.data = np.roll(layer.data, 1, axis=2).copy()
        elif kind == "grow":
            setup.masks.grow_into = Muscle(int(rng.integers(1, 9))) if rng.random() < 0.5 else None
        done[kind] = done.get(kind, 0) + 1
        setup.check()
    assert min(done.values()) >= 10, done


def _on_slice(setup: Setup, where: tuple[int, int, int]) -> tuple[int, ...]:
    """A voxel on the slice that is displayed."""
    hidden = setup.viewer.dims.order[0]
    voxel = list(where)
    voxel[hidden] = int(setup.viewer.dims.current_step[hidden])
    return tuple(voxel)


def test_undo_walks_back_through_everything() -> None:
    setup = Setup((4, 30, 40))
    masks = setup.masks
    states = [(masks.muscle.copy(), masks.tissue.copy(), masks.threshold)]
    rng = np.random.default_rng(5)
    for number in range(40):
        if number % 5 == 4:
            masks.set_threshold(float(rng.integers(1, 100)) / 100)
            masks.finish_step("threshold")
        elif number % 7 == 6:
            masks.replace(np.roll(masks.muscle, 1, axis=1), label="AI")
        else:
            layer = (setup.muscle, setup.tissue)[number % 2]
            layer.brush_size = int(rng.integers(2, 10))
            where = (
                int(setup.viewer.dims.current_step[0]),
                *(int(v) for v in rng.integers(3, 28, 2)),
            )
            layer.paint(where, int(rng.integers(0, 5)))
        state = (masks.muscle.copy(), masks.tissue.copy(), masks.threshold)
        if any(not np.array_equal(a, b) for a, b in zip(state, states[-1], strict=True)):
            states.append(state)
    assert len(states) > 25
    for muscle, tissue, threshold in reversed(states[:-1]):
        assert masks.undo() is not None
        assert np.array_equal(masks.muscle, muscle)
        assert np.array_equal(masks.tissue, tissue)
        assert masks.threshold == threshold
        setup.check()
    assert masks.undo() is None
    for muscle, tissue, threshold in states[1:]:
        assert masks.redo() is not None
        assert np.array_equal(masks.muscle, muscle)
        assert np.array_equal(masks.tissue, tissue)
        assert masks.threshold == threshold


def test_fat_map_kinds_make_their_layer() -> None:
    made = make_case()
    masks = Masks(made.scan.geometry, FatMap.undefined(made.scan.geometry.shape, "later"))
    viewer = ViewerModel()
    layers = CaseLayers(viewer, made.scan, masks)
    assert "fat map" not in layers.images
    values = np.full(made.scan.geometry.shape, 0.5, np.float32)
    masks.set_method(FatMap.from_values(values, FatMapKind.MIXTURE, "test"), 0.5)
    layers.update_fat_map()
    assert layers.images["fat map"] in viewer.layers
    layers.remove()
    assert len(viewer.layers) == 0


def test_deleted_mask_comes_back(setup: Setup) -> None:
    told: list[str] = []
    setup.layers.binding.problem.connect(told.append)
    setup.viewer.layers.remove(setup.tissue)
    assert setup.tissue in setup.viewer.layers
    assert "belongs to the open case" in told[0]
    setup.check()

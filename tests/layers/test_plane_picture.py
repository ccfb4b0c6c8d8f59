"""The small views' pixels: mending some rows gives what drawing everything gives."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_backfat.layers.case_layers import CaseLayers
from napari_backfat.layers.crosshair import Crosshair
from napari_backfat.layers.plane_picture import PlanePicture, look_of
from napari_backfat.layers.windows import windows_of
from napari_backfat.model.colors import muscle_colors, tissue_colors
from napari_backfat.model.masks import Masks
from napari_backfat.review.fat import fat_map_of
from tests.phantom import make_case

_SHAPE = (7, 40, 64)


def make_layers() -> tuple[ViewerModel, Masks, CaseLayers]:
    made = make_case(_SHAPE, fat_fraction=0.4, noise=60.0)
    masks = Masks(made.scan.geometry, fat_map_of(made.scan, None))
    masks.replace(made.muscles)
    viewer = ViewerModel()
    return viewer, masks, CaseLayers(viewer, made.scan, masks)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("contour", [0, 1])
def test_mended_rows_are_what_a_new_picture_shows(axis: int, contour: int) -> None:
    _, masks, layers = make_layers()
    layers.muscle.contour = contour
    picture = PlanePicture(axis, muscle_colors(), tissue_colors())
    index = _SHAPE[axis] // 2
    picture.draw(index, layers.shown_images, look_of(layers))
    rng = np.random.default_rng(axis)
    for _ in range(20):
        before = picture.rgb.copy()
        z, y, x = (int(rng.integers(0, n)) for n in _SHAPE)
        part = (slice(z, z + 2), slice(y, y + 9), slice(x, x + 9))
        masks.muscle[part] = int(rng.integers(0, 9))
        change = masks.sync()
        if change is None:
            continue
        seen = picture.mend(look_of(layers), change.slices)
        fresh = PlanePicture(axis, muscle_colors(), tissue_colors())
        fresh.draw(index, layers.shown_images, look_of(layers))
        assert np.array_equal(picture.rgb, fresh.rgb)
        if not seen:
            assert np.array_equal(before, picture.rgb)


def test_a_change_names_its_slices() -> None:
    _, masks, _ = make_layers()
    masks.muscle[2, 3, 4] = 1 + masks.muscle[2, 3, 4] % 8
    masks.muscle[5, 3, 4] = 1 + masks.muscle[5, 3, 4] % 8
    change = masks.sync()
    assert change is not None
    assert change.slices == (2, 5)
    undone = masks.undo()
    assert undone is not None
    assert undone.slices is None


def test_the_crosshair_adds_no_slices_and_leaves_its_voxel_free() -> None:
    viewer, masks, _ = make_layers()
    steps, place = viewer.dims.nsteps, viewer.dims.current_step
    crosshair = Crosshair(viewer, masks.geometry)
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 1, 2)):
        viewer.dims.order = order
        crosshair.show((3, 20, 30))
        assert viewer.dims.nsteps == steps
        assert crosshair.layer is not None
        starts, ways = crosshair.layer.data[:, 0], crosshair.layer.data[:, 1]
        middle = np.array((3.0, 20.0, 30.0))
        middle[order[0]] = 0
        for share in np.linspace(0, 1, 21):
            assert (np.abs(starts + share * ways - middle).max(axis=1) > 0.5).all()
    assert viewer.dims.current_step == place
    crosshair.remove()
    assert "Crosshair" not in viewer.layers


def test_windows_of_degenerate_images_are_usable() -> None:
    for values in (np.zeros((4, 4, 4)), np.full((4, 4, 4), 7.0), np.full((4, 4, 4), np.nan)):
        for window in windows_of(values.astype(np.float32)):
            assert window.high > window.low

"""The fat method in the real window: choose, use, undo, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_backfat.model.anatomy import TissueCode
from napari_backfat.model.volume import Contrast
from napari_backfat.review.fat import record_of
from napari_backfat.separate.recipe import Epimuscular
from napari_backfat.widgets.agreement_window import AgreementWindow
from tests.phantom import make_case
from tests.widgets.conftest import Answers, Bench, settle, wait_for, write_pair

if TYPE_CHECKING:
    from pathlib import Path


def choose(bench: Bench, key: str) -> None:
    panel = bench.review.methods.panel
    panel.method.setCurrentIndex(panel.method.findData(key))


def in_force(bench: Bench) -> str:
    record = record_of(bench.case.masks.fat_map)
    assert record is not None
    return record.recipe.method


def use(bench: Bench) -> None:
    """Click, and wait for the job."""
    former = bench.case.masks.fat_map
    bench.review.tabs.setCurrentIndex(1)
    bench.review.methods.panel.apply.click()
    wait_for(lambda: bench.case.masks.fat_map is not former)
    settle(0.2)


def open_voxels(bench: Bench, folder: Path) -> None:
    """Open a case of pure lean and pure fat voxels, in which every method finds its classes."""
    made = make_case((5, 40, 64), fat_fraction=0.25, pattern="voxels", noise=40.0)
    former = bench.case
    folder.mkdir()
    bench.review.desk.open_scan(write_pair(folder, made))
    wait_for(lambda: bench.review.session.case not in (None, former))
    bench.review.session.accept_muscles(made.muscles)
    bench.case.masks.history.clear()
    settle(0.2)


def test_a_method_is_used_and_undone(bench: Bench, tmp_path: Path) -> None:
    open_voxels(bench, tmp_path / "voxels")
    panel, masks = bench.review.methods.panel, bench.case.masks
    assert panel.method.currentData() == "dixon"
    assert not panel.n4.isEnabled()
    before = masks.tissue.copy()
    inside = np.argwhere(masks.muscle > 0)
    where = tuple(inside[7])
    masks.tissue[where] = TissueCode.FAT_BY_HAND
    masks.sync()
    masks.finish_step("brush stroke")
    choose(bench, "otsu")
    use(bench)
    assert in_force(bench) == "otsu"
    assert masks.tissue[where] == TissueCode.FAT_BY_HAND
    assert "Otsu" in panel.note.text()
    assert bench.review.brush_panel.undo.text() == "Undo fat method"
    assert round(bench.review.brush_panel.threshold.value()) == round(100 * masks.threshold)
    bench.review.tools.undo()
    settle(0.2)
    assert in_force(bench) == "dixon"
    assert panel.method.currentData() == "dixon"
    bench.review.tools.undo()
    assert np.array_equal(masks.tissue, before)
    assert bench.counts_are_right()
    bench.review.tools.redo()
    bench.review.tools.redo()
    assert in_force(bench) == "otsu"
    assert bench.counts_are_right()


def test_switches_reach_the_masks_and_the_layer(bench: Bench, tmp_path: Path) -> None:
    open_voxels(bench, tmp_path / "voxels")
    panel = bench.review.methods.panel
    assert bench.review.layers is not None
    former = bench.review.layers.images["fat map"]
    panel.layers.setValue(1)
    panel.epimuscular.setChecked(False)
    use(bench)
    record = record_of(bench.case.masks.fat_map)
    assert record is not None
    assert record.recipe.eroded_layers == 1
    assert record.recipe.epimuscular is Epimuscular.EXCLUDED
    assert bench.case.measurement is not None
    assert bench.case.measurement.total.undefined_ml > 0
    assert "outer voxel layer" in panel.note.text()
    shown = bench.review.layers.images["fat map"]
    assert shown is former  # napari takes half a second to put in another one
    assert shown in bench.viewer.layers
    values = bench.case.masks.fat_map.values()
    assert np.isnan(values[bench.case.masks.tissue == 0]).any()
    assert np.array_equal(np.asarray(shown.data), values, equal_nan=True)
    z = bench.viewer.dims.current_step[0]
    shown.visible = True
    wait_for(lambda: np.array_equal(np.asarray(shown._slice.image.raw), values[z], equal_nan=True))
    assert bench.counts_are_right()


def test_least_biased_is_one_click_and_stands_in_the_record(bench: Bench, tmp_path: Path) -> None:
    open_voxels(bench, tmp_path / "voxels")
    panel = bench.review.methods.panel
    panel.least_biased.click()
    assert (panel.layers.value(), panel.floor.isChecked()) == (1, True)
    assert record_of(bench.case.masks.fat_map).recipe.eroded_layers == 0, "only the form changed"  # type: ignore[union-attr]
    use(bench)
    record = record_of(bench.case.masks.fat_map)
    assert record is not None
    assert record.recipe == record.recipe.least_biased
    assert "noise floor" in panel.note.text()
    assert bench.counts_are_right()


def test_the_sentence_follows_the_slider(bench: Bench) -> None:
    bench.review.brush_panel.threshold.setValue(35)
    settle(0.6)
    assert "35.0 %" in bench.review.methods.panel.note.text()


def test_what_cannot_be_done_is_said_above_the_panels(bench: Bench) -> None:
    bench.review.session.accept_muscles(np.zeros_like(bench.case.masks.muscle))
    former = bench.case.masks.fat_map
    choose(bench, "gmm3")
    bench.review.methods.panel.apply.click()
    wait_for(lambda: not bench.review.jobs.busy)
    settle(0.1)
    assert "segment them first" in bench.review.message.text()
    assert bench.case.masks.fat_map is former


def test_comparison_opens_a_table_and_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    open_voxels(bench, tmp_path / "voxels")
    masks = bench.case.masks
    before, revision = masks.tissue.copy(), bench.case.revision
    bench.review.methods.panel.compare.click()
    wait_for(lambda: bench.review.methods.window is not None)
    window = bench.review.methods.window
    assert isinstance(window, AgreementWindow)
    settle(0.3)
    assert window.isVisible()
    titles = [window.table.item(r, 0).text() for r in range(window.table.rowCount())]
    assert len(titles) == 7  # all but the fixed intensity, which nobody has stated
    assert titles[0].startswith("\N{BLACK RIGHT-POINTING TRIANGLE}")
    fat = window.table.item(0, 5).text()
    assert float(fat) == round(bench.case.measurement.back.fat_ml, 1)
    window.each.click()
    assert window.table.rowCount() == 7 * 5
    window.copy()
    clipboard: Any = QApplication.clipboard()
    assert clipboard.text().count("\n") == 35
    assert np.array_equal(masks.tissue, before)
    assert bench.case.revision == revision
    window.close()
    settle(0.2)
    assert bench.review.methods.window is None


def test_one_contrast_offers_its_methods(bench: Bench, tmp_path: Path) -> None:
    review = bench.review
    answers: Answers = bench.answers
    made = make_case((5, 40, 64), pattern="voxels", contrast=Contrast.T2W, noise=10.0)
    import nibabel as nib

    volume = made.scan.images[0]
    path = tmp_path / "series9.nii.gz"
    array = np.ascontiguousarray(volume.file_grid.to_file(volume.voxels))
    nib.Nifti1Image(array, volume.file_grid.affine).to_filename(path)
    former = bench.case
    review.desk.open_scan([path])
    wait_for(lambda: review.session.case not in (None, former))
    assert "contrast" in answers.asked
    panel = review.methods.panel
    keys = [panel.method.itemData(i) for i in range(panel.method.count())]
    assert keys == ["fixed", "otsu", "gmm2", "gmm3", "kmeans2", "kmeans3"]
    review.session.accept_muscles(made.muscles)
    settle(0.2)
    assert panel.method.currentData() == "gmm3"
    assert "Psoas" in panel.note.toolTip()
    assert panel.n4.isEnabled()
    choose(bench, "fixed")
    assert panel.intensity.isEnabled()
    panel.intensity.setValue(650)
    use(bench)
    assert in_force(bench) == "fixed"
    assert (bench.case.masks.tissue == TissueCode.FAT).any()
    assert bench.counts_are_right()


def test_long_names_of_methods_do_not_take_the_pictures_width(bench: Bench) -> None:
    """The widest group of any page makes the whole panel as wide, also while it is not shown."""
    panel = bench.review.methods.panel
    names = [panel.method.itemText(i) for i in range(panel.method.count())]
    longest = max(panel.method.fontMetrics().horizontalAdvance(name) for name in names)
    assert panel.method.minimumSizeHint().width() < longest
    assert panel.minimumSizeHint().width() <= bench.review.levels_panel.minimumSizeHint().width()
    assert panel.method.view().minimumWidth() >= longest  # whole in the open list

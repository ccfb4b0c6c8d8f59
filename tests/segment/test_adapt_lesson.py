"""What each slice knows when only some of its muscles were corrected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_backfat.edit.outline import redrawn_as
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.adapt import adapt_job
from napari_backfat.segment.adapt_lesson import corrected_table, make_lesson, slices_to_learn
from napari_backfat.segment.adapt_torch import AdaptOptions, teach
from napari_backfat.segment.neighbours import NeighbourShapes
from napari_backfat.segment.network import IGNORE, MIRROR, N_LABELS, build_network
from napari_backfat.segment.preprocess import normalise_batch, slab_matrix, window_for
from tests.networks import SPECS, taught_weights
from tests.phantom import MadeCase, make_case


@pytest.fixture(scope="module")
def made() -> MadeCase:
    return make_case((7, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)


def _run(job):  # type: ignore[no-untyped-def]
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def _table(rows: dict[int, tuple[int, ...]]) -> np.ndarray:
    table = np.zeros((7, N_LABELS), bool)
    for z, muscles in rows.items():
        table[z, list(muscles)] = True
    return table


def test_a_slice_whose_muscles_are_all_corrected_knows_of_the_others_too(made: MadeCase) -> None:
    muscle = made.muscles.copy()
    assert set(np.unique(muscle)) == set(range(5))
    known = corrected_table(muscle, _table({1: (1, 3), 4: (1, 2, 3, 4)}))
    assert set(np.flatnonzero(known[1])) == {1, 3}
    assert set(np.flatnonzero(known[4])) == {1, 2, 3, 4}
    muscle[4][np.isin(muscle[4], (2, 4))] = 0  # only the left side is in this slice
    known = corrected_table(muscle, _table({4: (1, 3)}))
    assert set(np.flatnonzero(known[4])) == {1, 2, 3, 4}  # the right is known to be absent
    by_slice = corrected_table(made.muscles, np.arange(7) == 2)
    assert set(np.flatnonzero(by_slice[2])) == {1, 2, 3, 4}
    assert not by_slice[[0, 1, 3, 4, 5, 6]].any()
    assert not corrected_table(np.zeros_like(muscle), np.ones(7, bool)).any()


def test_pages_say_nothing_about_muscles_that_were_not_looked_at(made: MadeCase) -> None:
    table = corrected_table(made.muscles, _table({1: (1, 3), 5: (2,), 6: (1, 2, 3, 4)}))
    lesson = _run(make_lesson(made.scan, made.muscles, table, None))
    spacing = made.scan.geometry.spacing_mm
    grid = window_for((40, 64), spacing[1:], 2.0, (20.0, 32.0), (76.0, 120.0))
    pages = slices_to_learn(lesson, slab_matrix(7, spacing[0]), grid)
    assert pages.slabs == [1, 5, 6]
    assert [set(np.flatnonzero(row)) for row in pages.known] == [{0, 1, 3}, {0, 2}, {0, 1, 2, 3, 4}]
    for plane, wanted in zip(pages.labels, ({0, 1, 3}, {0, 2}, {0, 1, 2, 3, 4}), strict=True):
        assert set(np.unique(plane)) - {IGNORE} == wanted
    assert pages.images.shape[:2] == (3, 2)


def test_shapes_come_from_the_slices_that_know_the_muscle() -> None:
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[0, 10:20, 10:20] = 1  # the second slice knows of muscle 2 alone
    labels[1, 10:20, 24:34] = 2
    known = np.zeros((2, N_LABELS), bool)
    known[0, [0, 1]] = known[1, [0, 2]] = True
    shapes = NeighbourShapes(labels, [0, 8], 4.0, 1.25, known)
    unsure = np.full((N_LABELS, 40, 40), 1 / N_LABELS, np.float32)
    for slab in (0, 4, 8):
        found = shapes.weigh(unsure, slab)
        assert found[1, 15, 15] > found[0, 15, 15]  # also where the other slice is nearer
        assert found[2, 15, 29] > found[0, 15, 29]
        assert found[0, 30, 20] > max(found[1, 30, 20], found[2, 30, 20])
        # A muscle that no slice knows is as likely against the background as before.
        assert np.allclose(found[5], found[0], rtol=1e-4)
    sure = np.full((N_LABELS, 40, 40), 1e-3, np.float32)
    sure[5] = 1.0
    assert (shapes.weigh(sure, 4)[5, 25:] > 0.9).all()


def test_a_slice_that_knows_one_side_teaches_mirrored_about_the_other() -> None:
    torch.manual_seed(2)
    rng = np.random.default_rng(0)
    labels = np.zeros((1, 64, 96), np.uint8)
    labels[:, 20:40, 56:76] = 1
    images = np.stack([np.where(labels > 0, 4.0, 1.0)] * 2, axis=1)
    # The other side holds the same, and nobody said what it is.
    images[:, :, 20:40, 20:40] = 4.0
    images += rng.normal(size=images.shape) * 0.1
    known = np.zeros((1, N_LABELS), bool)
    known[0, [0, 1]] = True
    parent = build_network(SPECS["fine"])
    options = AdaptOptions(50, 2, 0.02)
    lessons = teach(parent, images.astype(np.float32), labels, known, options, "cpu")
    network = _run(lessons)
    with torch.no_grad():
        answer = network(normalise_batch(torch.from_numpy(images.astype(np.float32))))
    share = answer.softmax(1)[0].numpy()
    left = share[1, 24:36, 60:72].mean()
    assert left > 0.5  # what it was told
    assert MIRROR[1] == 2
    # On the other side background was never said: "not muscle 1" is all that is known.
    assert share[1, 24:36, 24:36].mean() < 0.3 * left


def test_muscles_corrected_nowhere_are_not_drawn(
    made: MadeCase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = taught_weights(tmp_path_factory.mktemp("net"), made)
    table = _table({1: (1, 3), 5: (1, 3)})
    job = adapt_job(made.scan, made.muscles, table, folder, "cpu", AdaptOptions(steps=5))
    found = _run(job)
    assert set(np.unique(found.muscle)) == {0, 1, 3}
    assert found.about["corrected_slices"] == [1, 5]
    assert found.about["corrected_muscles"] == [[1, 3], [1, 3]]
    doubt = found.about["slice_uncertainty"]
    assert len(doubt) == 7
    assert all(0 <= d < 1 for d in doubt)
    with pytest.raises(BackfatError, match="No corrected slice shows a muscle"):
        _run(adapt_job(made.scan, made.muscles, _table({}), folder, "cpu"))
    # What was corrected is put back exactly, and what it displaces goes to its neighbours.
    plane = np.roll(made.muscles[1], 3, axis=1)
    own = np.where(np.isin(made.muscles[1], (1, 3)), made.muscles[1], 0)
    out = redrawn_as(plane, (1, 3), own)
    for label in (1, 3):
        assert np.array_equal(out == label, made.muscles[1] == label)

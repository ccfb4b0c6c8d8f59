"""A network learns from a few slices of the case it is shown, and nothing of that is kept."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.adapt import adapt_job
from napari_backfat.segment.adapt_torch import AdaptOptions, teach
from napari_backfat.segment.neighbours import NeighbourShapes
from napari_backfat.segment.network import IGNORE, N_LABELS, build_network
from napari_backfat.segment.reformat import upright_frame
from tests.networks import SPECS, taught_weights
from tests.phantom import MadeCase, file_grid, make_case

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import TypeVar

    from numpy.typing import NDArray

    from napari_backfat.model.progress import Progress
    from napari_backfat.segment.adapt import Adapted

    T = TypeVar("T")

QUICK = AdaptOptions(steps=25, learning_rate=0.01)


def _end(job: Generator[object, None, T]) -> T:
    while True:
        try:
            next(job)
        except StopIteration as stop:
            result: T = stop.value
            return result


def _dice(one: NDArray[np.uint8], other: NDArray[np.uint8], label: int) -> float:
    a, b = one == label, other == label
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def _wide(muscles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Another convention: every erector spinae begins 4 voxels nearer to the midline."""
    out = muscles.copy()
    for label, step in ((3, -1), (4, 1)):
        for shift in range(1, 5):
            out[np.roll(muscles == label, step * shift, axis=2) & (muscles != label)] = label
    return out


@pytest.fixture(scope="module")
def made() -> MadeCase:
    return make_case((7, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)


@pytest.fixture(scope="module")
def folder(made: MadeCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught_weights(tmp_path_factory.mktemp("net"), made)


def _adapt(
    made: MadeCase,
    muscle: NDArray[np.uint8],
    slices: tuple[int, ...],
    folder: Path,
    options: AdaptOptions = QUICK,
) -> tuple[list[Progress], Adapted]:
    corrected = np.zeros(len(muscle), bool)
    corrected[list(slices)] = True
    job, seen = adapt_job(made.scan, muscle, corrected, folder, "cpu", options), []
    while True:
        try:
            seen.append(next(job))
        except StopIteration as stop:
            return seen, stop.value


def test_the_copy_learns_and_the_parent_stays() -> None:
    torch.manual_seed(1)
    parent = build_network(SPECS["fine"])
    before = {k: v.clone() for k, v in parent.state_dict().items()}
    rng = np.random.default_rng(0)
    labels = np.zeros((3, 64, 96), np.uint8)
    labels[:, 20:40, 20:40], labels[:, 20:40, 56:76] = 2, 1
    labels[:, 50:] = IGNORE
    images = np.stack([np.where(labels % 255 > 0, 4.0, 1.0)] * 2, axis=1)
    images += rng.normal(size=images.shape) * 0.2
    known = np.ones(N_LABELS, bool)
    lessons = teach(
        parent, images.astype(np.float32), labels, known, AdaptOptions(60, 2, 0.02), "cpu"
    )
    losses = []
    while True:
        try:
            losses.append(next(lessons)[1])
        except StopIteration as stop:
            copy = stop.value
            break
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert not copy.training
    for key, value in parent.state_dict().items():
        assert torch.equal(value, before[key])
    assert any(not torch.equal(v, before[k]) for k, v in copy.state_dict().items())


def test_other_slices_follow_the_convention_of_the_corrected_ones(
    made: MadeCase, folder: Path
) -> None:
    wanted = _wide(made.muscles)
    masks = made.muscles.copy()
    for z in (1, 5):
        masks[z] = wanted[z]
    files = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    seen, found = _adapt(made, masks, (1, 5), folder)
    others = [0, 2, 3, 4, 6]
    for label in (3, 4):
        before = _dice(masks[others], wanted[others], label)
        assert before < 0.92
        assert _dice(found.muscle[others], wanted[others], label) > before + 0.02
    assert found.slices.all()
    assert found.about["corrected_slices"] == [1, 5]
    assert found.about["weights_kept"] is False
    assert len(found.about["parent_sha256"]) == 64
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("step 25 of 25" in p.text for p in seen)
    assert files == {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_muscles_that_the_masks_lack_are_not_drawn(made: MadeCase, folder: Path) -> None:
    masks = np.where(made.muscles > 2, made.muscles, 0).astype(np.uint8)
    _, found = _adapt(made, masks, (2, 4), folder, AdaptOptions(steps=3))
    assert set(np.unique(found.muscle)) <= {0, 3, 4}
    empty = masks.copy()
    empty[[2, 4]] = 0
    with pytest.raises(BackfatError, match="No corrected slice shows a muscle"):
        _adapt(made, empty, (2, 4), folder)


def test_thin_and_oblique_slices(folder: Path) -> None:
    thin = make_case((12, 40, 64), (1.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    _, found = _adapt(thin, thin.muscles, (0, 7), folder, AdaptOptions(steps=5))
    assert found.muscle.shape == thin.muscles.shape
    assert _dice(found.muscle, thin.muscles, 3) > 0.8
    angle = np.deg2rad(20)
    sin, cos = np.sin(angle), np.cos(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # the person lies rolled
    grid = file_grid((7, 40, 64), (4.0, 2.0, 2.0), rotation=turn)
    straight = make_case((7, 40, 64), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=40.0)
    images = tuple(replace(v, file_grid=grid) for v in straight.scan.images)
    scan = replace(straight.scan, images=images, reference=images[0])
    oblique = MadeCase(scan, straight.muscles, straight.fat_fraction)
    assert upright_frame(oblique.scan.geometry) is not None
    _, found = _adapt(oblique, oblique.muscles, (1, 3, 5), folder, AdaptOptions(steps=5))
    assert found.muscle.shape == oblique.muscles.shape
    assert found.muscle.any()


def test_it_can_be_given_up_at_any_step(made: MadeCase, folder: Path) -> None:
    threads = torch.get_num_threads()
    job = adapt_job(made.scan, made.muscles, np.arange(7) % 3 == 0, folder, "cpu", QUICK)
    while "step 2 " not in next(job).text:
        pass
    job.close()
    assert torch.get_num_threads() == threads


def test_damaged_weights_become_a_sentence(made: MadeCase, tmp_path: Path, folder: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "net.safetensors").write_bytes(b"no weights")
    with pytest.raises(BackfatError, match="damaged or were replaced"):
        _adapt(made, made.muscles, (1, 5), tmp_path)


def test_shapes_of_neighbours_count_less_with_distance() -> None:
    square = np.zeros((2, 40, 40), np.uint8)
    square[0, 10:20, 10:20] = square[1, 14:24, 10:20] = 1
    shapes = NeighbourShapes(square, [0, 8], 4.0, 1.25)
    unsure = np.full((N_LABELS, 40, 40), 1 / N_LABELS, np.float32)
    near, middle = shapes.weigh(unsure, 0), shapes.weigh(unsure, 4)
    assert near[1, 15, 15] > middle[1, 15, 15] > 0.2
    assert np.array_equal(near[:2].argmax(axis=0), square[0])
    rows = np.flatnonzero((middle[1] > middle[0]).any(axis=1))
    assert (rows[0], rows[-1]) == (12, 21)  # half way between both squares
    assert np.allclose(middle.sum(axis=0), 1, atol=1e-5)
    sure = np.full((N_LABELS, 40, 40), 1e-6, np.float32)
    sure[0] = 1
    assert shapes.weigh(sure, 4)[0, 15, 15] > 0.5  # far from corrected slices, the network decides

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_backfat.model.anatomy import MUSCLES, MuscleGroup, Side
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.segment import looking
from napari_backfat.segment.backend import BACKENDS, DEFAULT_BACKEND, Segmentation
from napari_backfat.segment.inference import Pass, predict
from napari_backfat.segment.reformat import labels_back, resample, upright_frame
from napari_backfat.segment.torch_backend import TorchBackend, network_channels
from napari_backfat.segment.weights import BUNDLED, find_weights
from napari_backfat.train.phantom_anatomy import Anatomy, make_anatomy
from napari_backfat.train.phantom_params import PhantomParams
from napari_backfat.train.phantom_signal import make_images
from tests.anatomy import NOT_A_BACK, draw
from tests.phantom import file_grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.progress import Progress
    from napari_backfat.segment.preprocess import PlaneGrid

SHAPE, SPACING = (5, 150, 220), (12.0, 1.8, 1.8)
ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]
QUICK = (Pass(1.0, False),)


def finish(backend: TorchBackend, scan: Scan) -> tuple[list[Progress], Segmentation]:
    steps, seen = backend.run(scan, "cpu"), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


def scan_of(
    images: dict[Contrast, NDArray[np.float32]],
    axes: str = "LPS",
    spacing: tuple[float, ...] = SPACING,
) -> Scan:
    shape = next(iter(images.values())).shape
    grid = file_grid(shape, spacing, axes)  # type: ignore[arg-type]
    volumes = tuple(
        # Written to a file of that orientation and read back, as the application does it.
        Volume(grid.to_working(np.ascontiguousarray(grid.to_file(a))), grid, Source(c.value, ""), c)
        for c, a in images.items()
    )
    return Scan(volumes, volumes[0])


@pytest.fixture(scope="module")
def person() -> Anatomy:
    """An average phantom, five slices from L2 to L4."""
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -1.8, -1.8, -12.0, 1.0
    affine[:3, 3] = (110 * 1.8, 100 * 1.8, 30.0)
    from napari_backfat.model.geometry import Geometry

    return make_anatomy(PhantomParams(seed=5), Geometry(SHAPE, affine))


@pytest.fixture(scope="module")
def images(person: Anatomy) -> dict[Contrast, NDArray[np.float32]]:
    wanted = (Contrast.WATER, Contrast.FAT, Contrast.T1W)
    return make_images(person, wanted, np.random.default_rng(2))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_it_outlines_a_phantom_on_water_and_fat(
    person: Anatomy, images: dict[Contrast, NDArray[np.float32]]
) -> None:
    scan = scan_of({c: images[c] for c in (Contrast.WATER, Contrast.FAT)})
    progress, result = finish(TorchBackend(), scan)
    least = {
        MuscleGroup.ERECTOR_SPINAE: 0.85,
        MuscleGroup.MULTIFIDUS: 0.80,
        MuscleGroup.PSOAS_MAJOR: 0.80,
        MuscleGroup.QUADRATUS_LUMBORUM: 0.50,
    }
    for m in MUSCLES:
        assert dice(result.muscle == m, person.muscles == m) > least[m.group], m.display_name
    assert result.muscle.dtype == np.uint8
    assert result.muscle.shape == SHAPE
    assert result.found
    assert len(result.weights_sha256) == 64
    assert result.slice_uncertainty.shape == SHAPE[:1]
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert len(progress) > SHAPE[0]


def test_one_image_is_enough(person: Anatomy, images: dict[Contrast, NDArray[np.float32]]) -> None:
    _, result = finish(TorchBackend(), scan_of({Contrast.T1W: images[Contrast.T1W]}))
    ours, theirs = np.isin(result.muscle, (1, 2, 3, 4)), np.isin(person.muscles, (1, 2, 3, 4))
    assert dice(ours, theirs) > 0.85


def test_left_and_right_follow_the_patient(
    person: Anatomy, images: dict[Contrast, NDArray[np.float32]]
) -> None:
    backend = TorchBackend(passes=QUICK)
    water = images[Contrast.WATER]
    _, result = finish(backend, scan_of({Contrast.WATER: water}))
    _, mirrored = finish(backend, scan_of({Contrast.WATER: water[:, :, ::-1]}))
    for m in MUSCLES:
        x = np.nonzero(result.muscle == m)[2].mean() - SHAPE[2] / 2
        assert (x > 0) == (m.side is Side.LEFT), m.display_name
        if m.group in (MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE):
            same = dice(mirrored.muscle[:, :, ::-1] == m.mirrored, result.muscle == m)
            assert same > 0.9, m.display_name


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_the_orientation_of_the_file_changes_nothing(
    axes: str, images: dict[Contrast, NDArray[np.float32]], reference: NDArray[np.uint8]
) -> None:
    scan = scan_of({Contrast.WATER: images[Contrast.WATER][1:3]}, axes)
    _, result = finish(TorchBackend(passes=QUICK), scan)
    grid = scan.reference.file_grid
    written = np.ascontiguousarray(grid.to_file(result.muscle))
    assert written.shape == grid.shape
    # Where the file's own affine says that a left muscle is, must be left of the midline.
    index = np.argwhere(written == 3).mean(axis=0)
    other = np.argwhere(written == 4).mean(axis=0)
    left, right = (grid.affine[:3, :3] @ i + grid.affine[:3, 3] for i in (index, other))
    assert left[0] < right[0] - 30
    np.testing.assert_array_equal(grid.to_working(written), reference)


@pytest.fixture(scope="module")
def reference(images: dict[Contrast, NDArray[np.float32]]) -> NDArray[np.uint8]:
    scan = scan_of({Contrast.WATER: images[Contrast.WATER][1:3]})
    _, result = finish(TorchBackend(passes=QUICK), scan)
    assert result.found
    return result.muscle


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


def test_no_lumbar_back_is_a_clean_answer() -> None:
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:128, :128]
    ball = ((yy - 64) ** 2 + (xx - 64) ** 2 < 50**2).astype(np.float32)
    brain = (ball * 500 + rng.normal(0, 20, (4, 128, 128))).astype(np.float32)
    for image in (
        brain,
        rng.random((4, 128, 128)).astype(np.float32),
        np.zeros((3, 64, 64), np.float32),
    ):
        progress, result = finish(
            TorchBackend(), scan_of({Contrast.UNKNOWN: image}, spacing=(5.0, 1.5, 1.5))
        )
        assert not result.found
        assert [f.kind for f in result.flags] == ["no paraspinal muscles"]
        assert progress[-1].fraction == 1.0


@pytest.mark.parametrize(("what", "seed"), [*((k, 1) for k in NOT_A_BACK), ("noise", 3)])
def test_drawn_anatomy_that_is_no_back_gets_no_blobs(what: str, seed: int) -> None:
    """Noise 3 once got seven small muscles: the coarse network alone does not decide."""
    scan = scan_of({Contrast.UNKNOWN: draw(what, seed)}, spacing=(5.0, 1.2, 1.2))
    _, result = finish(TorchBackend(), scan)
    assert [f.kind for f in result.flags] == ["no paraspinal muscles"]
    assert not result.found
    assert not result.quality


def test_cancelling_answers_at_once(images: dict[Contrast, NDArray[np.float32]]) -> None:
    steps = TorchBackend().run(scan_of({Contrast.WATER: images[Contrast.WATER]}), "cpu")
    for progress in steps:
        if progress.text.startswith("Outlining"):
            break
    started = time.perf_counter()
    steps.close()
    assert time.perf_counter() - started < 1.0
    with pytest.raises(StopIteration):
        next(steps)


def test_missing_weights_and_devices_are_said_in_words(
    tmp_path: Path, images: dict[Contrast, NDArray[np.float32]]
) -> None:
    scan = scan_of({Contrast.WATER: images[Contrast.WATER]})
    with pytest.raises(BackfatError, match="Reinstall"):
        list(TorchBackend(tmp_path).run(scan, "cpu"))
    with pytest.raises(BackfatError, match="Choose one of"):
        list(TorchBackend().run(scan, "abacus"))


def test_a_torch_error_leaves_as_a_sentence(
    weights_folder: Callable[..., Path], images: dict[Contrast, NDArray[np.float32]]
) -> None:
    def odd(manifest: dict[str, object]) -> None:
        # A pixel size so small that the whole slice would need hundreds of gigabytes.
        manifest["coarse"]["spacing_mm"] = 0.001  # type: ignore[index]

    scan = scan_of({Contrast.WATER: images[Contrast.WATER]})
    with pytest.raises(BackfatError, match=r"ran out of memory|The network failed"):
        list(TorchBackend(weights_folder(odd)).run(scan, "cpu"))


def test_water_and_fat_go_to_their_own_channels(
    images: dict[Contrast, NDArray[np.float32]],
) -> None:
    both = scan_of({Contrast.FAT: images[Contrast.FAT], Contrast.WATER: images[Contrast.WATER]})
    first, second = network_channels(both)
    np.testing.assert_array_equal(first, images[Contrast.WATER])
    np.testing.assert_array_equal(second, images[Contrast.FAT])
    only, empty = network_channels(scan_of({Contrast.FAT: images[Contrast.FAT]}))
    np.testing.assert_array_equal(only, images[Contrast.FAT])
    assert not empty.any()


@pytest.mark.parametrize("offset", [-700.0, 900.0])
def test_air_is_zero_where_a_file_gives_it_another_value(
    images: dict[Contrast, NDArray[np.float32]], offset: float
) -> None:
    water = images[Contrast.WATER]
    lifted = scan_of({Contrast.WATER: (water + np.float32(offset)).astype(np.float32)})
    first, _ = network_channels(lifted)
    assert first.min() == 0
    np.testing.assert_allclose(first, water, atol=0.01 * float(np.percentile(water, 99)))


def test_the_table_lists_the_bundled_backend() -> None:
    backend = BACKENDS[DEFAULT_BACKEND]()
    assert backend.name.startswith("backfat-net")


def test_a_turned_grid_gives_the_same_masks(
    person: Anatomy, images: dict[Contrast, NDArray[np.float32]]
) -> None:
    """The same body on a grid turned by 15 degrees about the head-foot axis."""
    upright = scan_of({c: images[c] for c in (Contrast.WATER, Contrast.FAT)})
    own = upright.geometry
    c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    middle = own.affine @ np.append((np.array(own.shape) - 1) / 2, 1)
    affine = own.affine.copy()
    affine[:, 3] -= middle - (0, 0, 0, 1)
    affine = turn @ affine
    affine[:3, 3] += middle[:3]
    grid = FileGrid.from_affine((SHAPE[2], SHAPE[1], SHAPE[0]), affine[:, [2, 1, 0, 3]])
    turned = []
    for volume in upright.images:
        out = np.zeros(SHAPE, dtype=np.float32)
        for part, values in resample(volume.voxels, own, grid.geometry):
            out[part] = values
        turned.append(Volume(out, grid, Source("turned", ""), volume.contrast))
    _, first = finish(TorchBackend(passes=QUICK), upright)
    _, again = finish(TorchBackend(passes=QUICK), Scan(tuple(turned), turned[0]))
    back, _ = labels_back(again.muscle, again.slice_uncertainty, grid.geometry, own)
    both = (back > 0) & (first.muscle > 0)
    assert dice(back > 0, first.muscle > 0) > 0.95
    np.testing.assert_array_equal(back[both] % 2, first.muscle[both] % 2)  # no side is exchanged
    _, plain = finish(TorchBackend(passes=QUICK, upright=False), Scan(tuple(turned), turned[0]))
    there, _ = labels_back(plain.muscle, plain.slice_uncertainty, grid.geometry, own)
    assert dice(back > 0, first.muscle > 0) > dice(there > 0, first.muscle > 0)


@pytest.mark.parametrize("degrees", [15.0, -15.0])
def test_slices_that_follow_a_rolled_patient_give_the_same_masks(
    images: dict[Contrast, NDArray[np.float32]], degrees: float
) -> None:
    """The header says "turned within the slices", but the muscles lie upright in them."""
    upright = scan_of({c: images[c] for c in (Contrast.WATER, Contrast.FAT)})
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    own = upright.reference.file_grid
    grid = FileGrid.from_affine(own.shape, turn @ own.affine)
    assert upright_frame(grid.geometry) is not None
    volumes = tuple(
        Volume(
            np.ascontiguousarray(grid.to_working(own.to_file(v.voxels))), grid, v.source, v.contrast
        )
        for v in upright.images
    )
    _, first = finish(TorchBackend(passes=QUICK), upright)
    _, again = finish(TorchBackend(passes=QUICK), Scan(volumes, volumes[0]))
    np.testing.assert_array_equal(grid.to_file(again.muscle), own.to_file(first.muscle))


@pytest.mark.parametrize("width_mm", [170, 220])
@pytest.mark.parametrize("contrast", [Contrast.FAT, Contrast.T1W])
def test_a_scan_of_the_spine_alone_is_outlined_like_one_of_the_trunk(
    person: Anatomy,
    images: dict[Contrast, NDArray[np.float32]],
    contrast: Contrast,
    width_mm: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    windows = []

    def seen(network: object, slabs: NDArray[np.float32], grid: PlaneGrid, *rest: Any) -> Any:
        windows.append(grid.size)
        return predict(network, slabs, grid, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(looking, "predict", seen)
    rows, columns = np.nonzero(person.muscles.any(axis=0))
    half = int(width_mm / SPACING[1] / 2)
    box = tuple(
        slice(max(0, int(at.min() + at.max()) // 2 - half), int(at.min() + at.max()) // 2 + half)
        for at in (rows, columns)
    )
    small = np.ascontiguousarray(images[contrast][:, box[0], box[1]])
    _, result = finish(TorchBackend(passes=QUICK), scan_of({contrast: small}))
    truth = person.muscles[:, box[0], box[1]]
    assert dice(np.isin(result.muscle, (1, 2, 3, 4)), np.isin(truth, (1, 2, 3, 4))) > 0.88
    for z in range(len(truth)):
        assert dice(result.muscle[z] > 0, truth[z] > 0) > 0.75, z
    # On real scans this hangs on the coarse window: it is never smaller than in training.
    trained = find_weights(BUNDLED).coarse.window
    assert windows[0] >= trained
    assert windows[0][1] >= trained[1]


@pytest.mark.parametrize("degrees", [25.0, -40.0])
def test_a_rolled_patient_in_upright_slices_gives_the_same_masks(
    images: dict[Contrast, NDArray[np.float32]], degrees: float
) -> None:
    """The header says nothing of the turn; the muscles do."""

    def rolled(image: NDArray[np.float32], order: int) -> NDArray[np.float32]:
        turned = ndimage.rotate(image, degrees, (1, 2), reshape=False, order=order)
        return np.ascontiguousarray(np.clip(turned, 0, None), dtype=np.float32)

    _, first = finish(TorchBackend(passes=QUICK), scan_of(dict(images)))
    scan = scan_of({c: rolled(image, 1) for c, image in images.items()})
    _, again = finish(TorchBackend(passes=QUICK), scan)
    expected = rolled(first.muscle.astype(np.float32), 0)
    assert dice(again.muscle > 0, expected > 0) > 0.93
    both = (again.muscle > 0) & (expected > 0)
    np.testing.assert_array_equal(again.muscle[both] % 2, expected[both] % 2)
    _, plain = finish(TorchBackend(passes=QUICK, upright=False), scan)
    assert dice(plain.muscle > 0, expected > 0) < dice(again.muscle > 0, expected > 0)


def test_every_outline_is_judged_and_judging_needs_no_further_run(
    images: dict[Contrast, NDArray[np.float32]],
) -> None:
    scan = scan_of({c: images[c][2:4] for c in (Contrast.WATER, Contrast.FAT)})
    _, result = finish(TorchBackend(), scan)
    assert set(result.quality) == {m for m in MUSCLES if (result.muscle == m).any()}
    for m, quality in result.quality.items():
        assert quality.expected_dice is None or 0 < quality.expected_dice < 1
        assert 0 < quality.evidence.disagreement < 0.5, m.display_name
    rng = np.random.default_rng(0)
    level = float(np.percentile(scan.images[0].voxels, 99))
    noisy = {
        v.contrast: np.abs(v.voxels + rng.normal(0, 0.35 * level, v.voxels.shape)).astype(
            np.float32
        )
        for v in scan.images
    }
    _, worse = finish(TorchBackend(), scan_of(noisy))
    both = [m for m in MUSCLES if m in result.quality and m in worse.quality]
    lost = [worse.quality[m].evidence.unsure - result.quality[m].evidence.unsure for m in both]
    assert not both or np.mean(lost) > 0.02

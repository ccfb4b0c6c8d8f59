"""Fine-tuning: what is learned from, what is left alone, and that it is never worse silently."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.export.collect import CollectedCase, read_one
from napari_backfat.export.collect import Which as Cases
from napari_backfat.io.scan import open_scan
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.geometry import Geometry
from napari_backfat.model.volume import Contrast, Scan, Source, Volume
from napari_backfat.segment.external import store
from napari_backfat.segment.network import NetworkSpec
from napari_backfat.segment.partial_loss import keep_loss, partial_loss
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.segment.weights import BUNDLED, find_weights, load_networks
from napari_backfat.train.corrected import SlabSet, slabs_of, split_cases
from napari_backfat.train.corrected_batches import CorrectedBatches, fatten, view_of
from napari_backfat.train.evaluate import run as segment
from napari_backfat.train.finetune import Tuned, TuneOptions, finetune, run
from napari_backfat.train.finetune_measure import Found, judge
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import PhantomParams
from napari_backfat.train.phantom_signal import make_images
from napari_backfat.train.tissues import IGNORE, MIRROR
from napari_backfat.train.trainer import segmentation_loss
from tests.export.cases import dixon_on_disk, saved_case
from tests.io.files import rotation
from tests.phantom import MadeCase, file_grid
from tests.review.backends import write_images
from tests.segment.conftest import weights_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["weights_folder"]  # a fixture of the segmentation tests

SPEC = NetworkSpec(2.0, (64, 96), (4, 4, 8, 8, 8, 4))
QUICK = {"minutes": 5.0, "device": "cpu", "batch": 2, "check_every": 2, "threads": 1}


def slab_set(name: str, n: int = 12, labelled: tuple[int, ...] = tuple(range(1, 9))) -> SlabSet:
    """Eight bright squares whose brightness is their label; the background is dark."""
    labels = np.zeros((n, 72, 104), np.uint8)
    for m in MUSCLES:
        labels[:, 20:40, 4 + 12 * (m - 1) : 14 + 12 * (m - 1)] = m
    image = (labels.astype(np.float16) + 1) / 9
    labels[~np.isin(labels, labelled)] = 0
    labels[:, :, -3:] = IGNORE
    image[:, :, -3:] = 0
    return SlabSet(
        name,
        None,  # type: ignore[arg-type]  # nothing here reads the folder
        "00" * 32,
        np.stack([image, 1.1 - image], axis=1) * (labels != IGNORE)[:, None],
        labels,
        tuple(range(i, i + 1) for i in range(n)),
        None,
        frozenset(Muscle(m) for m in labelled),
        True,
    )


# ------------------------------------------------------------------ the loss


def test_with_every_muscle_labelled_the_loss_is_that_of_the_training() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 24, 32, generator=generator)
    labels = torch.randint(0, 9, (2, 24, 32), generator=generator)
    labels[0, :3] = IGNORE
    known = torch.ones(2, 9, dtype=torch.bool)
    torch.testing.assert_close(
        partial_loss(logits, labels, known), segmentation_loss(logits, labels)
    )
    assert float(keep_loss(logits, -logits, labels, known)) == 0


def test_unlabelled_is_not_background() -> None:
    """A confident psoas on "background" costs nothing if the case does not label the psoas."""
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, :8] = 1
    psoas = torch.full((1, 9, 16, 16), -20.0)
    psoas[:, 1, :8] = 20
    psoas[:, 5, 8:] = 20
    whole = torch.ones(1, 9, dtype=torch.bool)
    partly = whole.clone()
    partly[:, 5] = False
    assert float(partial_loss(psoas, labels, partly)) < 0.01
    assert float(partial_loss(psoas, labels, whole)) > 10
    # A labelled muscle in the background is wrong in both cases.
    erector = psoas.clone()
    erector[:, 3, 8:], erector[:, 5, 8:] = 20, -20
    assert float(partial_loss(erector, labels, partly)) > 10


def test_the_parents_opinion_on_unlabelled_muscles_is_kept() -> None:
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    partly = torch.ones(1, 9, dtype=torch.bool)
    partly[:, 5] = False
    generator = torch.Generator().manual_seed(0)
    parent = 3 * torch.randn(1, 9, 16, 16, generator=generator)
    assert float(keep_loss(parent, parent, labels, partly)) == pytest.approx(0, abs=1e-6)
    other = parent.clone()
    other[:, 3] += 5  # a labelled muscle is the labels' business
    assert float(keep_loss(other, parent, labels, partly)) == pytest.approx(0, abs=1e-6)
    logits = parent.clone()
    logits[:, 5] += 5
    logits.requires_grad_(True)
    before = keep_loss(logits, parent, labels, partly)
    assert float(before.detach()) > 0.1
    before.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]
    assert float(logits.grad[:, 5].sum()) > 0  # type: ignore[index]


# ------------------------------------------------------------------ the slices


def test_slabs_show_image_and_labels_at_one_place(tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scan", 1, "RAS", (6, 60, 120))
    muscles[4:] = 0
    saved_case(tmp_path / "case", scan, muscles)
    case = read_one(tmp_path / "case", Cases.ALL)
    assert isinstance(case, CollectedCase)
    slabs = slabs_of(case, SPEC)
    assert slabs is not None
    assert len(slabs) == 4  # slices without muscle take no part
    assert [list(r) for r in slabs.slices] == [[0], [1], [2], [3]]
    assert slabs.images.shape[1] == 2
    outside = slabs.labels == IGNORE
    assert outside.any()
    assert (slabs.images[:, 0][outside[:]] == 0).mean() > 0.9
    spacing = scan.geometry.spacing_mm
    for m in MUSCLES:
        area = (slabs.labels == m).sum() * SPEC.spacing_mm**2
        true = (muscles == m).sum() * spacing[1] * spacing[2]
        assert area == pytest.approx(true, rel=0.1), m.display_name
    share = split_cases([slabs, slab_set("other")], 0)
    inside = next(s for s in (*share.train, *share.score) if s.case is slabs).inside(scan.geometry)
    np.testing.assert_array_equal(np.flatnonzero(inside.any(axis=(1, 2))), [0, 1, 2, 3])


@pytest.mark.parametrize("lean_deg", [12.0, 0.0])
def test_an_oblique_scan_is_cut_as_it_is_segmented(tmp_path: Path, lean_deg: float) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scan", 1, "LPS", (8, 60, 120))
    turned = file_grid((8, 60, 120), (4.0, 2.0, 2.0), "LPS", rotation=rotation((0.0, 0.0, 12.0)))

    def lean(array: np.ndarray, order: int) -> np.ndarray:
        return ndimage.rotate(array, lean_deg, axes=(1, 2), reshape=False, order=order)

    muscles = lean(muscles, 0)
    images = tuple(
        dataclasses.replace(v, voxels=lean(v.voxels, 1), file_grid=turned) for v in scan.images
    )
    made = MadeCase(type(scan)(images, images[0]), muscles, np.zeros(1, np.float32))
    paths = write_images(tmp_path / "turned", made)
    oblique = open_scan(paths, [Contrast.WATER, Contrast.FAT])
    saved_case(tmp_path / "case", oblique, muscles)
    case = read_one(tmp_path / "case", Cases.ALL)
    assert isinstance(case, CollectedCase)
    slabs = slabs_of(case, SPEC)
    assert slabs is not None
    # Muscles that lie turned in the slices, as the header says, are taken upright; slices that
    # were turned with the patient show them upright already.
    assert (slabs.upright is not None) == (lean_deg > 0)
    middle = slabs.labels[len(slabs) // 2]
    centres = np.array([np.argwhere(middle == m).mean(axis=0) for m in MUSCLES])
    slope = np.polyfit(centres[:, 1], centres[:, 0], 1)[0]
    assert slope == pytest.approx(0, abs=0.02)
    share = split_cases([slabs], 0).score[0]
    shown = share.inside(oblique.geometry)
    assert 0.15 < shown.mean() < 0.5
    assert len(np.unique(shown.reshape(8, -1).mean(axis=1).round(3))) <= 2  # whole slices


@pytest.mark.parametrize("vary_body", [False, True])
def test_a_batch_depends_on_the_step_alone_and_mirrors_labels(vary_body: bool) -> None:
    cases = [slab_set("a"), slab_set("b", labelled=(1, 3, 5, 7))]
    shares = split_cases(cases, 0)
    both = (*shares.train, *shares.score)
    one, other = (CorrectedBatches(both, SPEC, 6, seed=3, vary_body=vary_body) for _ in range(2))
    _ = one(0)
    sides = set()
    for step in range(6):
        images, labels, known = one(step)
        for a, b in zip((images, labels, known), other(step), strict=True):
            assert torch.equal(a, b)
        assert images.shape == (6, 2, 64, 96)
        assert images.dtype == torch.float32
        assert torch.isfinite(images).all()
        for i in range(6):
            present = [m for m in labels[i].unique().tolist() if 0 < m < IGNORE]
            assert known[i][present].all()
            rows = [(labels[i] == m).nonzero()[:, 1].float().mean().item() for m in present]
            # The squares stand in the order of their labels: mirrored, pairs swap their numbers.
            order = [present[j] for j in np.argsort(rows)]
            mirrored = [int(MIRROR[m]) for m in order[::-1]]
            assert order == sorted(order) or mirrored == sorted(mirrored), order
            if not bool(known[i].all()):
                sides.add(tuple(known[i].tolist()))
    assert len(sides) == 2  # left alone and, mirrored, right alone
    assert not torch.equal(one(0)[0], one(1)[0])


def test_fat_is_put_into_the_labelled_muscles_and_nowhere_else() -> None:
    labels = np.zeros((80, 120), dtype=np.uint8)
    labels[30:60, 20:55], labels[30:60, 65:100] = 3, 4
    labels[:, :5] = IGNORE
    image = np.zeros((2, 80, 120), dtype=np.float32)
    image[0] = np.where(labels > 0, 0.5, 0.1)
    image[1] = np.where(labels > 0, 0.02, 0.7)
    image[:, labels == IGNORE] = 0
    muscle = (labels == 3) | (labels == 4)
    shares = []
    for seed in range(20):
        fatter = fatten(np.random.default_rng(seed), image, labels)
        np.testing.assert_array_equal(fatter[:, ~muscle], image[:, ~muscle])
        gone, come = image[0] - fatter[0], fatter[1] - image[1]
        # What water loses, fat gains, in the proportion of their pure signals.
        np.testing.assert_allclose(come[muscle] / 0.68, gone[muscle] / 0.4, atol=1e-5)
        shares.append(float((come[muscle] / 0.68).mean()))
    assert min(shares) >= 0
    assert max(shares) > 0.2 > 0.1 > min(shares)
    unlabelled = np.zeros_like(labels)
    np.testing.assert_array_equal(fatten(np.random.default_rng(0), image, unlabelled), image)


def test_varied_bodies_are_wider_and_slimmer() -> None:
    """Both ways of making batches stretch a slice, but only one of them from side to side."""

    def widths(vary_body: bool) -> list[float]:
        batches = CorrectedBatches(
            split_cases([slab_set("a")], 0).train, SPEC, 6, seed=3, vary_body=vary_body
        )
        found = []
        for step in range(8):
            _, labels, _ = batches(step)
            middles = [
                [float((x == m).nonzero()[:, 1].float().mean()) for m in (3, 4)]
                for x in labels
                if (x == 3).sum() > 40 and (x == 4).sum() > 40
            ]
            found += [abs(b - a) for a, b in middles]
        return found

    plain, varied = widths(vary_body=False), widths(vary_body=True)
    assert min(len(plain), len(varied)) > 20
    assert np.std(varied) > 2 * np.std(plain)
    assert np.mean(varied) == pytest.approx(np.mean(plain), rel=0.1)


def test_a_scan_is_also_shown_as_single_images() -> None:
    image = slab_set("a").images[0].astype(np.float32)
    rng = np.random.default_rng(0)
    for view, wanted in (("water", image[0]), ("fat", image[1])):
        shown = view_of(rng, image, True, view)
        np.testing.assert_array_equal(shown[0], wanted)
        assert not shown[1].any()
    assert not view_of(rng, image, True, "mixed")[1].any()
    np.testing.assert_array_equal(view_of(rng, image, False), image)
    seen = [bool(view_of(rng, image, True)[1].any()) for _ in range(60)]
    assert 15 < sum(seen) < 45


def test_cases_are_held_out_whole_and_one_case_by_slices() -> None:
    for n, sizes in ((2, (1, 1, 1)), (5, (4, 1, 1)), (12, (8, 2, 2))):
        cases = [slab_set(f"case{i}") for i in range(n)]
        split = split_cases(cases, 0)
        assert tuple(len(s) for s in (split.train, split.stop, split.score)) == sizes
        train = {s.case.id for s in split.train}
        assert not train & {s.case.id for s in (*split.stop, *split.score)}
        assert split == split_cases(cases[::-1], 0)
        assert (split.stop == split.score) == (n < 6)
    single = split_cases([slab_set("only", 24)], 0)
    assert single.by_slices
    learned, held = set(single.train[0].index), set(single.score[0].index)
    assert len(held) == 8
    assert all(abs(a - b) > 1 for a in learned for b in held)
    assert "same person" in single.sentence
    with pytest.raises(BackfatError, match="Correct more slices"):
        split_cases([slab_set("short", 5)], 0)


# ------------------------------------------------------------------ the verdict


def found(muscle: int, before: float, after: float, kept: float = 1.0) -> Found:
    return Found("a", Muscle(muscle), before, after, 0.0, 0.0, kept)


@pytest.mark.parametrize(
    ("results", "views", "improved", "word"),
    [
        ((found(1, 0.8, 0.9),), {}, True, None),
        ((found(1, 0.9, 0.8),), {}, True, "mean"),
        ((found(1, 0.7, 0.9), found(2, 0.9, 0.85)), {}, True, "Multifidus R"),
        ((found(1, 0.8, 0.9),), {"fat": (0.8, 0.7)}, True, "fat slices"),
        ((found(1, 0.8, 0.9),), {}, False, "No step"),
        ((found(1, 0.8, 0.9), found(5, np.nan, np.nan, 0.5)), {}, True, "Psoas major L"),
    ],
)
def test_what_counts_as_worse(
    results: tuple[Found, ...],
    views: dict[str, tuple[float, float]],
    improved: bool,
    word: str | None,
) -> None:
    verdict = judge(results, views, improved=improved)
    assert bool(verdict.worse) == (word is not None)
    if word is not None:
        assert word in " ".join(verdict.worse)


# ------------------------------------------------------------------ the whole way


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    for i in range(2):
        scan, muscles = dixon_on_disk(tmp_path / "scans" / str(i), i)
        saved_case(tmp_path / "cases" / str(i), scan, muscles)
    return tmp_path / "cases"


def interrupted(job: Any, step: int) -> None:
    for progress in job:
        if f"step {step}," in progress.text:
            job.close()
            return
    raise AssertionError("it ended before it was interrupted")


def best(out: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(out / ".finetune" / "state.pt", weights_only=True)
    return {**saved["average"], "history": torch.tensor(saved["history"])[:, :2]}


def test_interrupted_and_continued_gives_the_same_weights(
    cases: Path, weights_folder: Callable[..., Path], tmp_path: Path
) -> None:
    parent = weights_folder()
    options = TuneOptions(**QUICK, steps=6, patience=99)
    # Untrained weights find no muscles: the verdict is "worse", so the state stays for the test.
    straight = run(finetune(cases, tmp_path / "a", options, parent))
    assert not straight.shipped
    interrupted(finetune(cases, tmp_path / "b", options, parent), 3)
    half = torch.load(tmp_path / "b" / ".finetune" / "state.pt", weights_only=True)
    assert half["step"] == 3
    run(finetune(cases, tmp_path / "b", options, parent))
    wanted, got = best(tmp_path / "a"), best(tmp_path / "b")
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, atol=1e-5, rtol=1e-4, msg=key)


def test_worse_weights_are_refused_and_forced_ones_say_so(
    cases: Path, weights_folder: Callable[..., Path], tmp_path: Path
) -> None:
    parent, out = weights_folder(), tmp_path / "tuned"

    def tune(*options: str) -> Any:
        given = ["finetune", cases, "--out", out, "--weights", parent, "--steps", "2"]
        more = ["--device", "cpu", "--threads", "1", *options]
        return CliRunner().invoke(app, [str(a) for a in (*given, *more)])

    refused = tune()
    assert refused.exit_code == 4, refused.output
    assert "worse and were not written" in refused.stderr
    assert not (out / "manifest.json").exists()
    with pytest.raises(BackfatError):
        find_weights(out)
    forced = tune("--force")
    assert forced.exit_code == 0, forced.output
    assert "Worse:" in forced.stderr
    assert "judged worse" in (out / "MODEL_CARD.md").read_text()
    assert find_weights(out).manifest["training"]["held_out"]["worse"]
    assert not (out / ".finetune").exists()
    again = tune()
    assert again.exit_code == 2
    assert "holds network weights already" in again.stderr


def test_other_cases_do_not_continue_a_tuning(
    cases: Path, weights_folder: Callable[..., Path], tmp_path: Path
) -> None:
    parent = weights_folder()
    options = TuneOptions(**QUICK, steps=50)
    interrupted(finetune(cases, tmp_path / "out", options, parent), 1)
    scan, muscles = dixon_on_disk(tmp_path / "scans" / "new", 8)
    saved_case(cases / "new", scan, muscles)
    with pytest.raises(BackfatError, match="other cases or settings"):
        run(finetune(cases, tmp_path / "out", options, parent))


def test_without_corrected_cases_there_is_nothing_to_learn(tmp_path: Path) -> None:
    scan, muscles = dixon_on_disk(tmp_path / "scan", 1)
    saved_case(tmp_path / "cases" / "a", scan, muscles, muscles)
    with pytest.raises(BackfatError, match="as the AI left them"):
        run(finetune(tmp_path / "cases", tmp_path / "out"))
    with pytest.raises(BackfatError, match="no folder"):
        run(finetune(tmp_path / "none", tmp_path / "out"))


SHAPE, SPACING = (6, 150, 220), (12.0, 1.8, 1.8)


def phantom_case(folder: Path, seed: int) -> NDArray[np.uint8]:
    """Save a phantom whose reader gives the multifidus a rim of the erector spinae."""
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0], affine[3, 3] = -1.8, -1.8, -12.0, 1.0
    affine[:3, 3] = (110 * 1.8, 100 * 1.8, 30.0)
    person = make_anatomy(PhantomParams(seed=seed), Geometry(SHAPE, affine))
    wanted = (Contrast.WATER, Contrast.FAT)
    images = make_images(person, wanted, np.random.default_rng(seed))
    grid = file_grid(SHAPE, SPACING)
    volumes = tuple(Volume(images[c], grid, Source(c.value, ""), c) for c in wanted)
    made = MadeCase(Scan(volumes, volumes[0]), person.muscles, person.fat_fraction)
    scan = open_scan(write_images(folder / "images", made), list(wanted))
    muscles = person.muscles.copy()
    for multifidus in (1, 2):
        near = np.stack([ndimage.binary_dilation(s, iterations=4) for s in muscles == multifidus])
        muscles[near & (muscles == multifidus + 2)] = multifidus
    muscles[muscles > 6] = 0  # the quadratus lumborum is not labelled
    saved_case(folder / "case", scan, muscles)
    return muscles


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tuned]:
    """The bundled weights after a few steps on one phantom, another held out."""
    root = tmp_path_factory.mktemp("tuned")
    for seed in (5, 7):
        phantom_case(root / "cases" / str(seed), seed)
    options = TuneOptions(
        minutes=9, steps=16, device="cpu", batch=2, learning_rate=1e-3, check_every=8, threads=1
    )
    return root, run(finetune(root / "cases", root / "weights", options))


@pytest.mark.slow
@pytest.mark.timeout(400)  # the fixture tunes the bundled network; the machine may be busy
def test_the_network_takes_up_the_readers_convention(tuned: tuple[Path, Tuned]) -> None:
    root, done = tuned
    assert done.shipped, done.verdict.worse
    assert done.verdict.after > done.verdict.before + 0.01
    multifidus = [done.verdict.muscles[Muscle(m)] for m in (1, 2)]
    assert all(after > before for before, after in multifidus)
    # Nobody labelled the quadratus lumborum: it has no score, and its outline stays.
    assert set(done.verdict.kept) == {Muscle(7), Muscle(8)}
    assert min(done.verdict.kept.values()) > 0.9
    assert {v[0] > 0.3 for v in done.verdict.views.values()} == {True}

    weights, parent = find_weights(root / "weights"), find_weights()
    assert weights.sha256 != parent.sha256
    assert weights.manifest["parent"] == {"name": parent.name, "sha256": parent.sha256}
    load_networks(weights)
    before, after = load_file(parent.path), load_file(weights.path)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) == key.startswith("coarse.") or key.endswith("bias")

    card = (root / "weights" / "MODEL_CARD.md").read_text()
    for text in (weights.sha256, parent.sha256, "Research use only", "held out", "Seed 0"):
        assert text in card
    assert not (root / "weights" / ".finetune").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)  # the fixture tunes the bundled network; the machine may be busy
def test_tuned_weights_are_a_model_like_any_other(
    tuned: tuple[Path, Tuned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "settings_path", lambda: tmp_path / "models.json")
    root, _ = tuned
    case = read_one(root / "cases" / "7" / "case", Cases.ALL)
    assert isinstance(case, CollectedCase)
    own = find_weights(root / "weights")
    made = segment(TorchBackend(root / "weights"), case.scan)
    assert made.found
    assert (made.backend, made.weights_sha256) == (own.name, own.sha256)
    assert made.weights_sha256 != find_weights(BUNDLED).sha256

    scans = root / "cases" / "7" / "images"
    arguments = ["analyze", "--model", root / "weights", "--out", tmp_path / "case"]
    arguments += ["--water", scans / "case_water.nii.gz", "--fat", scans / "case_fat.nii.gz"]
    result = CliRunner().invoke(app, [str(a) for a in (*arguments, "--device", "cpu")])
    assert result.exit_code == 0, result.output
    about = json.loads((tmp_path / "case" / "provenance.json").read_text())["ai"]
    assert about["weights_sha256"] == own.sha256
    assert about["backend"] == own.name
    listed = CliRunner().invoke(app, ["models", "list"])
    assert own.sha256[:12] in listed.stdout

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.segment.network import build_network
from napari_backfat.segment.weights import find_weights, load_networks
from napari_backfat.train.config import DEFAULT_CONFIG, StageConfig, TrainConfig, load_config
from napari_backfat.train.dataset import StepBatches
from napari_backfat.train.export import export
from napari_backfat.train.fatness import fat_fraction
from napari_backfat.train.others import phantom_slices
from napari_backfat.train.pool import KINDS
from napari_backfat.train.real_slices import EXPERT, real_case, real_split
from napari_backfat.train.scores import score
from napari_backfat.train.tissues import IGNORE
from napari_backfat.train.trainer import learning_rate, segmentation_loss, spec_for, train_stage
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = (4, 4, 8, 8, 8, 4)


def tiny() -> TrainConfig:
    fine = StageConfig(2.0, (64, 96), FEATURES, 2, 6, 1e-3)
    coarse = StageConfig(8.0, (32, 64), FEATURES, 2, 4, 1e-3)
    return TrainConfig(3, 20, 20, 20, 20, 20, fine, coarse, workers=0)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose pool holds phantom slices under every kind."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "pool").mkdir()
    rng = np.random.default_rng(0)
    slices = phantom_slices(rng, 4)
    classes, fraction = np.stack(slices), np.stack([fat_fraction(rng, s) for s in slices])
    for kind in KINDS:
        np.save(folder / "pool" / f"{kind}_classes.npy", classes)
        np.save(folder / "pool" / f"{kind}_fraction.npy", fraction)
    return folder


def clear(folder: Path) -> None:
    for path in [*folder.glob("*.pt"), *folder.glob("*.csv")]:
        path.unlink()


def weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    saved = torch.load(folder / f"{stage}.pt", weights_only=True)
    return {**{f"net.{k}": v for k, v in saved["net"].items()}, **saved["average"]}


def test_a_batch_depends_on_the_step_alone(run_folder: Path) -> None:
    config = tiny()
    one = StepBatches(run_folder / "pool", "fine", config.fine, 3)
    other = StepBatches(run_folder / "pool", "fine", config.fine, 3)
    _ = one[0]
    for a, b in zip(one[4], other[4], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one[4][0], one[5][0])
    images, labels, known = one[4]
    assert known.all()
    assert images.shape == (2, 2, 64, 96)
    assert labels.shape == (2, 64, 96)
    assert set(labels.unique().tolist()) <= {*range(9), IGNORE}


def test_stopping_and_resuming_gives_the_same_weights(run_folder: Path) -> None:
    config = tiny()
    clear(run_folder)
    straight = train_stage("fine", config, run_folder)
    wanted = weights(run_folder, "fine")
    clear(run_folder)
    first = train_stage("fine", config, run_folder, stop_at=3)
    assert (first["step"], straight["step"]) == (3, 6)
    train_stage("fine", config, run_folder)
    for key, value in weights(run_folder, "fine").items():
        torch.testing.assert_close(value, wanted[key], atol=1e-5, rtol=1e-4, msg=key)


def test_trained_weights_can_be_exported_and_loaded(run_folder: Path, tmp_path: Path) -> None:
    config = tiny()
    clear(run_folder)
    for stage in ("coarse", "fine"):
        result = train_stage(stage, config, run_folder)
        assert len(result["held_out_dice"]) == 8
    digest = export(config, run_folder, tmp_path, "tiny")
    found = find_weights(tmp_path)
    assert found.sha256 == digest
    _, fine = load_networks(found)
    trained = torch.load(run_folder / "fine.pt", weights_only=True)["average"]
    for key, value in fine.state_dict().items():
        torch.testing.assert_close(value, trained[key], atol=2e-3, rtol=2e-3)


def test_refining_goes_on_from_the_fine_network_and_takes_its_place(
    run_folder: Path, tmp_path: Path
) -> None:
    config = tiny()
    config = dataclasses.replace(config, refine=dataclasses.replace(config.fine, steps=3))
    clear(run_folder)
    with pytest.raises(BackfatError, match=r"fine\.pt"):
        train_stage("refine", config, run_folder)
    for stage in config.stages:
        train_stage(stage, config, run_folder)
    fine, refined = (
        torch.load(run_folder / f"{n}.pt", weights_only=True)["average"] for n in ("fine", "refine")
    )
    change = max(float((fine[k] - refined[k]).abs().max()) for k in fine)
    assert 0 < change < 0.2  # of random starts, weights differ by more
    export(config, run_folder, tmp_path, "tiny")
    _, exported = load_networks(find_weights(tmp_path))
    for key, value in exported.state_dict().items():
        torch.testing.assert_close(value, refined[key], atol=2e-4, rtol=1e-3)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["name"] == "tiny"
    assert manifest["training"]["refine"]["steps"] == 3
    assert "refine" not in manifest
    with pytest.raises(BackfatError, match="no stage 'refine'"):
        tiny().stage("refine")


def write_real_case(root: Path) -> None:
    """A Dixon pair with the four labels of the published files, and the folder of label maps."""
    (root / "label_maps").mkdir(parents=True)
    (root / "real_dixon").mkdir()
    made = make_case((12, 60, 90), (4.0, 2.0, 2.0), fat_fraction=0.2, noise=20.0)
    labels = np.zeros_like(made.muscles)
    for muscle, value in EXPERT.items():
        labels[made.muscles == muscle] = value
    arrays = {"dseg": labels}
    for name, contrast in (("water", Contrast.WATER), ("fat", Contrast.FAT)):
        volume = made.scan.image(contrast)
        assert volume is not None
        arrays[name] = volume.voxels
    grid = made.scan.reference.file_grid
    for name, array in arrays.items():
        stored = np.ascontiguousarray(grid.to_file(array))
        path = root / "real_dixon" / f"CASE_{name}.nii.gz"
        nib.Nifti1Image(stored, grid.affine).to_filename(path)


def test_real_patches_stand_beside_the_synthetic_ones(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_real_case(tmp_path)
    monkeypatch.setenv("BACKFAT_DATA", str(tmp_path))
    config = tiny()
    fine = dataclasses.replace(config.fine, real=1)
    config = dataclasses.replace(config, fine=fine, real_case="CASE")
    spec = spec_for(fine)
    split = real_split(tmp_path, "CASE", spec)
    learned, measured = split.train[0].index, split.score[0].index
    assert min(abs(a - b) for a in learned for b in measured) >= 1
    batches = StepBatches(run_folder / "pool", "fine", fine, 3, split.train, spec)
    images, labels, known = batches[2]
    assert torch.equal(images, batches[2][0])
    assert images.shape == (2, 2, 64, 96)
    assert known[0].all()
    assert known[1].tolist() == [True] * 5 + [False] * 4
    assert set(labels[1].unique().tolist()) <= {0, 1, 2, 3, 4, IGNORE}
    assert len(set(labels[1].unique().tolist()) & {1, 2, 3, 4}) > 1
    clear(run_folder)
    assert train_stage("fine", config, run_folder)["step"] == 6
    with pytest.raises(BackfatError, match="lacks OTHER_water"):
        real_case(tmp_path, "OTHER")


def test_training_learns(run_folder: Path) -> None:
    torch.manual_seed(0)
    config = tiny()
    images, labels, _ = StepBatches(run_folder / "pool", "fine", config.fine, 3)[0]
    net = build_network(spec_for(config.fine))
    optimiser = torch.optim.AdamW(net.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        loss = segmentation_loss(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_the_loss_is_small_for_the_truth_and_blind_where_unknown() -> None:
    labels = torch.randint(0, 9, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    perfect = torch.nn.functional.one_hot(labels, 9).movedim(-1, 1).float() * 30
    assert float(segmentation_loss(perfect, labels)) < 0.01
    unknown = labels.clone()
    unknown[:, :4] = IGNORE
    changed = perfect.clone()
    changed[:, :, :4] = -changed[:, :, :4]
    torch.testing.assert_close(
        segmentation_loss(changed, unknown), segmentation_loss(perfect, unknown)
    )
    assert float(segmentation_loss(changed, labels)) > 1


def test_the_schedule_rises_then_falls() -> None:
    own = dataclasses.replace(tiny().fine, steps=1000)
    rates = [learning_rate(s, own) for s in range(1000)]
    top = int(np.argmax(rates))
    assert rates[0] < 0.1 * own.learning_rate
    assert max(rates) == pytest.approx(own.learning_rate, rel=0.01)
    assert top < 50
    assert rates[-1] < 0.01 * own.learning_rate
    assert (np.diff(rates[top:]) <= 0).all()


def test_the_shipped_configuration_is_read_and_mistakes_are_named(tmp_path: Path) -> None:
    config = load_config()
    assert config.fine.patch[0] % 32 == 0
    assert config.fine.patch[1] % 32 == 0
    bad = tmp_path / "bad.toml"
    bad.write_text("speed = 9\n")
    with pytest.raises(BackfatError, match="unknown settings: speed"):
        load_config(bad)
    with pytest.raises(BackfatError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
    text = DEFAULT_CONFIG.read_text(encoding="utf-8")
    bad.write_text(text.replace('real_case = "TUM01"', ""))
    with pytest.raises(BackfatError, match="names no real_case"):
        load_config(bad)


def test_the_same_training_without_the_real_case_differs_in_nothing_else() -> None:
    own = load_config()
    alone = own.synthetic_only()
    assert own.fine.real
    assert own.stage("refine").real
    assert not any(alone.stage(name).real for name in alone.stages)
    for name in own.stages:
        assert dataclasses.replace(alone.stage(name), real=own.stage(name).real) == own.stage(name)
    assert (alone.seed, alone.maps, alone.pool_lumbar) == (own.seed, own.maps, own.pool_lumbar)


def test_scores_of_shifted_boxes_are_known() -> None:
    truth = np.zeros((3, 40, 40), dtype=bool)
    truth[:, 10:30, 10:30] = True
    guess = np.roll(truth, 2, axis=2)
    fat = np.where(truth, 0.25, 0.75).astype(np.float32)
    found = score(guess, truth, (4.0, 1.0, 1.0), fat)
    assert found.dice == pytest.approx(0.9)
    assert found.volume_error == 0
    assert found.expert_fat_fraction == pytest.approx(0.25)
    assert found.fat_fraction == pytest.approx(0.9 * 0.25 + 0.1 * 0.75)
    assert found.hausdorff95_mm == pytest.approx(2.0)
    same = score(truth, truth, (4.0, 1.0, 1.0))
    assert (same.dice, same.surface_mm) == (1.0, 0.0)

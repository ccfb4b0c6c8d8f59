"""The fat method of a case: use, undo, save, new muscles, comparison, and the command."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.model.anatomy import Muscle, MuscleGroup, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.model.volume import Contrast
from napari_backfat.review.fat import fat_map_of, record_of
from napari_backfat.review.fat_agreement import MethodResult, agreement_job
from napari_backfat.review.fat_methods import (
    accept_fat_method,
    choices,
    fat_method_job,
    method_text,
    recipe_in_force,
)
from napari_backfat.review.session import Loaded, ReviewSession, run_to_end
from napari_backfat.separate.classes import TOO_FEW
from napari_backfat.separate.method import default_recipe
from napari_backfat.separate.recipe import Epimuscular, Recipe, Scope
from tests.phantom import MadeCase, make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case
    from tests.shared_data import RealDixon

SHAPE = (6, 60, 96)
RECIPES = [
    Recipe("dixon", threshold=0.3),
    Recipe("otsu"),
    Recipe("gmm3", Scope.MUSCLE),
    Recipe("kmeans2", eroded_layers=1),
    Recipe("dixon", threshold=0.5, epimuscular=Epimuscular.EXCLUDED),
    Recipe("gmm2", image="water", bias_correction=False),
    Recipe("dixon", threshold=0.5, noise_floor=True),
]


def made_case(**more: object) -> MadeCase:
    options: dict = {"fat_fraction": 0.3, "pattern": "voxels", "noise": 50.0} | more
    return make_case(SHAPE, **options)


def opened(made: MadeCase) -> tuple[ReviewSession, Case]:
    session = ReviewSession()
    case = session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    session.accept_muscles(made.muscles)
    case.masks.history.clear()
    return session, case


def use(case: Case, recipe: Recipe) -> None:
    accept_fat_method(case, run_to_end(fat_method_job(case, recipe)))


def state(case: Case) -> tuple[bytes, bytes, float, object]:
    masks = case.masks
    return (masks.muscle.tobytes(), masks.tissue.tobytes(), masks.threshold, case.measurement)


def paint(case: Case, number: int, code: TissueCode) -> tuple[int, ...]:
    where = tuple(np.argwhere(case.masks.muscle > 0)[number])
    case.masks.tissue[where] = code
    case.masks.sync()
    case.masks.finish_step("brush stroke")
    return where


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.method}-{r.scope}")
def test_a_method_is_one_undoable_step_and_keeps_paint(recipe: Recipe) -> None:
    _, case = opened(made_case())
    where = paint(case, 50, TissueCode.FAT_BY_HAND)
    other = paint(case, 500, TissueCode.LEAN_BY_HAND)
    before = state(case)
    use(case, recipe)
    after = state(case)
    record = record_of(case.masks.fat_map)
    assert record is not None
    assert record.recipe.method == recipe.method
    assert case.masks.tissue[where] == TissueCode.FAT_BY_HAND
    assert case.masks.tissue[other] == TissueCode.LEAN_BY_HAND
    assert case.masks.ledger.equals(case.masks.recount())
    assert case.masks.history.undo_label == "fat method"
    assert not case.saved
    case.masks.undo()
    assert state(case) == before
    assert case.masks.ledger.equals(case.masks.recount())
    case.masks.redo()
    assert state(case) == after
    assert case.masks.ledger.equals(case.masks.recount())


def test_methods_paint_and_thresholds_mixed_are_undone_one_by_one() -> None:
    _, case = opened(made_case())
    states = [state(case)]
    for number, recipe in enumerate(RECIPES):
        use(case, recipe)
        states.append(state(case))
        paint(case, 100 * number, TissueCode(3 + number % 2))
        states.append(state(case))
        case.masks.set_threshold(0.2 + 0.1 * number)
        case.masks.set_threshold(0.21 + 0.1 * number)
        if case.masks.finish_step("fat threshold"):
            states.append(state(case))
    for expected in reversed(states[:-1]):
        case.masks.undo()
        assert state(case) == expected
        assert case.masks.ledger.equals(case.masks.recount())
    assert case.masks.history.undo_label is None
    for expected in states[1:]:
        case.masks.redo()
        assert state(case) == expected
    assert case.masks.ledger.equals(case.masks.recount())


@pytest.mark.parametrize("contrast", [None, Contrast.T2W])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.method}-{r.scope}")
def test_a_saved_case_has_the_same_map_and_numbers(
    recipe: Recipe, contrast: Contrast | None, tmp_path: Path
) -> None:
    """Also when the muscles were corrected after the method was used."""
    made = made_case(contrast=contrast)
    if contrast is not None and (recipe.method == "dixon" or recipe.image != "auto"):
        pytest.skip("this method needs a Dixon scan")
    paths = write_images(tmp_path / "scan", made)
    session = ReviewSession()
    job = session.load_job(paths, None if contrast is None else [contrast])
    case = session.accept_loaded(run_to_end(job))
    session.accept_muscles(made.muscles)
    use(case, recipe)
    case.masks.muscle[:, :30][case.masks.muscle[:, :30] == Muscle.MULTIFIDUS_LEFT] = 0
    case.masks.muscle[2:4][case.masks.muscle[2:4] == Muscle.ERECTOR_SPINAE_LEFT] = 1
    case.masks.sync()
    case.masks.finish_step("edit")
    session.save(tmp_path / "case")
    assert (tmp_path / "case" / "fat_muscles.nii.gz").exists() == recipe.needs_muscles
    again = ReviewSession()
    other = again.accept_loaded(run_to_end(again.open_case_job(tmp_path / "case")))
    assert np.array_equal(other.masks.fat_map.codes, case.masks.fat_map.codes)
    assert np.array_equal(other.masks.fat_map.decision, case.masks.fat_map.decision)
    assert state(other) == state(case)
    assert recipe_in_force(other) == recipe_in_force(case)
    assert method_text(other) == method_text(case)
    provenance = json.loads((tmp_path / "case" / "provenance.json").read_text())
    assert provenance["fat_map"]["parameters"]["recipe"]["method"] == recipe.method


def test_new_muscles_are_read_by_the_method_in_force() -> None:
    """An AI run after the choice must not fall back to the default."""
    session, case = opened(made_case())
    use(case, Recipe("otsu", Scope.MUSCLE))
    session.accept_muscles(np.roll(case.masks.muscle, 1, axis=2))
    record = record_of(case.masks.fat_map)
    assert record is not None
    assert record.recipe == Recipe("otsu", Scope.MUSCLE)
    assert case.masks.fat_map.basis is not None
    assert np.array_equal(case.masks.fat_map.basis, case.masks.muscle)


def test_slider_of_a_stated_fraction_survives_new_muscles() -> None:
    session, case = opened(made_case())
    session.set_threshold(0.35)
    session.finish_threshold()
    fat_map = case.masks.fat_map
    session.accept_muscles(np.roll(case.masks.muscle, 1, axis=2))
    assert case.masks.threshold == 0.35
    assert case.masks.fat_map is fat_map


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("ratio"), "makes no mask"),
        (Recipe("fixed"), "must be stated"),
        (Recipe("otsu", image="t1w"), "no t1w"),
    ],
    ids=lambda v: str(v)[:20],
)
def test_what_cannot_be_used_is_refused(recipe: Recipe, words: str) -> None:
    _, case = opened(made_case())
    with pytest.raises(BackfatError, match=words):
        run_to_end(fat_method_job(case, recipe))


def test_a_fit_needs_muscles() -> None:
    session, case = opened(made_case())
    session.accept_muscles(np.zeros_like(case.masks.muscle))
    with pytest.raises(BackfatError, match="segment them first"):
        run_to_end(fat_method_job(case, Recipe("otsu")))
    with pytest.raises(BackfatError, match="segment them first"):
        run_to_end(agreement_job(case, session.risk_model))


def test_the_words_follow_slider_and_brush() -> None:
    session, case = opened(made_case())
    assert "fat from 50.0 %" in method_text(case)
    session.set_threshold(0.3)
    assert "set to 30.0 % by hand" in method_text(case)
    paint(case, 3, TissueCode.FAT_BY_HAND)
    assert "corrected by hand" in method_text(case)
    use(case, Recipe("gmm3", Scope.MUSCLE))
    session.set_threshold(0.6)
    assert "moved by +10 %" in method_text(case)


# ---------------------------------------------------------------- comparison


def compared(session: ReviewSession, case: Case) -> dict[str, MethodResult]:
    results = run_to_end(agreement_job(case, session.risk_model))
    return {result.recipe.method: result for result in results}


def test_the_method_in_force_has_the_numbers_of_the_table() -> None:
    session, case = opened(made_case(groups=tuple(MuscleGroup)))
    session.set_patient(Patient(age_years=54, sex="female"))
    session.set_levels(SpineRange("L1", "L5", 0, 5))
    for number in range(40):
        paint(case, 77 * number, TissueCode.FAT_BY_HAND)
    for recipe in (None, Recipe("otsu"), Recipe("kmeans3", Scope.MUSCLE, eroded_layers=1)):
        if recipe is not None:
            use(case, recipe)
        session.set_threshold(0.45)
        before = state(case)
        results = compared(session, case)
        assert state(case) == before
        (mine,) = (r for r in results.values() if r.in_force)
        assert case.measurement is not None
        for row in mine.rows:
            of = case.measurement.back if row.muscle is None else None
            of = of or case.measurement.muscles[row.muscle]  # type: ignore[index]
            assert (row.volume_ml, row.fat_ml, row.lean_ml, row.fat_share) == (
                of.volume_ml, of.fat_ml, of.lean_ml, of.fat_share,
            )  # fmt: skip
            assert row.mean_fat_fraction == of.mean_fat_fraction
        assert case.risk is not None
        assert mine.odds == case.risk.relative


def test_every_method_stands_in_the_comparison() -> None:
    session, case = opened(made_case())
    results = compared(session, case)
    assert set(results) == {"dixon", "ratio", "otsu", "gmm2", "gmm3", "kmeans2", "kmeans3"}
    shares = [r.rows[0].fat_share for k, r in results.items() if k != "ratio"]
    assert shares == pytest.approx([0.3] * 6, abs=0.02)
    ratio = results["ratio"].rows[0]
    assert (ratio.fat_ml, ratio.lean_ml, ratio.border) == (None, None, None)
    water, fat = (image.voxels for image in case.scan.images)
    inside = case.masks.muscle > 0
    expected = float(fat[inside].sum(dtype=float) / (fat + water)[inside].sum(dtype=float))
    assert ratio.mean_fat_fraction == pytest.approx(expected, rel=1e-6)
    assert {m.key for m in choices(case)} == set(results) - {"ratio"} | {"fixed"}


def test_psoas_on_one_contrast_is_marked() -> None:
    session, case = opened(made_case(contrast=Contrast.T2W, groups=tuple(MuscleGroup)))
    for result in compared(session, case).values():
        for row in result.rows:
            psoas = row.muscle is not None and row.muscle.group is MuscleGroup.PSOAS_MAJOR
            assert ("not reliable: psoas" in row.note) == psoas
        assert result.odds is not None
        assert result.odds.value is None


# ---------------------------------------------------------------- the real case


def test_mean_fat_fraction_of_the_real_case_to_four_digits(real_dixon: RealDixon) -> None:
    """Against plain numpy on the files, without any function of the package."""
    water, fat, labels = (
        np.asarray(nib.load(path).dataobj, dtype=np.float64)
        for path in (real_dixon.water, real_dixon.fat, real_dixon.labels)
    )
    total = water + fat
    known = total >= 0.05 * np.percentile(total, 99)
    fraction = np.divide(fat, total, out=np.zeros_like(fat), where=total > 0)
    session = ReviewSession()
    job = session.load_job(
        [real_dixon.water, real_dixon.fat], [Contrast.WATER, Contrast.FAT], accept_mismatch=True
    )
    case = session.accept_loaded(run_to_end(job))
    # By the labels' affine: 1 erector spinae right, 2 multifidus right, 3 and 4 the left ones.
    sides = {1: 4, 2: 2, 3: 1, 4: 3}
    ours = np.zeros(labels.shape, np.uint8)
    for label, muscle in sides.items():
        ours[labels == label] = muscle
    session.accept_muscles(np.ascontiguousarray(case.scan.reference.file_grid.to_working(ours)))
    assert case.measurement is not None
    for label, muscle in sides.items():
        inside = (labels == label) & known
        mine = case.measurement.muscles[Muscle(muscle)].mean_fat_fraction
        assert mine == pytest.approx(fraction[inside].mean(), abs=5e-5)
    for result in compared(session, case).values():
        assert not result.failed
        if result.recipe.method != "ratio":
            assert result.rows[0].mean_fat_fraction == case.measurement.back.mean_fat_fraction


# ---------------------------------------------------------------- command line


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_command_prints_writes_and_uses(tmp_path: Path) -> None:
    made = made_case(axes="RAS")
    water, fat = write_images(tmp_path / "scan", made)
    muscles = tmp_path / "muscles.nii.gz"
    grid = made.scan.reference.file_grid
    nib.Nifti1Image(np.ascontiguousarray(grid.to_file(made.muscles)), grid.affine).to_filename(
        muscles
    )
    images = ["--water", water, "--fat", fat, "--muscles", muscles]
    table = tmp_path / "methods.csv"
    code, out, _ = run("methods", *images, "--csv", table, "--on", "water", "--intensity", 650)
    assert code == 0
    assert "Gaussian mixture, 3 components" in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == (7 + 5 + 1) * 5
    assert {row["muscle"] for row in rows} >= {"back muscles", "multifidus"}
    fixed = next(r for r in rows if r["method"] == "fixed")
    assert float(fixed["fat_share"]) == pytest.approx(0.3, abs=0.01)
    code, *_ = run("measure", *images, "--out", tmp_path / "case")
    assert code == 0
    code, out, _ = run("methods", "--case", tmp_path / "case", "--use", "gmm3", "--per-muscle")
    assert code == 0
    assert "Gaussian mixture, 3 components, fitted to each muscle" in out
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.open_case_job(tmp_path / "case")))
    assert recipe_in_force(case).method == "gmm3"
    assert recipe_in_force(case).scope is Scope.MUSCLE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give --case"),
        (["--water", "w.nii"], "Give --case"),
        (["--use", "otsu", "--water", "w.nii"], "--case"),
        (["--case", "nowhere", "--muscles", "m.nii"], "not both"),
        (["--case", "nowhere"], "no folder"),
    ],
    ids=str,
)
def test_command_refuses_in_one_sentence(arguments: list[str], words: str) -> None:
    code, _, err = run("methods", *arguments)
    assert code == 2
    assert words in err


def test_refusals_of_the_fit_reach_the_case() -> None:
    made = made_case(contrast=Contrast.T2W)
    tiny = np.zeros_like(made.muscles)
    tiny.flat[np.flatnonzero(made.muscles)[:50]] = Muscle.PSOAS_MAJOR_LEFT
    session = ReviewSession()
    case = session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    session.accept_muscles(tiny)
    assert case.masks.fat_map.notes[0] == TOO_FEW
    assert recipe_in_force(case) == default_recipe(made.scan)

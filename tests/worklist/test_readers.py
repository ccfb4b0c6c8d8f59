"""Agreement of two readings: against published numbers, geometry, and independent libraries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.worklist.agreement import disagreement_map, surface_distances, worst_slices
from napari_backfat.worklist.consensus import (
    choose,
    majority,
    parse_choice,
    staple,
    tissue_for,
)
from napari_backfat.worklist.icc import differences, icc
from napari_backfat.worklist.label_checks import check_labels, refuse_grave
from napari_backfat.worklist.regions import disagreement_regions
from napari_backfat.worklist.staple import staple_of
from napari_backfat.worklist.votes import Votes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Shrout and Fleiss 1979, table 2: six targets, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)
SPACING = (4.0, 1.0, 1.0)


def test_icc_of_shrout_and_fleiss() -> None:
    found = icc(SHROUT_FLEISS)
    # Table 4 of the paper, to its two digits.
    paper = {
        "ICC(1,1)": 0.17, "ICC(2,1)": 0.29, "ICC(3,1)": 0.71,
        "ICC(1,k)": 0.44, "ICC(2,k)": 0.62, "ICC(3,k)": 0.91,
    }  # fmt: skip
    assert {kind: round(form.value, 2) for kind, form in found.items()} == paper
    # 95 % intervals as R's psych::ICC prints them for the same table, to its digits.
    printed = {
        "ICC(1,1)": (-0.133, 0.72), "ICC(2,1)": (0.019, 0.76), "ICC(3,1)": (0.342, 0.95),
        "ICC(1,k)": (-0.884, 0.91), "ICC(2,k)": (0.071, 0.93), "ICC(3,k)": (0.676, 0.99),
    }  # fmt: skip
    limits = {kind: (round(form.low, 3), round(form.high, 2)) for kind, form in found.items()}
    assert limits == printed
    assert found["ICC(2,1)"].value == pytest.approx(0.2898, abs=5e-5)
    assert found["ICC(3,1)"].value == pytest.approx(0.7148, abs=5e-5)
    assert found["ICC(2,1)"].grade == "poor to good"
    assert found["ICC(3,k)"].grade == "moderate to excellent"


def test_icc_follows_from_the_mean_squares_of_another_library() -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(8)
    table = rng.normal(100, 20, (14, 1)) + np.array([0, 4, -3]) + rng.normal(0, 6, (14, 3))
    n, k = table.shape
    case, reader = np.indices(table.shape)
    data = pd.DataFrame({"y": table.ravel(), "case": case.ravel(), "reader": reader.ravel()})
    two = anova_lm(ols("y ~ C(case) + C(reader)", data).fit())["mean_sq"]
    one = anova_lm(ols("y ~ C(case)", data).fit())["mean_sq"]
    msr, msc, mse = two["C(case)"], two["C(reader)"], two["Residual"]
    msw = one["Residual"]
    expected = {
        "ICC(1,1)": (msr - msw) / (msr + (k - 1) * msw),
        "ICC(2,1)": (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n),
        "ICC(3,1)": (msr - mse) / (msr + (k - 1) * mse),
        "ICC(1,k)": (msr - msw) / msr,
        "ICC(2,k)": (msr - mse) / (msr + (msc - mse) / n),
        "ICC(3,k)": (msr - mse) / msr,
    }
    found = icc(table)
    assert {kind: form.value for kind, form in found.items()} == pytest.approx(expected)
    assert all(form.low < form.value < form.high for form in found.values())


def test_icc_knows_a_constant_difference() -> None:
    rng = np.random.default_rng(3)
    first = rng.normal(100, 20, 30)
    moved = icc(np.stack([first, first + 40], axis=1))
    assert moved["ICC(3,1)"].value == moved["ICC(3,k)"].value == 1.0
    assert moved["ICC(2,1)"].value < 0.5
    assert moved["ICC(1,1)"].value < moved["ICC(2,1)"].value
    same = icc(np.stack([first, first], axis=1))
    assert [s.value for s in same.values()] == [1.0] * 6
    nothing = icc(np.zeros((5, 2)))
    assert all(math.isnan(s.value) and s.grade == "unknown" for s in nothing.values())
    with pytest.raises(BackfatError, match="at least 3 cases"):
        icc([[1, 2], [2, 3]])
    with pytest.raises(BackfatError, match="every reader"):
        icc([[1, 2], [2, 3], [math.nan, 1]])


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    runs, inside = 300, 0
    for _ in range(runs):
        people = rng.normal(0, 3, (15, 1))
        table = people + rng.normal(0, 1, (15, 2))
        found = icc(table)["ICC(3,1)"]
        inside += found.low <= 0.9 <= found.high  # 9 / (9 + 1)
    assert 0.92 <= inside / runs <= 0.98


def test_limits_of_agreement() -> None:
    found = differences([1.0, 2.0, 3.0], [2.0, 4.0, 3.0])
    assert (found.mean, found.sd) == (1.0, 1.0)
    assert (found.low, found.high) == pytest.approx((-0.96, 2.96))


def ball(
    shape: tuple[int, int, int], centre: tuple[float, ...], radius: float
) -> NDArray[np.bool_]:
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    terms = ((i - c) * s for i, c, s in zip((z, y, x), centre, SPACING, strict=True))
    inside: NDArray[np.bool_] = sum(t**2 for t in terms) <= radius**2
    return inside


def test_distances_against_simpleitk_and_by_hand() -> None:
    shape = (12, 40, 44)
    a, b = ball(shape, (6, 20, 20), 12), ball(shape, (6, 20, 23), 11)
    mean, far = surface_distances(a, b, SPACING)
    images = [sitk.GetImageFromArray(m.astype(np.uint8)) for m in (a, b)]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    directed = []
    edges = [sitk.LabelContour(i, fullyConnected=False) for i in images]
    for here, there in (edges, edges[::-1]):
        field = sitk.SignedMaurerDistanceMap(
            there, squaredDistance=False, useImageSpacing=True, insideIsPositive=False
        )
        at = np.abs(sitk.GetArrayFromImage(field))[sitk.GetArrayFromImage(here) > 0]
        directed.append(at)
    assert mean == pytest.approx(np.concatenate(directed).mean(), rel=1e-5)
    assert far == pytest.approx(max(np.percentile(d, 95) for d in directed), rel=1e-5)
    # A sheet and the same sheet three slices on: every distance is 3 x 4 mm.
    sheet = np.zeros(shape, bool)
    sheet[2, 5:20, 5:20] = True
    assert surface_distances(sheet, np.roll(sheet, 3, axis=0), SPACING) == (12.0, 12.0)
    assert surface_distances(a, a, SPACING) == (0.0, 0.0)
    assert all(math.isnan(v) for v in surface_distances(a, np.zeros_like(a), SPACING))


def two_readings() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    a = np.zeros((4, 10, 12), np.uint8)
    a[:, 2:6, 7:11] = Muscle.MULTIFIDUS_LEFT
    a[:, 2:6, 1:5] = Muscle.MULTIFIDUS_RIGHT
    b = a.copy()
    b[1, 6, 7:11] = Muscle.MULTIFIDUS_LEFT  # B has one row more
    b[2, 2:4, 1:5] = Muscle.ERECTOR_SPINAE_RIGHT  # another name
    b[3, 5, 1:5] = 0  # one row less
    return a, b


def test_disagreement_map_and_its_slices() -> None:
    found = disagreement_map(*two_readings())
    assert np.bincount(found.ravel()).tolist() == [4 * 10 * 12 - 16, 4, 4, 8]
    assert (found[1, 6, 7:11] == 2).all()
    assert (found[3, 5, 1:5] == 1).all()
    assert worst_slices(found) == [(2, 8), (1, 4), (3, 4)]


def test_choosing_by_muscle_and_by_slices() -> None:
    a, b = two_readings()
    assert np.array_equal(choose([a, b], []).muscles, a)
    made = choose([a, b], [parse_choice("multifidus_left=B")])
    assert np.array_equal(made.muscles == Muscle.MULTIFIDUS_LEFT, b == Muscle.MULTIFIDUS_LEFT)
    assert np.array_equal(made.muscles == Muscle.MULTIFIDUS_RIGHT, a == Muscle.MULTIFIDUS_RIGHT)
    none = choose([a, b], [parse_choice("multifidus_left=B:2-3")])
    assert np.array_equal(none.muscles, a)  # B's row lies in slice 1
    clash = choose([a, b], [parse_choice("erector_spinae_right=B")])
    assert clash.undecided == 8
    assert not clash.muscles[2, 2:4, 1:5].any()
    for text in ("nobody=A", "multifidus_left", "multifidus_left=C", "multifidus_left=A:2-9"):
        with pytest.raises(BackfatError):
            choose([a, b], [parse_choice(text)])


def test_choosing_place_by_place() -> None:
    a, b = two_readings()
    b = b.copy()
    b[0, 0, 0] = 7  # a speck that only B has
    regions, found = disagreement_regions(a, b)
    assert np.array_equal(regions > 0, a != b)
    assert [r.number for r in found] == list(range(1, len(found) + 1))
    assert [r.voxels for r in found] == sorted((r.voxels for r in found), reverse=True)
    for region in found:
        inside = regions == region.number
        assert inside.sum() == region.voxels
        assert inside[region.z, region.y, region.x]
        assert {Muscle[region.first.upper()]} == set(a[inside])
        assert {Muscle[region.second.upper()]} == set(b[inside])
    speck = found[-1]
    assert (speck.first, speck.second, speck.first_slice) == (
        "background",
        "quadratus_lumborum_left",
        0,
    )
    made = choose([a, b], [parse_choice(f"region:{speck.number}=B")])
    assert made.muscles[0, 0, 0] == 7
    assert np.array_equal(made.muscles[regions != speck.number], a[regions != speck.number])
    everything = choose([a, b], [parse_choice(f"region:{r.number}=B") for r in found])
    assert np.array_equal(everything.muscles, b)
    assert everything.undecided == 0
    assert made.method["choices"] == [{"region": speck.number, "reading": "B"}]
    with pytest.raises(BackfatError, match="no region 99"):
        choose([a, b], [parse_choice("region:99=A")])
    with pytest.raises(BackfatError, match="choose A or B"):
        choose([a, b, a], [parse_choice("region:1=C")])


def test_majority_and_staple() -> None:
    a, b = two_readings()
    two = majority([a, b])
    assert np.array_equal(two.muscles, np.where(a == b, a, 0))
    assert two.undecided == np.count_nonzero(a != b)
    three = majority([a, b, a])
    assert np.array_equal(three.muscles, a)
    # Four readers make different mistakes about one truth; STAPLE finds it again.
    rng = np.random.default_rng(5)
    truth = np.zeros((5, 30, 40), np.uint8)
    truth[:, 5:20, 22:36], truth[:, 5:20, 4:18] = Muscle.PSOAS_MAJOR_LEFT, Muscle.PSOAS_MAJOR_RIGHT
    readers = []
    for share in (0.02, 0.03, 0.03, 0.25):
        wrong = rng.random(truth.shape) < share
        readers.append(np.where(wrong & (truth > 0), np.uint8(0), truth))
    found = staple(readers)
    assert np.count_nonzero(found.muscles != truth) < np.count_nonzero(readers[0] != truth) / 5
    assert not found.muscles[truth == 0].any()


def some_readings(readers: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Readers of one truth with eight muscles, who shift it, miss voxels and mix up names."""
    truth = np.zeros((5, 40, 60), np.uint8)
    for label in range(1, 9):
        truth[1:, 8:30, 5 + 6 * label : 10 + 6 * label] = label
    found = []
    for share in rng.uniform(0.01, 0.2, readers):
        reading = np.roll(truth, int(rng.integers(-2, 3)), axis=1)
        reading[(rng.random(truth.shape) < share) & (truth > 0)] = 0
        mixed = (rng.random(truth.shape) < share / 3) & (truth > 0)
        reading[mixed] = rng.integers(0, 9, int(mixed.sum()))
        found.append(reading)
    return found


def itk_staple(readings: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """What ITK makes of the same box."""
    seen = np.nonzero(np.any([r > 0 for r in readings], axis=0))
    box = tuple(slice(max(0, int(i.min()) - 2), int(i.max()) + 3) for i in seen)
    used = sitk.MultiLabelSTAPLEImageFilter()
    used.SetLabelForUndecidedPixels(255)
    used.SetMaximumNumberOfIterations(100)
    images = [sitk.GetImageFromArray(np.ascontiguousarray(r[box])) for r in readings]
    found = np.zeros(readings[0].shape, np.uint8)
    found[box] = sitk.GetArrayFromImage(used.Execute(images))
    return found


@pytest.mark.parametrize("readers", [3, 4, 5, 7])
def test_staple_of_counted_answers_is_that_of_all_voxels(readers: int) -> None:
    rng = np.random.default_rng(readers)
    for _ in range(3):
        readings = some_readings(readers, rng)
        made = staple(readings)
        assert made.method["converged"]
        assert made.method["iterations"] > 1
        box = Votes.of(readings, 2).box
        rows = np.stack([r[box].ravel() for r in readings], axis=1)
        each = staple_of(rows, np.ones(len(rows), np.int64), 9)  # every voxel by itself
        assert np.array_equal(made.muscles[box].ravel(), np.maximum(each.labels, 0))
        assert made.undecided == np.count_nonzero(each.labels < 0)
        # ITK sums in single precision, which decides single voxels otherwise.
        wanted = itk_staple(readings)
        assert np.count_nonzero(made.muscles != np.where(wanted == 255, 0, wanted)) <= 5
        assert np.count_nonzero(wanted != majority(readings).muscles) > 50


@pytest.mark.parametrize("readers", [2, 3, 6, 7, 9])
def test_majority_against_itk(readers: int) -> None:
    readings = some_readings(readers, np.random.default_rng(readers))
    voted = sitk.GetArrayFromImage(
        sitk.LabelVoting([sitk.GetImageFromArray(r) for r in readings], 255)
    )
    made = majority(readings)
    assert np.array_equal(made.muscles, np.where(voted == 255, 0, voted))
    assert made.undecided == np.count_nonzero(voted == 255) > 0


def test_staple_of_two_readers_does_not_depend_on_how_labels_are_numbered() -> None:
    """ITK's does: its start counts ties of a label as background of the next one."""
    readings = some_readings(2, np.random.default_rng(3))
    made = staple(readings).muscles
    assert not np.array_equal(made, majority(readings).muscles)
    order = np.array([0, 5, 3, 8, 1, 7, 2, 6, 4], np.uint8)
    assert np.array_equal(staple([order[r] for r in readings]).muscles, order[made])
    assert np.array_equal(staple(readings[::-1]).muscles, made)


def test_answers_are_counted_as_voxels_are() -> None:
    for readers in (2, 6, 7):
        readings = some_readings(readers, np.random.default_rng(1))
        votes = Votes.of(readings, 2)
        rows = np.stack([r[votes.box].ravel() for r in readings], axis=1)
        answers, counts = np.unique(rows, axis=0, return_counts=True)
        order = np.lexsort(votes.answers.T)
        wanted = np.lexsort(answers.T)
        assert np.array_equal(votes.answers[order], answers[wanted])
        assert np.array_equal(votes.counts[order], counts[wanted])
        assert np.array_equal(votes.spread(votes.answers[:, 1]), readings[1])
    outside = np.ones(readings[0].shape, bool)
    outside[votes.box] = False
    assert outside.any()
    assert not any(r[outside].any() for r in readings)


def test_a_consensus_of_nothing_or_of_unknown_labels() -> None:
    empty = np.zeros((2, 4, 4), np.uint8)
    assert majority([empty, empty]).undecided == 0
    with pytest.raises(BackfatError, match="nothing to agree on"):
        staple([empty, empty])
    with pytest.raises(BackfatError, match="label 9"):
        majority([empty, empty + np.uint8(9)])
    with pytest.raises(BackfatError, match="at most 20"):
        majority([empty] * 21)


def test_tissue_of_a_consensus_keeps_hand_painted_marks() -> None:
    a, b = two_readings()
    tissue_a = np.where(a > 0, np.uint8(TissueCode.LEAN), 0).astype(np.uint8)
    tissue_b = np.where(b > 0, np.uint8(TissueCode.FAT_BY_HAND), 0).astype(np.uint8)
    made = choose([a, b], [parse_choice("multifidus_left=B")])
    tissue = tissue_for(made.muscles, [(a, tissue_a), (b, tissue_b)])
    assert (tissue[1, 6, 7:11] == TissueCode.FAT_BY_HAND).all()  # only B has it
    assert (tissue[0, 2:6, 7:11] == TissueCode.LEAN).all()
    assert np.array_equal(tissue > 0, made.muscles > 0)


def test_a_good_mask_has_no_finding() -> None:
    a, _ = two_readings()
    assert check_labels(a, (a > 0).astype(np.uint8), SPACING, SpineRange("L1", "L3", 0, 3)) == []


def test_each_fault_is_found_where_it_is() -> None:
    def kinds(mask: NDArray[np.uint8], tissue: NDArray[np.uint8] | None = None) -> set[object]:
        return {(f.kind, f.muscle, f.slices) for f in check_labels(mask, tissue, SPACING)}

    good, _ = two_readings()
    left, right = Muscle.MULTIFIDUS_LEFT, Muscle.MULTIFIDUS_RIGHT
    island = good.copy()
    island[0, 9, 10] = left
    assert kinds(island) == {("island", left, (0,))}
    part = good.copy()
    part[0, 8:10, 7:11] = part[1, 8:10, 7:11] = left
    assert kinds(part) == {("separate part", left, (0, 1))}
    gap = good.copy()
    gap[1][gap[1] == right] = 0
    assert ("gap", right, (1,)) in kinds(gap)
    empty = good.copy()
    empty[2] = 0
    assert ("unlabelled slice", None, (2,)) in kinds(empty)
    hole = good.copy()
    hole[3, 4, 9] = 0
    assert kinds(hole) == {("hole", left, (3,))}
    swapped = good.copy()
    swapped[1] = swapped[1, :, ::-1]
    assert ("side", left, (1,)) in kinds(swapped)
    with pytest.raises(BackfatError, match=r"swapped in slice 1\. Stop"):
        refuse_grave(check_labels(swapped, None, SPACING), "Stop.")
    refuse_grave(check_labels(island, None, SPACING), "Stop.")  # worth a look, no reason to stop
    crossed = good.copy()
    crossed[2, 5, 1:3] = left
    assert ("side", left, (2,)) in kinds(crossed)
    tissue = (good > 0).astype(np.uint8)
    tissue[1, 8, 8] = TissueCode.FAT
    assert kinds(good, tissue) == {("tissue outside", None, (1,))}
    assert kinds(np.zeros_like(good)) == {("empty", None, ())}
    assert check_labels(np.zeros_like(good), None, SPACING)[0].grave
    levels = SpineRange("L1", "L2", 0, 3)
    late = good.copy()
    late[0] = 0
    found = check_labels(late, None, SPACING, levels)
    assert [(f.kind, f.slices) for f in found] == [("unlabelled slice", (0,))]

"""Levels, progress, and what a case announces."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_backfat.model.case import Case
from napari_backfat.model.fat_map import FatMap
from napari_backfat.model.levels import LUMBAR_LEVELS, SpineRange
from napari_backfat.model.masks import Masks
from napari_backfat.model.patient import Patient
from napari_backfat.model.progress import Progress
from tests.phantom import make_case


def test_range_holds_both_of_its_ends() -> None:
    levels = SpineRange("L1", "L4", 3, 40)
    assert np.arange(50)[levels.slices].tolist() == list(range(3, 41))
    assert np.arange(50)[SpineRange("L2", "L2", 7, 7).slices].tolist() == [7]


def test_range_survives_its_file_form() -> None:
    levels = SpineRange("L2", "L5", 0, 12)
    assert SpineRange(**levels.to_dict()) == levels  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("L3", "L1", 0, 5), "L3 lies below L1"),
        (("L1", "L3", 5, 4), "slices 5 to 4"),
        (("L1", "L3", -1, 4), "slices -1 to 4"),
        (("T12", "L3", 0, 4), "T12 is no lumbar level"),
        (("L1", "S1", 0, 4), "S1 is no lumbar level"),
    ],
)
def test_impossible_ranges_are_refused(fields: tuple[str, str, int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpineRange(*fields)


def test_every_pair_of_levels_in_order_is_possible() -> None:
    pairs = [(a, b) for i, a in enumerate(LUMBAR_LEVELS) for b in LUMBAR_LEVELS[i:]]
    assert len({SpineRange(a, b, 0, 1) for a, b in pairs}) == 15


def test_progress_is_a_frozen_record() -> None:
    step = Progress(0.25, "Reading")
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.fraction = 0.5  # type: ignore[misc]


@pytest.fixture
def case() -> Case:
    scan = make_case().scan
    return Case(scan, Masks(scan.geometry, FatMap.undefined(scan.geometry.shape, "later")))


def test_new_case_is_empty_and_saved(case: Case) -> None:
    assert case.saved
    assert case.revision == 0
    assert case.patient == Patient()
    assert (case.measurement, case.risk, case.ai, case.levels, case.folder) == (None,) * 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patient", Patient(age_years=60)),
        ("levels", SpineRange("L1", "L2", 0, 1)),
        ("saved", False),
    ],
)
def test_case_announces_the_new_value_once(case: Case, name: str, value: object) -> None:
    heard: list[object] = []
    getattr(case.events, name).connect(heard.append)
    setattr(case, name, value)
    assert heard == [value]
    assert getattr(case, name) is value
    setattr(case, name, value)
    assert heard == [value]  # the same object again is no news


def test_one_field_does_not_speak_for_another(case: Case) -> None:
    heard: list[object] = []
    for name in ("measurement", "risk", "ai", "ai_risk", "levels", "saved"):
        getattr(case.events, name).connect(heard.append)
    case.patient = Patient(age_years=30)
    case.folder = "somewhere"
    case.revision += 1
    assert heard == []

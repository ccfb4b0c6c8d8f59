from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Patient, Sex


def test_everything_may_be_unknown() -> None:
    fields = Patient().model_dump()
    assert fields.pop("schema_version") == 1
    assert set(fields.values()) == {None}
    assert Patient().activity_met_min_per_week is None


def test_met_minutes_follow_gpaq() -> None:
    patient = Patient(moderate_min_per_week=150, vigorous_min_per_week=30)
    assert patient.activity_met_min_per_week == 4 * 150 + 8 * 30 == 840
    assert "4 x 150" in patient.activity_formula
    assert "840 MET-min/week (GPAQ)" in patient.activity_formula


def test_one_kind_of_minutes_alone_stays_unknown() -> None:
    patient = Patient(moderate_min_per_week=150)
    assert patient.activity_met_min_per_week is None
    assert "both" in patient.activity_formula


def test_met_and_minutes_must_agree() -> None:
    agreed = Patient(met_min_per_week=600, moderate_min_per_week=150, vigorous_min_per_week=0)
    assert agreed.activity_met_min_per_week == 600
    with pytest.raises(BackfatError, match=r"700 MET-min/week contradicts .* = 600"):
        Patient.parse(
            {"met_min_per_week": 700, "moderate_min_per_week": 150, "vigorous_min_per_week": 0}
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age_years", -1),
        ("age_years", 121),
        ("age_years", float("nan")),
        ("sex", "other"),
        ("met_min_per_week", -5),
        ("met_min_per_week", 1e9),
        ("moderate_min_per_week", 10_081),
        ("vigorous_min_per_week", -1),
        ("diabetes", "perhaps"),
        ("osteoporosis", 2),
        ("bmi", 25),
    ],
)
def test_wrong_values_are_named(field: str, value: object) -> None:
    with pytest.raises(BackfatError, match=field):
        Patient.parse({field: value})


def test_a_week_has_10080_minutes() -> None:
    with pytest.raises(BackfatError, match="10,080"):
        Patient.parse({"moderate_min_per_week": 6000, "vigorous_min_per_week": 6000})


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(BackfatError) as caught:
        Patient.from_json('{"age_years": 200, "sex": "x"}')
    assert "age_years" in str(caught.value)
    assert "sex" in str(caught.value)


def test_broken_json_is_one_sentence() -> None:
    with pytest.raises(BackfatError, match="not valid"):
        Patient.from_json("{nonsense")


def test_words_for_three_states() -> None:
    patient = Patient.from_json(
        '{"sex": "Female", "diabetes": "yes", "dyslipidaemia": "NO", "osteoporosis": "unknown",'
        ' "osteoarthritis": null}'
    )
    assert patient.sex is Sex.FEMALE
    assert (patient.diabetes, patient.dyslipidaemia) == (True, False)
    assert patient.osteoporosis is None
    assert patient.osteoarthritis is None


def test_unknown_is_not_no() -> None:
    assert json.loads(Patient(diabetes=False).to_json())["diabetes"] is False
    assert json.loads(Patient().to_json())["diabetes"] is None


def test_frozen_and_hashable() -> None:
    patient = Patient(age_years=50)
    with pytest.raises(ValidationError):
        patient.age_years = 51  # type: ignore[misc]
    assert len({patient, Patient(age_years=50)}) == 1


tri = st.none() | st.booleans()


@given(
    st.none() | st.floats(0, 120),
    st.none() | st.sampled_from(Sex),
    st.none() | st.floats(0, 80_000),
    tri,
    tri,
)
def test_json_round_trip(
    age: float | None, sex: Sex | None, met: float | None, one: bool | None, two: bool | None
) -> None:
    patient = Patient(
        age_years=age, sex=sex, met_min_per_week=met, diabetes=one, osteoarthritis=two
    )
    assert Patient.from_json(patient.to_json()) == patient


def test_size_has_limits() -> None:
    assert Patient(height_cm=171, weight_kg=64.5).height_cm == 171
    for wrong in ({"height_cm": 1.71}, {"weight_kg": 500}, {"height_cm": float("nan")}):
        with pytest.raises(BackfatError, match="not valid"):
            Patient.parse(wrong)
    old = '{"schema_version": 1, "age_years": 50}'  # as files were before sizes were recorded
    assert Patient.from_json(old).height_cm is None


def test_one_wrong_value_does_not_keep_the_others_from_counting() -> None:
    fields = {"age_years": 80, "height_cm": 1.0, "weight_kg": 1.0, "met_min_per_week": 500}
    patient, left_out = Patient.usable(fields)
    assert patient == Patient(age_years=80, met_min_per_week=500)
    assert left_out == (
        "Height 1 cm is left out (at least 30 cm).",
        "Weight 1 kg is left out (at least 2 kg).",
    )
    assert Patient.usable({"age_years": 80}) == (Patient(age_years=80), ())


def test_activity_that_contradicts_itself_is_unknown() -> None:
    minutes = {"moderate_min_per_week": 120, "vigorous_min_per_week": 60}
    fields = {"age_years": 80, "height_cm": 1.0, "met_min_per_week": 500, **minutes}
    patient, left_out = Patient.usable(fields)
    assert patient == Patient(age_years=80)
    assert len(left_out) == 2
    assert "500 MET-min/week contradicts" in left_out[1]
    assert Patient.usable(minutes)[0].activity_met_min_per_week == 960
    with pytest.raises(BackfatError, match="shoe_size"):
        Patient.usable({"shoe_size": 43})

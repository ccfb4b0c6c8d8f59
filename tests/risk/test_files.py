from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.patient import Patient
from napari_backfat.model.risk_results import Grade
from napari_backfat.risk import describe
from napari_backfat.risk.files import read_references, shipped_model, shipped_references
from napari_backfat.risk.model import DEFAULT_MODEL, MODELS, load_model
from tests.risk.people import muscles_at, person

if TYPE_CHECKING:
    from pathlib import Path


def raw(name: str) -> dict[str, Any]:
    path = resources.files("napari_backfat.risk").joinpath(name)
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def write(tmp_path: Path, fields: dict[str, Any]) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def test_a_users_copy_gives_the_same_estimate(tmp_path: Path) -> None:
    fields = raw("model_nako_hybrid.json")
    fields["id"] = "mine"
    mine = load_model(write(tmp_path, fields)).estimate(muscles_at(1, 0), person())
    ours = MODELS[DEFAULT_MODEL]().estimate(muscles_at(1, 0), person())
    assert mine.model_id == "mine"
    assert mine.absolute == ours.absolute
    assert mine.relative == ours.relative


def test_a_users_reference_is_used(tmp_path: Path) -> None:
    references = raw("references.json")
    references["sets"][0]["measures"]["female"]["muscle_ml"]["mean"] = 700.0
    model = tmp_path / "model.json"
    model.write_text(json.dumps(raw("model_nako_muscle.json")), encoding="utf-8")
    loaded = load_model(model, write(tmp_path, references))
    assert loaded.estimate(muscles_at(0, 0), person()).z_scores[1].mean_ml == pytest.approx(
        700 * 0.822
    )


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("muscle.fat.odds_ratio", lambda f: f["muscle"]["fat"].update(odds_ratio=-1)),
        ("outside its interval", lambda f: f["muscle"]["fat"].update(odds_ratio=2.0)),
        ("muscle.lean.per", lambda f: f["muscle"]["lean"].pop("per")),
        ("muscle", lambda f: f["muscle"]["fat"]["per"].update(unit="year")),
        ("muscle.fat.grade", lambda f: f["muscle"]["fat"].update(grade="certain")),
        ("no source named 'x'", lambda f: f["muscle"]["fat"].update(source="x")),
        ("bmi", lambda f: f.update(bmi=1)),
        ("version", lambda f: f.update(version="1")),
        ("the parts sum to", lambda f: f["population"]["activity"][0].update(cases=1)),
        ("link", lambda f: f.update(link="probit")),
        ("display_cap", lambda f: f["absolute"].update(display_cap=1.5)),
        ("prevalence", lambda f: f["absolute"]["conditions"][0]["prevalence"].pop("male")),
        ("absolute.intercept", lambda f: f["absolute"].update(intercept=float("inf"))),
    ],
)
def test_an_invalid_file_says_where_and_why(tmp_path: Path, where: str, change: Any) -> None:
    fields = raw("model_nako_hybrid.json")
    change(fields)
    with pytest.raises(BackfatError, match=where) as caught:
        load_model(write(tmp_path, fields))
    assert "mine.json" in str(caught.value)


def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match="cannot be read"):
        load_model(tmp_path / "absent.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(BackfatError, match="not a valid reference file"):
        read_references(broken)


def test_every_coefficient_names_scale_grade_and_a_source_with_an_address() -> None:
    for model_id in MODELS:
        model = shipped_model(model_id)
        terms = [model.muscle.fat, model.muscle.lean]
        if model.absolute:
            terms += [model.absolute.age.coefficient, model.absolute.female]
            terms += [c.coefficient for c in model.absolute.conditions]
        for term in terms:
            assert term.per.amount > 0
            assert term.grade in Grade
            source = model.sources[term.source]
            assert source.doi or source.url
    for reference in shipped_references().sets:
        source = shipped_references().sources[reference.source]
        assert source.doi or source.url


def test_bmi_and_smoking_have_no_coefficient() -> None:
    text = json.dumps(raw("model_nako_hybrid.json")["absolute"]["conditions"]).lower()
    assert "smok" not in text
    assert not {"bmi", "bmi_kg_m2", "smoking"} & set(Patient.model_fields)


# --- texts -----------------------------------------------------------------------------------


def test_texts_of_a_full_estimate() -> None:
    estimate = MODELS[DEFAULT_MODEL]().estimate(muscles_at(2, 0), person(met_min_per_week=100))
    lines = "\n".join(describe.summary_lines(estimate))
    assert "Relative odds 1.22 (95 % interval " in lines
    assert "24.6 % of study participants, below 500 MET-min/week: 2,679 of 10,892" in lines
    assert "Fat: 227 ml, Z = +2.00" in lines
    assert "Approximately: about" in lines
    assert lines.endswith(estimate.disclaimer)


def test_texts_of_an_empty_estimate_give_reasons() -> None:
    estimate = MODELS[DEFAULT_MODEL]().estimate(None, Patient())
    lines = describe.summary_lines(estimate)
    assert lines[0].startswith("Nothing has been measured yet: run the AI")
    assert "A probability needs at least the age and the sex." in lines
    assert any("Muscle fat: unknown" in line for line in lines)


def test_capped_text_states_no_number_beyond_the_cap() -> None:
    patient = person(osteoporosis=True, osteoarthritis=True, met_min_per_week=0, age_years=60)
    text = describe.absolute_text(MODELS[DEFAULT_MODEL]().estimate(None, patient).absolute)
    assert text.startswith("Approximately: 50 % or more")


@pytest.mark.parametrize(
    ("value", "text"), [(0.314, "+0.31"), (-0.5, "\u22120.50"), (0.001, "±0.00"), (-0.001, "±0.00")]
)
def test_signed(value: float, text: str) -> None:
    assert describe.signed(value) == text

"""docs/risk.md shows the numbers that are shipped."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from napari_backfat.model.patient import Sex
from napari_backfat.risk.files import shipped_model, shipped_references
from napari_backfat.risk.population import marginals, stored
from napari_backfat.risk.reference import volume_norm

PAGE = Path(__file__).parents[2] / "docs" / "risk.md"


@pytest.fixture
def page() -> str:
    return PAGE.read_text(encoding="utf-8").replace("\u2212", "-")


def test_coefficients(page: str) -> None:
    model = shipped_model("nako-hybrid")
    absolute, numbers = model.absolute, stored(model)
    assert absolute is not None
    shown = [f"-{abs(numbers.intercept):.4f}", f"{numbers.age:.5f}", f"{numbers.female:.5f}"]
    shown += [f"{numbers.low:.5f}", f"{numbers.high:.5f}"]
    shown += [f"{math.exp(numbers.low):.3f}", f"{math.exp(numbers.high):.3f}"]
    for text in shown:
        assert text in page
    terms = [model.muscle.fat, model.muscle.lean, *(c.coefficient for c in absolute.conditions)]
    for term in terms:
        assert f"({term.interval[0]:.2f}–{term.interval[1]:.2f})" in page.replace(
            "(1.4–2.2)", "(1.40–2.20)"
        )
        assert f"| {term.odds_ratio:g} (" in page
    for term in (absolute.age.coefficient, absolute.female):
        low, high = term.interval
        assert f"| {term.odds_ratio:.3f} ({low:.3f}–{high:.3f})" in page


def test_check_of_the_calibration(page: str) -> None:
    found = marginals(shipped_model("nako-hybrid"))
    for quartiles in (found.quartiles_cases, found.quartiles_others):
        assert " / ".join(f"{q:.1f}" for q in quartiles) in page


def test_reference_values(page: str) -> None:
    first = shipped_references().sets[0]
    for sex in Sex:
        for key in ("fat", "lean"):
            norm = volume_norm(first, sex, key)  # type: ignore[arg-type]
            assert norm is not None
            assert f"{key} {norm.mean_ml:.1f} ± {norm.sd_ml:.1f} ml" in page
    shorter = next(s for s in shipped_references().sets if s.first_level == "L2")
    for stratum in shorter.measures.values():
        volume = stratum["muscle_ml"]
        assert f"{volume.mean:.1f} ± {volume.sd:.1f} ml" in page

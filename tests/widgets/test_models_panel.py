"""Adding a model folder in the window, running it, and seeing which weights made the mask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_backfat.segment.external.store import read_settings
from napari_backfat.widgets.models_panel import ADD
from tests.segment.external.networks import nearest_class, torchscript_bytes, write_model
from tests.segment.external.test_nnunet import write_folder
from tests.widgets.conftest import Answers, Bench, settle, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ModelAnswers(Answers):
    """Answers the questions about models as well."""

    def __init__(self) -> None:
        super().__init__()
        self.agrees = True
        self.licences: list[tuple[str, Any, str]] = []
        self.chosen_map: str | None = None
        self.questions: list[str] = []

    def licence(self, name: str, facts: Any, text: str) -> bool:
        self.licences.append((name, facts, text))
        return self.agrees

    def label_map(self, question: str, names: Sequence[str]) -> str | None:
        self.questions.append(question)
        return self.chosen_map

    def file(self, title: str) -> str | None:
        return None


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "own" / "models.json"))


@pytest.fixture
def answers(bench: Bench) -> ModelAnswers:
    answers = ModelAnswers()
    bench.review.desk.dialogs = answers  # type: ignore[assignment]
    return answers


def autochthon(manifest: dict[str, Any]) -> None:
    manifest["output"]["labels"] = {
        "1": {"muscle": "autochthon", "side": "left"},
        "2": {"muscle": "autochthon", "side": "right"},
    }


def add(bench: Bench) -> None:
    """Choose the last entry of the list, as a person does."""
    choice = bench.review.segment_panel.models.choice
    index = choice.findText(ADD)
    choice.setCurrentIndex(index)
    choice.activated.emit(index)
    wait_for(lambda: not bench.review.jobs.busy)
    settle()


def test_a_model_folder_is_added_run_and_named(
    bench: Bench, answers: ModelAnswers, tmp_path: Path
) -> None:
    # The water image is bright where muscle is lean: above 400 the network says class 1.
    how = {"kind": "fixed", "mean": 0.0, "std": 800.0}
    data = torchscript_bytes(nearest_class(3), 3)
    folder = write_model(tmp_path / "m", data, 3, edit=autochthon, normalisation=how)
    panel = bench.review.segment_panel.models
    assert panel.key == "bundled"
    answers.chosen_folder = str(folder)
    add(bench)
    ((name, facts, text),) = answers.licences
    assert name == "Nearest class 1.2"
    assert text == "Not for commercial use."
    assert any("not separated" in fact for _, fact in facts)
    assert panel.key == f"folder:{folder}"
    assert "CC-BY-NC-4.0; weights " in panel.about.text()
    assert read_settings().chosen == panel.key

    bench.review.run_ai()
    wait_for(lambda: bench.case.ai is not None and not bench.review.jobs.busy, 60)
    settle(0.3)
    assert bench.case.ai is not None
    about = bench.case.ai.provenance
    assert about["backend"] == "Nearest class 1.2"
    assert (
        about["weights_sha256"] == json.loads((folder / "backfat-model.json").read_text())["sha256"]
    )
    assert about["model"]["folder"] == str(folder)
    assert set(np.unique(bench.case.masks.muscle)) == {0, 3}
    assert bench.shown("Erector sp. + multif. L", "Volume") != "\N{EM DASH}"
    assert bench.shown("Multifidus L", "Volume") == "\N{EM DASH}"
    table = bench.review.live.table
    tips = {table.item(r, 0).text(): table.item(r, 0).toolTip() for r in range(2, 10)}
    assert tips["Multifidus L"] == "not separated from erector spinae"
    # A person who separates them by hand ends the combination on that side.
    bench.case.masks.muscle[2, 10:12, 40:42] = 1
    bench.case.masks.sync()
    settle(0.3)
    assert bench.shown("Erector spinae L", "Volume") != "\N{EM DASH}"
    assert bench.shown("Multifidus L", "Volume") != "\N{EM DASH}"


def test_without_agreement_nothing_is_added(
    bench: Bench, answers: ModelAnswers, tmp_path: Path
) -> None:
    answers.agrees = False
    data = torchscript_bytes(nearest_class(3), 3)
    answers.chosen_folder = str(write_model(tmp_path / "m", data, 3))
    add(bench)
    assert len(answers.licences) == 1
    assert bench.review.segment_panel.models.key == "bundled"
    assert read_settings().models == ()
    assert "Without agreement" in bench.review.message.text()
    answers.chosen_folder = str(tmp_path)
    (tmp_path / "m" / "backfat-model.json").unlink()
    add(bench)
    assert "holds no model this program knows" in bench.review.message.text()


def test_an_unclear_folder_asks_for_its_labels(
    bench: Bench, answers: ModelAnswers, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "m", {f"class {n}": n for n in range(1, 41)})
    answers.chosen_folder, answers.chosen_map = str(folder), "mrsegmentator"
    choice = bench.review.segment_panel.models.choice
    add(bench)
    wait_for(lambda: answers.licences and not bench.review.jobs.busy)
    assert "It is not clear which labels" in answers.questions[0]
    (added,) = read_settings().models
    assert added.label_map == "mrsegmentator"
    assert choice.currentText() == "MRSegmentator (Dataset123_Test)"
    assert choice.itemData(1, Qt.ItemDataRole.ToolTipRole) == f"folder {folder}"
    bench.review.segment_panel.models.remove_action.trigger()
    settle()
    assert read_settings().models == ()
    assert choice.currentIndex() == 0
    assert folder.is_dir()


def test_a_damaged_list_leaves_the_bundled_network(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "models.json").write_text("{")
    panel = bench.review.segment_panel.models
    panel.refresh()
    assert panel.key == "bundled"
    assert "is damaged; delete it" in panel.about.text()
    assert panel.choice.count() == 2

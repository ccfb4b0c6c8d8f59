"""Backends of other packages and of added folders, through real entry points and a real file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.model_folder import fingerprint
from napari_backfat.segment.external.store import (
    change_settings,
    find_added,
    forget,
    read_settings,
    remember,
    settings_path,
)
from napari_backfat.segment.registry import list_backends, make_backend
from tests.segment.external.networks import (
    finish,
    lopsided,
    nearest_class,
    scan_showing,
    torchscript_bytes,
    write_model,
)

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = """
from tests.review.backends import LeanBox

def broken():
    raise RuntimeError("no licence server")
"""


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFAT_MODELS", str(tmp_path / "settings" / "models.json"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package as pip would leave it, with three entry points."""
    site = tmp_path / "site"
    about = site / "their_models-3.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 3.1\n")
    (about / "entry_points.txt").write_text(
        "[napari_backfat.backends]\n"
        "lean-box = their_models:LeanBox\n"
        "broken = their_models:broken\n"
        "absent = their_absent_module:Backend\n"
    )
    (site / "their_models.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "their_models", raising=False)


def test_the_bundled_network_stands_first_and_is_known() -> None:
    first = list_backends()[0]
    assert first.key == "bundled"
    assert len(first.sha256) == 64
    assert make_backend().name == first.title


@pytest.mark.usefixtures("package")
def test_other_packages_add_backends_by_an_entry_point() -> None:
    found = {info.key: info for info in list_backends()}
    assert found["lean-box"].origin == "package their-models 3.1"
    assert "their_models" not in sys.modules  # listing loads nothing
    assert make_backend("lean-box").name == "lean box 1"
    with pytest.raises(BackfatError, match=r"their-models 3\.1 could not .*no licence server"):
        make_backend("broken")
    with pytest.raises(BackfatError, match="could not be started"):
        make_backend("absent")
    with pytest.raises(BackfatError, match=r"no model 'nothing'.*bundled, absent, broken"):
        make_backend("nothing")


def add(folder: Path) -> str:
    model = inspect_folder(folder)
    job = fingerprint(model)
    while True:
        try:
            next(job)
        except StopIteration as stop:
            remember(model, stop.value, None)
            return f"folder:{model.path}"


def test_an_added_folder_runs_and_its_weights_are_watched(tmp_path: Path) -> None:
    data = torchscript_bytes(nearest_class(3), 3)
    folder = write_model(tmp_path / "model", data, 3)
    with pytest.raises(BackfatError, match="its licence must be seen first"):
        make_backend(f"folder:{folder}")
    key = add(folder)
    info = list_backends()[-1]
    assert (info.key, info.title, info.licence) == (key, "Nearest class 1.2", "CC-BY-NC-4.0")
    truth = lopsided()
    _, found = finish(make_backend(key).run(scan_showing(truth), "cpu"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.muscle, truth)
    write_model(folder, torchscript_bytes(nearest_class(3, shift=1), 3), 3)
    with pytest.raises(BackfatError, match="have changed since they were added"):
        finish(make_backend(key).run(scan_showing(truth), "cpu"))  # type: ignore[arg-type]
    add(folder)  # once more, and it is one entry still
    assert len(read_settings().models) == 1
    assert find_added(tmp_path) == read_settings().models[0]
    assert forget(folder)
    assert not forget(folder)
    assert folder.is_dir()


def test_a_folder_that_went_away_is_a_sentence(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", torchscript_bytes(nearest_class(3), 3), 3)
    key = add(folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BackfatError, match="is no folder"):
        make_backend(key)


def test_a_damaged_list_is_a_sentence_and_stays_as_it_is() -> None:
    settings_path().parent.mkdir()
    settings_path().write_text('{"models": 3}')
    with pytest.raises(BackfatError, match="delete it and add the models again"):
        read_settings()
    with pytest.raises(BackfatError, match="is damaged"):
        change_settings(lambda s: s)
    assert settings_path().read_text() == '{"models": 3}'

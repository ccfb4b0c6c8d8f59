"""Fixtures for every test: isolated napari, real canvas, no widget left behind, real case."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.shared_data import REPOSITORY, RealDixon, real_dixon_case, shared_data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QWidget

# napari reads these when it is imported, so they are set here and not in a fixture. The user's own
# settings, plugin choices and recent files are neither read nor written.
_HOME = tempfile.TemporaryDirectory(prefix="backfat-tests-")
for _name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ[_name] = str(Path(_HOME.name) / _name.lower())
os.environ["NAPARI_CONFIG"] = str(Path(_HOME.name) / "settings.yaml")
os.environ["BACKFAT_MODELS"] = str(Path(_HOME.name) / "models.json")
os.environ["BACKFAT_TOUR"] = str(Path(_HOME.name) / "tour.json")
os.environ.setdefault("QT_API", "pyqt5")
os.environ["PYTEST_QT_API"] = os.environ["QT_API"]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run when napari's settings were imported before they could be redirected."""
    settings = sys.modules.get("napari.settings._napari_settings")
    if settings is not None and os.environ["NAPARI_CONFIG"] != settings._CFG_PATH:
        raise pytest.UsageError("napari.settings was imported before tests/conftest.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every layer test on the oldest napari too: that is where its versions differ."""
    for item in items:
        if _is_in("layers", item):
            item.add_marker(pytest.mark.napari_range)


def _is_in(folder: str, item: pytest.Item) -> bool:
    return item.path.is_relative_to(REPOSITORY / "tests" / folder)


@pytest.fixture(autouse=True)
def no_widget_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a window test that leaves a top-level widget behind, or that has no real canvas.

    It is set up before every other fixture of the test, so it looks after all of them are gone.
    """
    if not _is_in("widgets", request.node):
        yield
        return
    application = request.getfixturevalue("qapp")
    # The offscreen platform has no OpenGL: nothing is drawn, and mouse tests would prove nothing.
    assert application.platformName() not in {"offscreen", "minimal"}, (
        "window tests need a screen; on Linux run them with: scripts/with-display --virtual"
    )
    before = set(map(id, application.topLevelWidgets()))
    # napari collects garbage for each layer that goes away, and so does this fixture. What the
    # libraries hold is most of the heap and no garbage; looking through it took 40 % of the time.
    gc.freeze()
    yield
    left = [widget for widget in _top_level_widgets() if id(widget) not in before]
    names = ", ".join(f"{type(w).__name__}({w.objectName() or w.windowTitle()!r})" for w in left)
    for widget in left:
        widget.close()
        widget.deleteLater()
    _top_level_widgets()
    if left:
        pytest.fail(f"top-level widgets left behind: {names}")


def _top_level_widgets() -> list[QWidget]:
    """Return the top-level widgets that are left once every pending deletion is done."""
    from qtpy.QtCore import QCoreApplication, QEvent
    from qtpy.QtWidgets import QApplication

    for _ in range(3):
        gc.collect()
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return list(QApplication.topLevelWidgets())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of shared scans, or skip with the reason."""
    folder = shared_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no shared scans at {folder}; set BACKFAT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def real_dixon(shared_data: Path) -> RealDixon:
    """Return the real Dixon case (MyoSegmenTUM spine), or skip with the reason."""
    case = real_dixon_case()
    if case.absent:
        pytest.skip(f"{case.water.parent} has no {', '.join(case.absent)}")
    return case

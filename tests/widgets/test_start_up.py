"""The plugin in a napari that nobody configured: found, opened from the menu, light to start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.napari_range

# In a process of its own: this one has imported far more than a user's napari at start.
_OPEN_FROM_MENU = """
import json, sys
import napari
from qtpy.QtWidgets import QApplication, QDockWidget

viewer = napari.Viewer()
window = viewer.window._qt_window
(menu,) = [a.menu() for a in window.menuBar().actions() if a.text().replace("&", "") == "Plugins"]
menu.aboutToShow.emit()
before = set(window.findChildren(QDockWidget))
(action,) = [a for a in menu.actions() if a.text().startswith("Back-fat review")]
action.trigger()
QApplication.processEvents()
docks = [d for d in window.findChildren(QDockWidget) if d not in before and d.isVisible()]
report = {
    "title": action.text(),
    "docks": [type(d.widget()).__name__ for d in docks],
    "contents": [w.objectName() for d in docks for w in d.findChildren(object)],
    "modules": sorted(sys.modules),
}
viewer.close()
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def opened() -> dict[str, Any]:
    """Open the review from the Plugins menu of a fresh napari and report what is there then."""
    run = subprocess.run(
        [sys.executable, "-c", _OPEN_FROM_MENU], capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return report


def test_plugins_menu_opens_the_review(opened: dict[str, Any]) -> None:
    assert opened["title"].startswith("Back-fat review")
    assert opened["docks"]
    assert "backfat_review" in opened["contents"]


def test_open_review_loads_neither_network_nor_plotting(opened: dict[str, Any]) -> None:
    assert "napari_backfat" in opened["modules"]
    assert set(opened["modules"]) & {"torch", "monai", "matplotlib", "scipy.stats"} == set()

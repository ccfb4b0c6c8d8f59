"""Take the pictures of docs/manual and docs/screens.md: python -m scripts.manual (needs a screen).

Starts the real window on the bundled sample case, works through the tasks of the manual with mouse
and keys, and ends with exit code 0, or with 1 and the reason: a task that fails or hangs.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time
from pathlib import Path

from scripts.manual.window import settings_elsewhere

LIMIT_S = 2400  # then the process is ended, with exit code 1
PARTS = ("manual", "panels")


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    wanted = parser.parse_args().parts or PARTS
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="backfat-manual-") as name:
        settings_elsewhere(Path(name))
        _run(wanted, Path(name))
    print(f"Pictures taken in {time.monotonic() - started:.0f} s")  # noqa: T201
    return 0


def _run(wanted: tuple[str, ...], folder: Path) -> None:
    import napari

    from napari_backfat.widgets.opening import open_review_in
    from scripts.manual import earlier, panels, screens, tasks
    from scripts.manual.window import Hands

    viewer = napari.Viewer(title="napari-backfat", show=True)
    hands = Hands(viewer, open_review_in(viewer))
    try:
        hands.resize(1280, 800)
        hands.close_notes()
        tasks.open_and_segment(hands)
        if "manual" in wanted:
            for task in (
                tasks.look, tasks.correct, tasks.compare, tasks.keys, tasks.fat, tasks.levels,
                tasks.plots, tasks.estimate,
            ):  # fmt: skip
                task(hands)
            tasks.export(hands, folder)
        if "panels" in wanted:
            panels.every_panel(hands)
            earlier.earlier_scan(hands, folder / "earlier", panels.THEMES)
        hands.viewer.theme = "dark"
        hands.resize(1280, 800)
        tasks.worklist(hands, folder)
        if "panels" in wanted:
            panels.the_worklist(hands)
            screens.write()
    finally:
        if hands.review.worklist is not None:
            hands.review.worklist.desk.close()
        hands.review.close_review()
        viewer.close()


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except BaseException:  # noqa: BLE001  # said, and then the process ends in any case
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # no thread of a library can keep the process alive

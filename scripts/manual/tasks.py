"""The tasks of the manual, done with real events; each leaves the pictures of its page."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QCursor

from napari_backfat.export.options import Options
from napari_backfat.export.report.write import ReportOptions
from napari_backfat.io.sample import sample_paths
from napari_backfat.model.anatomy import Muscle
from napari_backfat.widgets.export_dialog import (
    ExportDialog,
    ExportRequest,
    ReportDialog,
    ReportRequest,
)
from napari_backfat.widgets.tool_table import BY_NAME
from napari_backfat.worklist.claims import claim_next
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Settings, Worklist
from scripts.manual.pictures import save, take
from scripts.manual.window import PATIENCE_S, Hands
from tests.widgets.conftest import settle, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

_CTRL, _SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
_KEYS: dict[str, Any] = {"=": Qt.Key.Key_Equal, "-": Qt.Key.Key_Minus}


def press_tool(hands: Hands, name: str) -> None:
    """Press the key of a tool as the table has it."""
    key = BY_NAME[name].key
    hands.key(_KEYS.get(key) or getattr(Qt.Key, f"Key_{key}"))
    settle(0.2)


def shot(hands: Hands, name: str, *crop: Any, marks: tuple[Any, ...] = ()) -> None:
    """Picture of the main window, cropped to widgets, for the manual."""
    hands.bring(*marks)
    settle(0.5)
    take(f"manual/{name}", hands.window, crop, marks)


def open_and_segment(hands: Hands) -> None:
    """Offer, tour, sample case, AI, levels and person: through the card of the tour."""
    review = hands.review
    review.tour.offer_once()
    settle(0.5)
    shot(hands, "first-start")
    card = review.tour.card
    assert card is not None
    hands.click_button(card.next)
    hands.click_button(card.action)  # open the sample case
    wait_for(lambda: review.session.case is not None, PATIENCE_S)
    hands.close_notes()
    shot(hands, "open", hands.picture, review.tabs)
    hands.click_button(card.next)
    hands.click_button(card.action)  # run the AI
    wait_for(lambda: review.session.case.ai is not None, PATIENCE_S)  # type: ignore[union-attr]
    hands.jobs_done()
    settle(0.5)
    shot(hands, "tour")
    for _ in range(5):
        hands.click_button(card.next)
    hands.click_button(card.action)  # levels and person of the sample
    wait_for(lambda: hands.case.levels is not None)
    hands.click_button(card.end)
    review.tabs.setCurrentIndex(0)
    shot(hands, "ai", hands.picture, review.tabs, marks=(review.page.groups["AI"],))


def look(hands: Hands) -> None:
    """Uncertain slice, planes, images."""
    review = hands.review
    hands.key(Qt.Key.Key_W)
    hands.bring(review.segment_panel.uncertain.button)
    shot(
        hands, "uncertain", hands.picture, review.tabs,
        marks=(review.segment_panel.uncertain,),
    )  # fmt: skip


def correct(hands: Hands) -> None:
    """Brush, polygon, interpolation, range brush: each picture between two real strokes."""
    review, edit, case = hands.review, hands.review.brush_panel.edit, hands.case
    z = case.scan.geometry.shape[0] // 2
    hands.go_to(z)
    hands.key(Qt.Key.Key_F)
    press_tool(hands, "brush")
    y, x = hands.middle(Muscle.ERECTOR_SPINAE_LEFT, z)
    hands.zoom_to(y, x)
    hands.stroke((y - 6, x - 8), (y, x), (y + 5, x + 6))
    hands.bring(edit)
    shot(hands, "brush", hands.picture, review.tabs, marks=(edit.buttons["brush"],))
    shot(hands, "numbers", review.live, marks=(review.live.tables.muscles,))
    hands.key(Qt.Key.Key_Z, _CTRL)

    hands.key(Qt.Key.Key_6)  # psoas, right
    press_tool(hands, "polygon")
    y, x = hands.middle(Muscle.PSOAS_MAJOR_RIGHT, z)
    hands.zoom_to(y, x)
    hands.corners([(y - 16, x), (y - 4, x + 13), (y + 14, x + 9), (y + 12, x - 14)])
    hands.move(y - 8, x - 14)
    shot(hands, "polygon", hands.picture, review.tabs, marks=(edit.buttons["polygon"],))
    hands.key(Qt.Key.Key_Escape)

    hands.zoom_to(*hands.middle(Muscle.PSOAS_MAJOR_LEFT, z))
    hands.key(Qt.Key.Key_5)  # psoas, left: taken out of three slices, then filled again
    press_tool(hands, "lasso")
    for gap in (z - 1, z, z + 1):
        hands.go_to(gap)
        hands.stroke(*hands.around(Muscle.PSOAS_MAJOR_LEFT, gap), modifier=_SHIFT)
    assert not (case.masks.muscle[z] == Muscle.PSOAS_MAJOR_LEFT).any()
    hands.go_to(z)
    press_tool(hands, "gaps")
    settle(0.4)
    shot(hands, "gaps", hands.picture, review.tabs, marks=(edit.buttons["gaps"],))
    hands.key(Qt.Key.Key_Return)
    assert (case.masks.muscle[z] == Muscle.PSOAS_MAJOR_LEFT).any()

    hands.key(Qt.Key.Key_D)
    press_tool(hands, "range")
    y, x = hands.middle(Muscle.MULTIFIDUS_LEFT, z)
    hands.zoom_to(y, x)
    hands.stroke((y, x), (y + 2, x + 3), modifier=_CTRL)
    hands.stroke((y - 5, x - 4), (y + 4, x + 2))
    hands.bring(edit.window_slider)
    shot(hands, "range", hands.picture, review.tabs, marks=(edit.window_slider,))
    press_tool(hands, "brush")
    hands.key(Qt.Key.Key_F)
    y, x = hands.middle(Muscle.ERECTOR_SPINAE_RIGHT, z)
    hands.zoom_to(y, x)
    hands.stroke((y, x), (y + 4, x + 4))


def compare(hands: Hands) -> None:
    """Three linked planes, and what differs from the AI's masks after the corrections."""
    hands.key(Qt.Key.Key_V, _SHIFT)
    settle(1.0)
    shot(hands, "planes")
    hands.key(Qt.Key.Key_V, _SHIFT)
    hands.key(Qt.Key.Key_W, _SHIFT)
    hands.key(Qt.Key.Key_D, _SHIFT)
    settle(1.0)
    shot(hands, "differences", hands.picture, hands.review.tabs, marks=(hands.review.view_panel,))
    hands.review.page.let_go()
    hands.key(Qt.Key.Key_D, _SHIFT)


def keys(hands: Hands) -> None:
    """Show the sheet of keys."""
    hands.click_button(hands.review.brush_panel.help)
    sheet = hands.review.tools.sheet
    assert sheet is not None
    settle(0.4)
    take("manual/keys", sheet)
    sheet.close()


def fat(hands: Hands) -> None:
    """Threshold and fat methods."""
    review = hands.review
    slider = review.brush_panel.threshold
    hands.bring(slider)
    hands.click_at(slider._slider, 0.4)
    settle(1.0)
    shot(hands, "threshold", hands.picture, review.tabs, review.live, marks=(slider,))
    hands.key(Qt.Key.Key_Z, _CTRL)
    panel = review.methods.panel
    hands.bring(panel.compare)
    shot(hands, "fat-method", panel, marks=(panel.method,))
    hands.click_button(panel.compare)
    hands.jobs_done()
    wait_for(lambda: review.methods.window is not None)
    window = review.methods.window
    assert window is not None
    settle(0.5)
    take("manual/fat-compare", window)
    window.close()


def levels(hands: Hands) -> None:
    """Stated levels and disc lines on the sagittal view."""
    review = hands.review
    lines = review.levels_panel.lines
    hands.propose_lines()
    hands.key(Qt.Key.Key_S)
    settle(0.6)
    hands.bring(review.levels_panel)
    shot(hands, "levels", hands.picture, review.tabs, marks=(lines,))
    hands.click_button(lines.confirm)
    wait_for(lambda: hands.case.levels is not None)
    hands.key(Qt.Key.Key_A)


def plots(hands: Hands) -> None:
    """Profiles along the spine and histogram."""
    review = hands.review
    hands.bring(review.plots)
    settle(1.0)
    shot(hands, "plots", review.plots)
    hands.bring(review.live)


def estimate(hands: Hands) -> None:
    """Open the estimate's window, and ask where one of its numbers comes from."""
    hands.click_button(hands.review.live.risk.details)
    window = hands.review.risk.window
    assert window is not None
    settle(1.0)
    take("manual/estimate", window)
    hands.click_button(window.odds)
    settle(0.4)
    take("manual/explain", window.explanation)
    window.explanation.close()
    window.close()


def export(hands: Hands, folder: Path) -> None:
    """Both dialogs, a real export and a real report."""
    for name, dialog in (
        ("export", ExportDialog(hands.review, from_dicom=False)),
        ("report-dialog", ReportDialog(hands.review)),
    ):
        dialog.show()
        settle(0.4)
        take(f"manual/{name}", dialog)
        dialog.close()
        dialog.deleteLater()
    hands.answers.export_request = ExportRequest(("nifti",), str(folder / "export"), Options())
    hands.bring(hands.review.case_panel.export)
    hands.click_button(hands.review.case_panel.export)
    hands.jobs_done()
    assert list((folder / "export").iterdir())
    path = folder / "report.pdf"
    hands.answers.report_request = ReportRequest(str(path), ReportOptions(label="Sample case"))
    hands.click_button(hands.review.case_panel.report)
    hands.jobs_done()
    save("manual/report", _first_page(path))
    hands.review.segment_panel.set_idle()  # it names a folder of this run


def _first_page(path: Path) -> Image.Image:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    picture: Image.Image = document[0].render(scale=1.4).to_pil()
    document.close()
    return picture


def worklist(hands: Hands, folder: Path) -> None:
    """Two readers on one list: one has taken a case elsewhere, the other reads here."""
    sample = sample_paths()
    for name in ("anna-and-bert-1", "anna-and-bert-2", "anna-and-bert-3"):
        case = folder / "scans" / name.replace("anna-and-bert", "case")
        case.mkdir(parents=True)
        shutil.copy(sample.water, case / "case_water.nii.gz")
        shutil.copy(sample.fat, case / "case_fat.nii.gz")
    made = Worklist.create(folder / "list", Settings(readings=2))
    add_cases(made, find_cases(folder / "scans")[0])
    claim_next(made, "bert")
    review = hands.review
    hands.bring(review.case_panel.worklist)
    hands.click_button(review.case_panel.worklist)
    panel = review.worklist
    assert panel is not None
    panel.reader.setText("anna")
    panel.open_worklist(str(made.folder))
    wait_for(lambda: panel.table.rowCount() == 3, PATIENCE_S)
    hands.click_button(panel.next_case)
    wait_for(lambda: panel.desk.held is not None, PATIENCE_S)
    panel.note.setText("fat at the border of L4")
    settle(1.0)
    hands.click_button(panel.done)
    hands.jobs_done()
    wait_for(lambda: panel.desk.held is not None, PATIENCE_S)
    panel.look()
    settle(2.0)
    hands.bring(panel)
    shot(hands, "worklist", panel)


def park_mouse(hands: Hands) -> None:
    """Move the pointer where it raises no tooltip."""
    QCursor.setPos(hands.window.mapToGlobal(hands.window.rect().bottomRight()))

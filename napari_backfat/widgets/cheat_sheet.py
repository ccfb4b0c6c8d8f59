"""All keys and mouse gestures on one sheet, made from what is really bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.widgets.tool_table import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtGui import QKeyEvent

MOUSE = (
    ("Left button", "use the tool"),
    ("Shift + left button", "erase while held (paint, with the eraser)"),
    ("Ctrl + click or drag", "pick the window of values (range brush, fill by values)"),
    ("Wheel", "next or previous slice"),
    ("Ctrl or Alt + wheel", "brush larger or smaller"),
    ("Shift + wheel", "zoom about the cursor"),
    ("Space, held", "move the picture"),
    ("Right button, drag", "contrast: right is wider, up is darker"),
    ("Click in another plane", "move the crosshair there; its wheel turns its slices"),
)
_TEXTS = (
    {spec.key: spec.tip for spec in TOOLS}
    | {str(n): f"Paint {m.display_name}" for n, m in enumerate(MUSCLES, start=1)}
    | {
        "F": "Paint fat by hand",
        "D": "Paint lean muscle by hand",
        "T": "Ball instead of disc",
        "[": "Brush smaller",
        "]": "Brush larger",
        "0": "Protect every other muscle, or none",
        "Shift-N": "Copy to the previous slice",
        "Enter": "Accept: close the polygon, take the preview",
        "Backspace": "Take the last corner of the polygon back",
        "Escape": "Give up: outline, preview, running job",
        "Control-Z": "Undo",
        "Control-Shift-Z": "Redo",
        "?": "This sheet",
        "F1": "This sheet",
        "A": "Axial slices",
        "C": "Coronal slices",
        "S": "Sagittal slices",
        "Q": "Next image",
        "F5": "First image (water, or the only one)",
        "F6": "Second image (fat, or the fat map of a single image)",
        "F7": "Third image (fat map)",
        "F8": "Two images in one: water in blue and fat in orange, or an image under its fat map",
        "Shift-Q": "Next ready-made contrast of this kind of image",
        "H": "Masks on or off; held, only for the moment",
        "Shift-H": "Masks as outlines over tissue, as outlines alone, or as areas",
        ",": "Masks less opaque",
        ".": "Masks more opaque",
        "Z": "Held: the AI's masks (or another reader's) instead of the present ones",
        "Shift-W": "Next slice that differs from the AI's (or another reader's)",
        "Shift-D": "Differences from the AI's (or another reader's) in colour",
        "Shift-C": "Consensus: whose outline each muscle takes, reader by reader or by a rule",
        "Shift-V": "The other two planes, with a crosshair that all three share",
        "W": "Next uncertain slice of the AI",
        "Control-R": "Segment all muscles with the AI",
        "Control-Shift-S": "Save",
    }
)
_SHOWN = {"Control": "Ctrl", "Escape": "Esc", "-": "+"}


def key_rows(bound: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (key as written on keyboards, what it does) for every bound key.

    Parameters
    ----------
    bound : mapping of str to str
        Keys as they were bound, with a text for those that this module has none for.
    """
    rows = [(_readable(key), _TEXTS.get(key) or text) for key, text in bound.items()]
    order = {_readable(spec.key): n for n, spec in enumerate(TOOLS)}
    return sorted(rows, key=lambda row: order.get(row[0], len(order)))


def _readable(key: str) -> str:
    if len(key) == 1:
        return key
    return " + ".join(_SHOWN.get(part, part) for part in key.split("-"))


class CheatSheet(QDialog):
    """A window that may stay open beside the work; the key that opens it closes it again.

    Parameters
    ----------
    bound : mapping of str to str
        See `key_rows`.
    parent : QWidget, optional
        Window it belongs to.
    """

    def __init__(self, bound: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and mouse")
        self.setObjectName("backfat_cheat_sheet")
        text = QLabel(_html(key_rows(bound)))
        text.setTextFormat(Qt.TextFormat.RichText)
        text.setWordWrap(True)
        text.setMargin(8)
        self.text = text
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(area)
        layout.addWidget(buttons)
        self.resize(880, 620)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Close on the keys that open the sheet; Esc closes every dialog."""
        if event is not None and (event.text() == "?" or event.key() == Qt.Key.Key_F1):
            self.close()
            return
        super().keyPressEvent(event)


def _html(rows: list[tuple[str, str]]) -> str:
    def table(title: str, lines: list[tuple[str, str]]) -> str:
        cells = "".join(
            f"<tr><td style='padding-right:10px' nowrap><b>{_escaped(key)}</b></td>"
            f"<td>{_escaped(text)}</td></tr>"
            for key, text in lines
        )
        return f"<h3>{title}</h3><table>{cells}</table>"

    tools = {_readable(spec.key) for spec in TOOLS}
    first = [row for row in rows if row[0] in tools]
    rest = [row for row in rows if row[0] not in tools]
    return table("Mouse", list(MOUSE)) + table("Tools", first) + table("Everything else", rest)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

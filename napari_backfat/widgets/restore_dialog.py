"""The question whether unsaved work is to be restored, with what that would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_backfat.widgets.plain_table import set_heads

if TYPE_CHECKING:
    from napari_backfat.review.preview import Preview

_PICTURE_PX = 280
_HEADS = (
    ("Muscle", "Muscle and side"),
    ("Without (ml)", "Volume if the case is opened without the unsaved work"),
    ("Restored (ml)", "Volume with the unsaved work"),
    ("Voxels changed", "Voxels of this muscle whose muscle or tissue the unsaved work changes"),
)


class RestoreDialog(QDialog):
    """Asks whether unsaved work is to be restored; the safe answer keeps everything.

    Parameters
    ----------
    text : str
        Whose work it is, from when, and how much.
    preview : Preview
        What restoring would change.
    parent : QWidget, optional
        The window it belongs to.

    Attributes
    ----------
    table : QTableWidget
        One row for each muscle that differs.
    """

    def __init__(self, text: str, preview: Preview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Unsaved work was found")
        self.resize(860, 440)
        about = QLabel(text)
        about.setWordWrap(True)
        about.setTextFormat(Qt.TextFormat.PlainText)
        self.table = QTableWidget(len(preview.rows), len(_HEADS))
        self.table.setAccessibleName("What restoring would change, by muscle")
        set_heads(self.table, _HEADS)
        for row, difference in enumerate(preview.rows):
            cells = (
                difference.muscle.display_name,
                f"{difference.before_ml:.1f}",
                f"{difference.after_ml:.1f}",
                f"{difference.voxels:,}",
            )
            for column, cell in enumerate(cells):
                item = QTableWidgetItem(cell)
                if column:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(row, column, item)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        spacing = preview.loaded.scan.geometry.spacing_mm
        self.picture = QLabel()
        self.picture.setPixmap(_pixmap(preview.picture, spacing[1] / spacing[2]))
        caption = QLabel(
            f"Slice {preview.slice_index} with the work restored; the patient's right is on the "
            "left of the picture."
        )
        caption.setWordWrap(True)
        side = QVBoxLayout()
        side.addWidget(self.picture)
        side.addWidget(caption)
        side.addStretch(1)
        middle = QHBoxLayout()
        middle.addWidget(self.table, 1)
        middle.addLayout(side)
        others = QLabel()
        others.setWordWrap(True)
        if preview.other:
            others.setText(f"Also: {', '.join(preview.other)}.")
        elif not preview.rows:
            others.setText("No voxel differs.")
        buttons = QDialogButtonBox()
        role = QDialogButtonBox.ButtonRole
        restore = buttons.addButton("Restore", role.AcceptRole)
        aside = buttons.addButton("Keep it aside", role.RejectRole)
        for button, tip in (
            (restore, "Open the case with this work; save it to keep it"),
            (aside, "Open without it; the work stays on the disk under another name"),
        ):
            if button is not None:
                button.setToolTip(tip)
        if restore is not None:
            restore.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(middle, 1)
        layout.addWidget(others)
        layout.addWidget(buttons)


def _pixmap(picture: np.ndarray, tall: float) -> QPixmap:
    """Return an RGB picture at the size of the dialog; `tall` is pixel height by width."""
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    image = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    scale = _PICTURE_PX / max(width, height * tall)
    return QPixmap.fromImage(image).scaled(
        max(1, round(width * scale)),
        max(1, round(height * tall * scale)),
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )

"""Which series of a DICOM folder: a table with pictures that come while one reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import create_worker

from napari_backfat.io.decoders import decoding
from napari_backfat.io.dicom_open import choose_series
from napari_backfat.io.dicom_preview import middle_picture
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.widgets.plain_table import set_heads
from napari_backfat.widgets.role_dialog import icon, pixmap, rows_for_pictures

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.io.dicom_series import SeriesInfo

_PICTURE = 72
_HEADS = (
    ("Picture", "The middle slice"),
    ("Series", "Number that the scanner gave it"),
    ("Description", "What the scanner calls it"),
    ("Images", "Number of slices"),
    ("Plane", "Direction of the slices"),
    ("Voxels (mm)", "The two edges of a pixel, and the distance of the slices"),
    ("Shows", "What the header says that the image shows"),
    ("Remarks", "Why a series cannot be opened, or what is to be known about it"),
)
_DESCRIPTION, _REMARKS = 2, 7
_SHOWN = {
    Contrast.WATER: "water", Contrast.FAT: "fat", Contrast.IN_PHASE: "in-phase",
    Contrast.OPPOSED_PHASE: "opposed-phase", Contrast.T1W: "T1-weighted",
    Contrast.T2W: "T2-weighted", Contrast.UNKNOWN: "not said",
}  # fmt: skip
_HELP = (
    "Choose one series, or the water and the fat series of a scan. Arrow keys move, Ctrl+arrow and "
    "Ctrl+Space add a second one, Enter opens, Esc cancels. What stands in grey cannot be opened; "
    "the last column says why."
)


class SeriesDialog(QDialog):
    """Table of the series of a folder.

    The table is there at once; pictures of the middle slices are read by a worker meanwhile.

    Parameters
    ----------
    series : sequence of SeriesInfo
        What the folder holds. Stations that were put together come first.
    parent : QWidget, optional
        Window it belongs to.

    Attributes
    ----------
    table : QTableWidget
        One row for each series.
    series : tuple of SeriesInfo
        In the order of the rows.
    """

    def __init__(self, series: Sequence[SeriesInfo], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Which series?")
        self.resize(1040, 520)
        self.series = tuple(sorted(series, key=lambda info: not info.stations))
        self.table = QTableWidget(len(self.series), len(_HEADS))
        self.table.setAccessibleName("Series")
        self.table.setIconSize(QSize(_PICTURE, _PICTURE))
        set_heads(self.table, _HEADS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setWordWrap(True)
        for row, info in enumerate(self.series):
            self._fill(row, info)
        rows_for_pictures(self.table)
        header = self.table.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            for column in (_DESCRIPTION, _REMARKS):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.buttons = QDialogButtonBox()
        self.buttons.addButton(QDialogButtonBox.StandardButton.Open)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        opener = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        if opener is not None:
            opener.setDefault(True)  # Enter in the table reaches it
        text = QLabel(_HELP)
        text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.buttons)
        self.table.itemDoubleClicked.connect(self.accept)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self._propose()
        self._on_selection()
        self.table.setFocus()
        self._worker: Any = create_worker(_pictures, self.series, _start_thread=False)
        self._worker.yielded.connect(self._on_picture)
        self._worker.start()

    @property
    def answer(self) -> list[str]:
        """Addresses of the selected series."""
        return [self.series[row].address for row in self._rows()]

    def done(self, result: int) -> None:
        """Close; pictures that are not there yet are given up."""
        self._worker.quit()
        super().done(result)

    def _rows(self) -> list[int]:
        return sorted({item.row() for item in self.table.selectedItems()})

    def _fill(self, row: int, info: SeriesInfo) -> None:
        sizes = " × ".join(f"{s:.2f}" for s in info.spacing_mm or ())
        shows = info.map_name or _SHOWN.get(info.role, info.role.value)
        remarks = info.problem or " ".join(info.notes)
        texts = (
            "", info.name, " ".join(filter(None, (info.description, info.part))),
            str(info.n_images), info.orientation, sizes, shows, remarks,
        )  # fmt: skip
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if info.problem:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.table.setItem(row, column, item)
        picture = self.table.item(row, 0)
        if picture is not None:
            picture.setData(Qt.ItemDataRole.AccessibleTextRole, f"picture of {info.name}")

    def _propose(self) -> None:
        """Select what the program would take by itself, else the first that can be opened."""
        try:
            proposed = [info.position for info, _ in choose_series(self.series)]
        except BackfatError:
            proposed = [info.position for info in self.series if not info.problem][:1]
        rows = [row for row, info in enumerate(self.series) if info.position in proposed]
        for place, row in enumerate(rows):
            if place == 0:
                self.table.setCurrentCell(row, _DESCRIPTION)
            for column in range(len(_HEADS)):
                item = self.table.item(row, column)
                if item is not None:
                    item.setSelected(True)

    def _on_selection(self) -> None:
        opener = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        if opener is not None:
            opener.setEnabled(bool(self._rows()))

    def _on_picture(self, found: tuple[int, NDArray[np.uint8] | None]) -> None:
        if not isalive(self):  # type: ignore[no-untyped-call]
            return
        row, picture = found
        item = self.table.item(row, 0)
        if item is None:
            return
        if picture is None:
            item.setText("–")
            item.setToolTip("no picture can be made of this series")
        else:
            item.setIcon(icon(pixmap(picture, _PICTURE)))


def _pictures(
    series: Sequence[SeriesInfo],
) -> Generator[tuple[int, NDArray[np.uint8] | None], None, None]:
    """Yield the row and the picture of each series."""
    with decoding():  # one process for all that are compressed
        for row, info in enumerate(series):
            yield row, middle_picture(info, _PICTURE)

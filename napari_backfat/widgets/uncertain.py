"""Walks through the slices at which the AI was least sure, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from napari_backfat.segment.quality import uncertain_slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.model.case import Case

_SCALE = (
    "Doubt of slice {z}: {value:.2f} on a scale from 0 (sure) to 1, the mean over its muscle "
    "voxels of how little probable or how disputed among the AI's looks their label is. The usual "
    "doubt in this scan is {usual:.2f} (half of the slices with muscle have less), the highest "
    "{most:.2f}. It says where to look first; it is not the chance of an error."
)


class UncertainSlices(QWidget):
    """A button that shows one uncertain slice after the other, and what is known about it.

    Signals
    -------
    slice_requested(int)
        Working index Z of the slice to show.
    """

    slice_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QToolButton()
        self.button.setText("Next uncertain slice")
        self.button.setToolTip(
            "Show the slice at which the AI was least sure, then the next one (W)"
        )
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(lambda: self.show_next())
        self.note = QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)
        row.addWidget(self.note, 1)
        self._values: list[float] = []
        self._slices: list[int] = []
        self._at = -1
        self.set_case(None)

    @property
    def keys(self) -> dict[str, Callable[[], Any]]:
        """Key -> action, for binding."""
        return {"W": self.show_next}

    @property
    def slices(self) -> tuple[int, ...]:
        """Slices that are offered, the most uncertain first."""
        return tuple(self._slices)

    def set_case(self, case: Case | None) -> None:
        """Offer the uncertain slices of a case's AI result; hidden where none are known."""
        about = case.ai.provenance if case is not None and case.ai is not None else {}
        values = about.get("slice_uncertainty") or []
        self._values, self._slices, self._at = [], [], -1
        # A case folder can be edited by hand: what does not fit the scan is ignored.
        if case is not None and len(values) == case.scan.geometry.shape[0]:
            self._values = [float(v) for v in values]
            self._slices = uncertain_slices(
                np.array(self._values), case.scan.geometry.spacing_mm[0]
            )
        self.note.setText(f"{len(self._slices)} to look at" if self._slices else "")
        self.note.setToolTip("")
        self.setVisible(bool(self._slices))

    def show_next(self) -> None:
        """Show the next slice; after the last the first again."""
        if not self._slices:
            return
        self._at = (self._at + 1) % len(self._slices)
        z = self._slices[self._at]
        known = [value for value in self._values if value > 0]  # slices without muscle have none
        value, usual = self._values[z], float(np.median(known))
        self.note.setText(
            f"{self._at + 1} of {len(self._slices)}: slice {z}, doubt {value:.2f} "
            f"(usual {usual:.2f})"
        )
        self.note.setToolTip(_SCALE.format(z=z, value=value, usual=usual, most=max(known)))
        self.slice_requested.emit(z)

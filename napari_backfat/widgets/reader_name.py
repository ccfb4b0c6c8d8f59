"""The name of the person at work: asked once, remembered, and written into every case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLineEdit, QWidget

from napari_backfat.review.journal import default_reader
from napari_backfat.widgets.memory import recall, remember

if TYPE_CHECKING:
    from napari_backfat.review.session import ReviewSession

_TOPIC, _NAME = "reader", "name"


class ReaderName(QLineEdit):
    """The field for the name.

    Parameters
    ----------
    session : ReviewSession
        The journal of its case takes the name, for what happens from then on.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, session: ReviewSession, parent: QWidget | None = None) -> None:
        super().__init__(str(recall(_TOPIC, _NAME, default_reader())), parent)
        self._session = session
        self.setPlaceholderText("not named")
        self.setToolTip(
            "Your name, for the journal and the record of the case, and as a proposal for exports "
            "and reports. It is remembered on this computer."
        )
        self.editingFinished.connect(self._on_change)

    @property
    def name(self) -> str:
        """The name without spaces around it; empty if none was given."""
        return self.text().strip()

    def attach(self) -> None:
        """Give the name to the journal of the case that was opened."""
        if self._session.journal is not None:
            self._session.journal.reader = self.name

    def _on_change(self) -> None:
        remember(_TOPIC, _NAME, self.name)
        self.attach()

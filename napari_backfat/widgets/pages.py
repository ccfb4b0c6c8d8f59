"""Pages of titled groups that scroll up and down and are never cut at the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_backfat.widgets.fold import Fold

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRAME_PX = 12


class Page(QScrollArea):
    """Titled groups below each other.

    Parameters
    ----------
    groups : sequence of (str, QWidget)
        Titles and contents, from top to bottom.
    always_open : sequence of str
        Titles of the groups that cannot be folded: those that tell of progress and refusals.

    Attributes
    ----------
    groups : dict of str to Fold
        By title.
    """

    def __init__(
        self, groups: Sequence[tuple[str, QWidget]], always_open: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._content = QWidget()
        self.groups = {
            title: Fold(title, panel, foldable=title not in always_open) for title, panel in groups
        }
        column = QVBoxLayout(self._content)
        column.setContentsMargins(2, 2, 2, 2)
        column.setSpacing(3)
        for group in self.groups.values():
            column.addWidget(group)
            group.folded.connect(lambda _: self._fit())
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(self._content)

        self._fit()

    def _fit(self) -> None:
        """Keep room for the widest group, whatever is shown in it by now, and folded or not."""
        bar = self.verticalScrollBar()
        room = bar.sizeHint().width() if bar is not None else 0
        wide = max(g.panel.minimumSizeHint().width() for g in self.groups.values()) + _FRAME_PX
        # As a hint it does not reach the dock; as a fixed bound it does.
        self.setMinimumWidth(max(self._content.minimumSizeHint().width(), wide) + room + 4)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow groups that become wider."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return bool(super().eventFilter(watched, event))

    def showEvent(self, event: Any) -> None:
        """Measure again with the fonts of the window's theme."""
        super().showEvent(event)
        self._fit()


def message_label() -> QLabel:
    """Make the label that holds one sentence for the user, hidden while there is none."""
    label = QLabel()
    label.setObjectName("review_message")
    label.setWordWrap(True)
    label.setStyleSheet("background: #5A3A00; color: #FFE0B0; padding: 4px; border-radius: 3px;")
    label.setVisible(False)
    return label

"""Pages of titled groups that scroll up and down and are never cut at the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_backfat.widgets.fold import Fold
from napari_backfat.widgets.low_window import is_low

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FRAME_PX = 12


class Page(QScrollArea):
    """Titled groups below each other.

    Parameters
    ----------
    groups : sequence of (str, QWidget)
        Titles and contents, from top to bottom.
    always_open : sequence of str
        Titles of the groups that cannot be folded: those that tell of progress and refusals.
    spared : mapping of str to callable
        Titles of the groups that are folded in a low window, until the person says otherwise, and
        whether they can be spared now; see `spare`.

    Attributes
    ----------
    groups : dict of str to Fold
        By title.
    """

    def __init__(
        self,
        groups: Sequence[tuple[str, QWidget]],
        always_open: Sequence[str] = (),
        spared: Mapping[str, Callable[[], bool]] | None = None,
    ) -> None:
        super().__init__()
        self._spared = dict(spared or {})
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
        self.spare()
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Fold what can be spared in a low window, and open it in a high one."""
        super().resizeEvent(event)
        self.spare()

    def spare(self) -> None:
        """Fold in a low window what can be spared now, and open it in a high one."""
        low = is_low(self)
        for title, can_be_spared in self._spared.items():
            self.groups[title].spare(low and can_be_spared())


class MessageLabel(QLabel):
    """Holds one sentence for the user, hidden while there is none; a click takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("review_message")
        self.setWordWrap(True)
        # napari's title bar is higher than the room its dock gives it, and covers the first pixels.
        self.setStyleSheet(
            "background: #5A3A00; color: #FFE0B0; padding: 4px; border-radius: 3px; margin-top: 6px"
        )
        self.setToolTip("Click to hide")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setVisible(False)

    def tell(self, text: str) -> None:
        """Show a sentence; an empty text hides it."""
        self.setText(text)
        self.setVisible(bool(text))

    def mouseReleaseEvent(self, event: Any) -> None:
        """Hide it."""
        super().mouseReleaseEvent(event)
        self.tell("")

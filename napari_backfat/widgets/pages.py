"""Pages of titled groups that scroll up and down and are never cut at the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_backfat.widgets.fold import Fold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_FRAME_PX = 12
_REST_MS = 150  # the strip below the picture takes its height first, see `StripHeight`


class Page(QScrollArea):
    """Titled groups below each other.

    Parameters
    ----------
    groups : sequence of (str, QWidget)
        Titles and contents, from top to bottom.
    always_open : sequence of str
        Titles of the groups that cannot be folded: those that tell of progress and refusals.
    spared : mapping of str to callable
        Titles of the groups that are folded, in this order, as far as the others need their room,
        until the person says otherwise; and whether they can be spared now. See `spare`.
    beside : mapping of str to QWidget
        Controls at the right of titles.
    lent : callable
        Height in pixels that the page gave away for the moment, such as to a message above it; no
        group is folded for that.

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
        beside: Mapping[str, QWidget] | None = None,
        lent: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__()
        self._spared, self._lent = dict(spared or {}), lent
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._spare)
        self._content = QWidget()
        found = beside or {}
        self.groups = {
            title: Fold(title, panel, foldable=title not in always_open, beside=found.get(title))
            for title, panel in groups
        }
        self._column = column = QVBoxLayout(self._content)
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
        """Follow groups that become wider or higher."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
            self.spare()
        return bool(super().eventFilter(watched, event))

    def sizeHint(self) -> QSize:
        """Want no more width than it needs: what is left is the picture's."""
        return QSize(self.minimumWidth(), super().sizeHint().height())

    def showEvent(self, event: Any) -> None:
        """Measure again with the fonts of the window's theme."""
        super().showEvent(event)
        self.spare()
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Fold what can be spared if the page became too low, and open it in a higher one."""
        super().resizeEvent(event)
        self.spare()

    def spare(self) -> None:
        """Fold soon what can be spared, as far as the rest needs the room, and open what fits.

        Heights that the groups want decide, not what is open at the moment: folding one changes
        nothing of the decision, so it cannot flap.
        """
        self._rest.start()

    def let_go(self) -> None:
        """Let groups that a tour opened fold again."""
        for group in self.groups.values():
            group.let_go()
        self.spare()

    def _spare(self) -> None:
        viewport, bar = self.viewport(), self.verticalScrollBar()
        if not self._spared or viewport is None or bar is None or not self.isVisible():
            return
        margins = self._column.contentsMargins()
        width = self.width() - 2 * self.frameWidth() - margins.left() - margins.right()
        width -= bar.sizeHint().width()  # whether it is there or not
        open_heights = {title: g.open_height(width) for title, g in self.groups.items()}
        need = sum(
            open_heights[title] if g.is_open or not g.is_chosen else g.height_of_title
            for title, g in self.groups.items()
        )
        need += margins.top() + margins.bottom() + self._column.spacing() * (len(self.groups) - 1)
        room = viewport.height() + self._lent()
        for title, can_be_spared in self._spared.items():
            group = self.groups[title]
            if group.is_chosen:
                continue
            folded = need > room and can_be_spared()
            if folded:
                need -= open_heights[title] - group.height_of_title
            group.spare(folded)


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

    @property
    def height_taken(self) -> int:
        """Height in pixels that it takes from what stands below it."""
        parent = self.parentWidget()
        layout = parent.layout() if parent is not None else None
        if layout is None or not self.isVisible():
            return 0
        return self.height() + max(0, layout.spacing())

    def tell(self, text: str) -> None:
        """Show a sentence; an empty text hides it."""
        self.setText(text)
        self.setVisible(bool(text))

    def mouseReleaseEvent(self, event: Any) -> None:
        """Hide it."""
        super().mouseReleaseEvent(event)
        self.tell("")

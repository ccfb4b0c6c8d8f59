"""The card of the tour, and the frame around what it points at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, QRect, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QRegion
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent, QPaintEvent

COLOR = "#FF8C1A"
_WIDTH_PX, _BORDER_PX = 296, 5
KEYS = {"next": "Alt+Right", "back": "Alt+Left", "action": "Alt+Return", "end": "Alt+End"}


class TourCard(QFrame):
    """Text and buttons inside the window; blocks nothing and can be dragged elsewhere.

    Parameters
    ----------
    parent : QWidget
        Window over whose content it lies.

    Signals
    -------
    next_clicked(), back_clicked(), action_clicked(), end_clicked()
    """

    next_clicked = Signal()
    back_clicked = Signal()
    action_clicked = Signal()
    end_clicked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("backfat_tour_card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(
            f"#backfat_tour_card {{ border: 2px solid {COLOR}; border-radius: 6px; }}"
        )
        self.moved = False
        self._grip: QPoint | None = None
        self.title, self.text, self.status = QLabel(), QLabel(), QLabel()
        self.title.setStyleSheet("font-weight: bold; font-size: 14px;")
        for label in (self.title, self.text, self.status):
            label.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.status.setStyleSheet("font-style: italic;")
        self.action = self._button("", "Do this step for me", self.action_clicked, "action")
        self.end = self._button("End tour", "Close the tour", self.end_clicked, "end")
        self.back = self._button("Back", "The step before", self.back_clicked, "back")
        self.next = self._button("", "The next step", self.next_clicked, "next")
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.action, 0, 0, 1, 3)
        for column, button in enumerate((self.end, self.back, self.next)):
            grid.addWidget(button, 1, column)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        for label in (self.title, self.text, self.status):
            layout.addWidget(label)
        layout.addLayout(grid)
        self.setFixedWidth(_WIDTH_PX)
        QWidget.setTabOrder(self.action, self.next)
        QWidget.setTabOrder(self.next, self.back)
        QWidget.setTabOrder(self.back, self.end)

    def _button(self, text: str, tip: str, signal: Any, key: str) -> QPushButton:
        button = QPushButton(text)
        button.setShortcut(KEYS[key])
        button.setToolTip(f"{tip} ({KEYS[key]})")
        button.setAutoDefault(True)  # Enter presses the button that has the focus
        button.clicked.connect(lambda: signal.emit())
        return button

    def show_text(self, title: str, text: str, action: str, following: str, last: str) -> None:
        """Show a step.

        Parameters
        ----------
        title, text : str
            What to do; `text` is rich text.
        action : str
            Of the button that does it; "" hides the button.
        following, last : str
            Of the buttons that go on and that close the tour.
        """
        self.title.setText(title)
        self.text.setText(text)
        self.set_status("")
        self.set_action(action)
        self.set_next(following)
        self._set_text(self.end, last, "end")
        self.fit()

    def set_action(self, text: str) -> None:
        """Name the button that does the step, or (empty) hide it."""
        self.action.setVisible(bool(text))
        self._set_text(self.action, text, "action")

    def set_next(self, text: str) -> None:
        """Name the button that goes on."""
        self._set_text(self.next, text, "next")

    def set_status(self, text: str) -> None:
        """Show what the step waits for or what was done."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    @staticmethod
    def _set_text(button: QPushButton, text: str, key: str) -> None:
        if button.text() != text:
            button.setText(text)
            button.setShortcut(KEYS[key])  # a new text takes the shortcut away

    def fit(self) -> None:
        """Take the height that the text needs."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        height = layout.totalHeightForWidth(_WIDTH_PX)
        self.setFixedHeight(max(height, layout.minimumSize().height()))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of the card."""
        if event is not None:
            self._grip = event.pos()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag the card within its window."""
        parent = self.parentWidget()
        if event is None or self._grip is None or parent is None:
            return
        place = self.mapToParent(event.pos()) - self._grip
        room = parent.rect().adjusted(0, 0, -self.width(), -self.height())
        self.move(
            max(room.left(), min(place.x(), room.right())),
            max(room.top(), min(place.y(), room.bottom())),
        )
        self.moved = True

    def mouseReleaseEvent(self, _: QMouseEvent | None) -> None:
        """Let go of the card."""
        self._grip = None


class TourFrame(QWidget):
    """A coloured frame around a widget; the mouse goes through it.

    Parameters
    ----------
    target : QWidget
        What is framed; the frame lies over its window.
    """

    def __init__(self, target: QWidget) -> None:
        super().__init__(target.window())
        self.setObjectName("backfat_tour_frame")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.target = target
        self.follow()

    def follow(self) -> None:
        """Lie around what can be seen of the target, or hide."""
        seen = self.target.visibleRegion().boundingRect()
        window = self.parentWidget()
        if not self.target.isVisible() or seen.isEmpty() or window is None:
            self.hide()
            return
        corner = self.target.mapTo(window, seen.topLeft())
        grown = QRect(corner, seen.size()).adjusted(
            -_BORDER_PX, -_BORDER_PX, _BORDER_PX, _BORDER_PX
        )
        place = grown.intersected(window.rect())
        if place != self.geometry():
            self.setGeometry(place)
            inner = self.rect().adjusted(_BORDER_PX, _BORDER_PX, -_BORDER_PX, -_BORDER_PX)
            self.setMask(QRegion(self.rect()).subtracted(QRegion(inner)))
        self.show()
        self.raise_()

    def paintEvent(self, _: QPaintEvent | None) -> None:
        """Draw orange between two dark lines, to be seen on dark, on light and on a picture."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(COLOR))
        painter.setPen(QPen(QColor("#3A2000"), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        inset = _BORDER_PX - 1
        painter.drawRect(self.rect().adjusted(inset, inset, -inset - 1, -inset - 1))
        painter.end()

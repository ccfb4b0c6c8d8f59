"""A titled group that folds to its title, and is found as it was left."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_backfat.widgets.memory import recall, recall_flag, remember

_TOPIC = "folded"
_STYLE = (
    "QFrame#fold { border: 1px solid rgba(128, 128, 128, 70); border-radius: 3px; }"
    " QToolButton#fold_title { border: none; padding: 0px; text-align: left; }"
)


class Fold(QFrame):
    """A panel below its title.

    superqt's QCollapsible fixes the height of what it holds at the moment it opens; these panels
    grow and shrink while they are open (remarks of the AI, options of a tool), so the layout has
    to stay free.

    Parameters
    ----------
    title : str
        Also the name under which it is remembered.
    panel : QWidget
        Below the title.
    foldable : bool
        Whether a click on the title folds it.

    Signals
    -------
    folded(bool)
        It was folded or opened.
    """

    folded = Signal(bool)

    def __init__(self, title: str, panel: QWidget, *, foldable: bool = True) -> None:
        super().__init__()
        self.setObjectName("fold")
        self.setStyleSheet(_STYLE)
        self.name, self.panel = title, panel
        self.title: QToolButton | QLabel
        if foldable:
            self.title = self._button(title)
        else:
            self.title = QLabel(title)
            self.title.setContentsMargins(3, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 1, 2, 1)
        column.setSpacing(0)
        column.addWidget(self.title)
        column.addWidget(panel)
        if foldable and recall_flag(_TOPIC, title):
            self._show(False)

    def _button(self, title: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName("fold_title")
        button.setText(title)
        button.setToolTip(_tip(title))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setArrowType(Qt.ArrowType.DownArrow)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda _=False: self.open(not self.is_open))
        return button

    @property
    def is_open(self) -> bool:
        """Whether the panel is there, and not only its title."""
        return not self.panel.isHidden()

    def open(self, wanted: bool = True) -> None:
        """Open or fold it; it is remembered."""
        if wanted == self.is_open or isinstance(self.title, QLabel):
            return
        self._show(wanted)
        remember(_TOPIC, self.name, not wanted)
        self.folded.emit(not wanted)

    def spare(self, folded: bool) -> None:
        """Fold or open it for want of room, unless the person ever did; it is not remembered."""
        chosen = recall(_TOPIC, self.name) is not None
        if not chosen and isinstance(self.title, QToolButton) and folded == self.is_open:
            self._show(not folded)
            self.folded.emit(folded)

    def tell(self, text: str, details: str = "") -> None:
        """Say something beside the title, to be read while it is folded; details on hovering."""
        more = "; there is a remark" if details else ""
        self.title.setText(f"{self.name}   {text}{more}" if text else self.name)
        self.title.setToolTip("\n\n".join(t for t in (details, _tip(self.name)) if t))

    def _show(self, wanted: bool) -> None:
        self.panel.setVisible(wanted)
        if isinstance(self.title, QToolButton):
            arrow = Qt.ArrowType.DownArrow if wanted else Qt.ArrowType.RightArrow
            self.title.setArrowType(arrow)


def _tip(title: str) -> str:
    return f"Fold or open {title}; it is found as it was left (click)"

"""A titled group that folds to its title, and is found as it was left."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_backfat.widgets.memory import recall, recall_flag, remember

PASSING = "passing"
"""Property of widgets that come and go with the work: no group is folded to make room for them."""
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
    beside : QWidget, optional
        Controls at the right of the title, which stay while the panel is folded. Ones that expand
        get all the room beside the title's word.

    Signals
    -------
    folded(bool)
        It was folded or opened.
    """

    folded = Signal(bool)

    def __init__(
        self,
        title: str,
        panel: QWidget,
        *,
        foldable: bool = True,
        beside: QWidget | None = None,
    ) -> None:
        super().__init__()
        self.setObjectName("fold")
        self.setStyleSheet(_STYLE)
        self.name, self.panel = title, panel
        self._held = False
        self.title: QToolButton | QLabel
        if foldable:
            self.title = self._button(title)
        else:
            self.title = QElidingLabel(title)  # what is told beside it must not widen the dock
            self.title.setContentsMargins(3, 0, 0, 0)
        self._row = row = QHBoxLayout()
        row.setContentsMargins(0, 0, 4, 0)
        row.setSpacing(4)
        row.addWidget(self.title, 1)
        if beside is not None:
            greedy = beside.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Expanding
            row.setStretch(0, int(not greedy))
            row.addWidget(beside, int(greedy))
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(2, 1, 2, 1)
        column.setSpacing(0)
        column.addLayout(row)
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

    def open(self, wanted: bool = True, *, lasting: bool = True) -> None:
        """Open or fold it, and keep it so.

        Parameters
        ----------
        wanted : bool
            Open, else folded.
        lasting : bool
            It is the person's choice, which is remembered; else it lasts until `let_go`.
        """
        if wanted == self.is_open or isinstance(self.title, QLabel):
            return
        self._held = not lasting
        self._show(wanted)
        if lasting:
            remember(_TOPIC, self.name, not wanted)
        self.folded.emit(not wanted)

    @property
    def is_chosen(self) -> bool:
        """Whether it stays as it is, however much room there is."""
        return isinstance(self.title, QLabel) or self._held or self.is_remembered

    @property
    def is_remembered(self) -> bool:
        """Whether the person ever folded or opened it."""
        return recall(_TOPIC, self.name) is not None

    def let_go(self) -> None:
        """Need no longer stay as something other than the person wanted it."""
        self._held = False

    def spare(self, folded: bool) -> None:
        """Fold or open it for want of room, unless it was chosen; it is not remembered."""
        if folded == self.is_open and not self.is_chosen:
            self._show(not folded)
            self.folded.emit(folded)

    def open_height(self, width: int) -> int:
        """Return the height in pixels that it wants while open, whether it is open or not.

        Parameters
        ----------
        width : int
            Its width in pixels; texts that wrap grow higher in a narrow one.
        """
        margins = self._column.contentsMargins()
        width -= margins.left() + margins.right() + 2 * self.frameWidth()
        return self.height_of_title + _height(self.panel, width)

    @property
    def height_of_title(self) -> int:
        """Height in pixels while it is folded."""
        margins = self._column.contentsMargins()
        height = self._row.sizeHint().height() + margins.top() + margins.bottom()
        return height + 2 * self.frameWidth()

    def tell(self, text: str, details: str = "") -> None:
        """Say something beside the title; details are read on hovering."""
        self.title.setText(f"{self.name}   {text}" if text else self.name)
        own = "" if isinstance(self.title, QLabel) else _tip(self.name)
        self.title.setToolTip("\n\n".join(t for t in (details, own) if t))

    def _show(self, wanted: bool) -> None:
        self.panel.setVisible(wanted)
        if isinstance(self.title, QToolButton):
            arrow = Qt.ArrowType.DownArrow if wanted else Qt.ArrowType.RightArrow
            self.title.setArrowType(arrow)


def _tip(title: str) -> str:
    return f"Fold or open {title}; it is found as it was left (click)"


def _height(panel: QWidget, width: int) -> int:
    """Return the height that a panel wants, without what only passes through it."""
    layout = panel.layout()
    if layout is None:
        return panel.sizeHint().height()
    wanted = layout.totalHeightForWidth(width)
    if wanted < 0:
        wanted = layout.totalSizeHint().height()
    narrower = panel.width() - width
    passing = (w for w in panel.findChildren(QWidget) if w.property(PASSING))
    return wanted - sum(_passing(w, w.width() - narrower) for w in passing)


def _passing(widget: QWidget, width: int) -> int:
    """Return the height that a widget takes now beyond what it has at any time."""
    parent = widget.parentWidget()
    layout = parent.layout() if parent is not None else None
    if widget.isHidden() or layout is None:
        return 0
    kept = widget.minimumHeight()
    wanted = max(kept, widget.heightForWidth(width))
    if wanted < 0:
        wanted = widget.sizeHint().height()
    return wanted - kept + (0 if kept else max(0, layout.spacing()))

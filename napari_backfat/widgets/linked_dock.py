"""Opens and closes the linked views where they take no width from the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget

from napari_backfat.widgets.linked_views import LinkedViews
from napari_backfat.widgets.memory import recall_flag, remember
from napari_backfat.widgets.plot_dock_sight import can_be_seen, dock_of, main_window_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.model.case import Case
    from napari_backfat.widgets.view_panel import ViewPanel

_TOPIC, _NAME = "view", "linked_views"
_TITLE = "Other planes"
_BESIDE = "layer controls"
_SHARE = 0.45  # of the window's height


class LinkedDock(QObject):
    """The dock of the linked views: at the left, in the place of napari's layer controls.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ViewPanel
        Its button opens and closes.

    Attributes
    ----------
    views : LinkedViews or None
        The views, once they were opened.
    """

    def __init__(self, viewer: Viewer, panel: ViewPanel) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self.views: LinkedViews | None = None
        self._dock: QDockWidget | None = None
        self._covered: QDockWidget | None = None
        self._case: tuple[Case, CaseLayers] | None = None
        panel.linked_clicked.connect(self.toggle)

    @property
    def keys(self) -> dict[str, Callable[[], object]]:
        """Key -> action, for binding."""
        return {"Shift-V": self.toggle}

    def restore(self) -> None:
        """Open the views if they were open when the program was last used."""
        if recall_flag(_TOPIC, _NAME):
            QTimer.singleShot(0, self.open)

    def attach(self, case: Case, layers: CaseLayers) -> None:
        """Follow this case."""
        self._case = case, layers
        if self._views_alive():
            assert self.views is not None
            self.views.attach(case, layers)

    def detach(self) -> None:
        """Let go of the case."""
        self._case = None
        if self._views_alive():
            assert self.views is not None
            self.views.detach()

    @property
    def is_seen(self) -> bool:
        """Whether the views are in sight now."""
        return self._views_alive() and self.views is not None and can_be_seen(self.views)

    def toggle(self) -> None:
        """Open the other two planes, or close them; it is remembered."""
        seen = self.is_seen
        if seen:
            self.close()
        else:
            self.open()
        remember(_TOPIC, _NAME, not seen)

    def open(self) -> None:
        """Bring the views into sight."""
        if not self._views_alive():
            self._make()
        assert self._dock is not None
        self._dock.show()
        if self._covered is not None:  # as a tab it would need a bar, and a small window grows
            self._covered.hide()
        self._dock.raise_()
        self._panel.set_linked(True)

    def close(self) -> None:
        """Take the views out of sight; what lay behind them comes back."""
        if self._dock is not None and self._views_alive():
            self._dock.hide()
        self._uncover()
        self._panel.set_linked(False)

    def _uncover(self) -> None:
        """Bring the layer controls back."""
        if self._covered is not None and isalive(self._covered):  # type: ignore[no-untyped-call]
            self._covered.show()

    def _views_alive(self) -> bool:
        """Whether there are views; napari's cross on the dock deletes them."""
        return self.views is not None and bool(isalive(self.views))  # type: ignore[no-untyped-call]

    def _make(self) -> None:
        self.views = LinkedViews(self._viewer)
        self.views.shown_changed.connect(self._panel.set_linked)
        self.views.destroyed.connect(self._uncover)
        self._viewer.window.add_dock_widget(self.views, name=_TITLE, area="left", tabify=False)
        dock = self._dock = dock_of(self.views)
        assert dock is not None  # napari has just put them into one
        window = main_window_of(dock)
        if window is not None:
            for other in window.findChildren(QDockWidget):
                if other.windowTitle() == _BESIDE and other.isVisible():
                    window.tabifyDockWidget(other, dock)
                    self._covered = other
            height = round(_SHARE * window.height())
            window.resizeDocks([dock], [height], Qt.Orientation.Vertical)
        if self._case is not None:
            self.views.attach(*self._case)

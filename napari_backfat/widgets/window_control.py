"""Ready-made contrast limits by key and list, remembered for each kind of image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_backfat.layers.case_layers import FAT_MAP
from napari_backfat.layers.window_drag import WindowDrag, set_limits
from napari_backfat.layers.windows import Window, fraction_windows, windows_of
from napari_backfat.widgets.memory import recall, remember

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_backfat.layers.case_layers import CaseLayers
    from napari_backfat.widgets.view_panel import ViewPanel

_TOPIC = "window"
BY_HAND = "by hand"


class WindowControl(QObject):
    """The contrast of the image on display.

    Parameters
    ----------
    viewer : napari.Viewer
        Its canvas takes the right mouse button.
    panel : ViewPanel
        Its list names the windows.
    """

    def __init__(self, viewer: Viewer, panel: ViewPanel) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._layers: CaseLayers | None = None
        self._drag: WindowDrag | None = None
        self._windows: dict[str, tuple[Window, ...]] = {}
        self._followed: list[tuple[Any, Any]] = []
        panel.window_chosen.connect(self.choose)

    @property
    def keys(self) -> dict[str, Callable[[], Any]]:
        """Key -> action, for binding."""
        return {"Shift-Q": self.next_window}

    @property
    def image(self) -> str | None:
        """Name of the image whose contrast is set: the uppermost on display."""
        if self._layers is None:
            return None
        shown = [n for n, layer in self._layers.images.items() if layer.visible]
        return shown[0] if shown else None

    @property
    def windows(self) -> tuple[Window, ...]:
        """What there is for the image on display."""
        name = self.image
        return self._of(name) if name is not None else ()

    def _of(self, name: str) -> tuple[Window, ...]:
        if name not in self._windows:
            assert self._layers is not None
            data = self._layers.images[name].data
            self._windows[name] = fraction_windows() if name == FAT_MAP else windows_of(data)
        return self._windows[name]

    def attach(self, layers: CaseLayers) -> None:
        """Work on this case, with the windows that were used last."""
        self._layers = layers
        self._drag = WindowDrag(self._viewer, layers)
        self.follow()

    def follow(self) -> None:
        """Follow the images that the case has now."""
        self._unfollow()
        if self._layers is None:
            return
        for name, layer in self._layers.images.items():
            known = name in self._windows
            wanted = recall(_TOPIC, name)
            if not known and wanted is not None:
                self._set(name, str(wanted))
            for event in (layer.events.contrast_limits, layer.events.visible):
                event.connect(self._show)
                self._followed.append((event, self._show))
        self._show()

    def _unfollow(self) -> None:
        for event, slot in self._followed:
            event.disconnect(slot)
        self._followed = []

    def detach(self) -> None:
        """Let go of the case."""
        self._unfollow()
        if self._drag is not None:
            self._drag.remove()
        self._layers = self._drag = None
        self._windows = {}
        self._panel.set_windows((), "")

    def choose(self, name: str) -> None:
        """Use one of `windows` for the image on display, and for images of its kind from now on."""
        image = self.image
        if image is not None and self._set(image, name):
            remember(_TOPIC, image, name)

    def next_window(self) -> None:
        """Use the next ready-made window for the image on display."""
        names = [w.name for w in self.windows]
        if not names:
            return
        now = self._present()
        position = names.index(now) if now in names else -1
        self.choose(names[(position + 1) % len(names)])

    def _set(self, image: str, name: str) -> bool:
        for window in self._of(image):
            if window.name == name:
                assert self._layers is not None
                set_limits(self._layers.images[image], window.low, window.high)
                return True
        return False

    def _present(self) -> str:
        """Name the window in force; limits that nobody named are set by hand."""
        image = self.image
        if image is None or self._layers is None:
            return ""
        low, high = self._layers.images[image].contrast_limits
        for window in self._of(image):
            near = 1e-3 * (window.high - window.low)
            if abs(window.low - low) < near and abs(window.high - high) < near:
                return window.name
        return BY_HAND

    def _show(self, _: Any = None) -> None:
        self._panel.set_windows(self.windows, self._present())

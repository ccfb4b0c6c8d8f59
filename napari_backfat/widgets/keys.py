"""The keys of the review, bound in the viewer and on the mask layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari import Viewer
    from napari.layers import Labels


@dataclass(frozen=True)
class Hold:
    """What a key does while it is held.

    Attributes
    ----------
    press, release : callable
        At both ends. A key that repeats itself while it is held counts once.
    """

    press: Callable[[], Any]
    release: Callable[[], Any]


class Keys:
    """Binds keys in a viewer, and on mask layers, which would otherwise take them first.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.

    Attributes
    ----------
    texts : dict of str to str
        Every key, with the first line of its action's documentation where there is one.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._handlers: dict[str, Callable[[Any], Any]] = {}
        self.texts: dict[str, str] = {}

    def bind(self, keys: Mapping[str, Callable[[], Any] | Hold], *, again: bool = False) -> None:
        """Bind keys in the viewer, and on layers that come later.

        Parameters
        ----------
        keys : mapping of str to callable or Hold
            Key -> action.
        again : bool
            Keys that have a meaning already get this one instead.

        Raises
        ------
        ValueError
            If a key has a meaning already, unless `again`.
        """
        for key, action in keys.items():
            if key in self._handlers and not again:
                raise ValueError(f"the key {key} is bound twice")
            handler = _held(action) if isinstance(action, Hold) else _handler(action)
            self._handlers[key] = handler
            self.texts[key] = _first_line(action.press if isinstance(action, Hold) else action)
            self._viewer.bind_key(key, handler, overwrite=True)

    def bind_layer(self, layer: Labels) -> None:
        """Bind all keys on a layer too."""
        for key, handler in self._handlers.items():
            layer.bind_key(key, handler, overwrite=True)

    def release(self) -> None:
        """Give the keys back to napari."""
        for key in self._handlers:
            self._viewer.bind_key(key, None)
        self._handlers = {}


def _handler(action: Callable[[], Any]) -> Callable[[Any], None]:
    def handle(_: Any) -> None:
        action()

    return handle


def _held(action: Hold) -> Callable[[Any], Iterator[None]]:
    def handle(_: Any) -> Iterator[None]:
        action.press()
        yield
        action.release()

    return handle


def _first_line(action: Callable[[], Any]) -> str:
    """Say what an action does, from the first line of its documentation."""
    text = (getattr(getattr(action, "func", action), "__doc__", None) or "").strip()
    return text.splitlines()[0] if text else ""

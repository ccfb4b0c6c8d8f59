"""How layers ask for something to happen a little later, without knowing about Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Scheduler(Protocol):
    """Runs a callback later on the main thread."""

    def __call__(self, key: str, delay_ms: int, callback: Callable[[], object]) -> None:
        """Run `callback` within `delay_ms`.

        Parameters
        ----------
        key : str
            While one callback of this key is waiting, further ones are dropped (a throttle).
        delay_ms : int
            Longest wait in milliseconds.
        callback : callable
            Called without arguments.
        """


def immediately(key: str, delay_ms: int, callback: Callable[[], object]) -> None:
    """Schedule for programs without an event loop: no waiting at all."""
    callback()

"""Qt timers for the layers' `Scheduler`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable


class QtScheduler(QObject):
    """Runs callbacks on the main thread after a delay, at most one waiting per key."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[str, QTimer] = {}

    def __call__(self, key: str, delay_ms: int, callback: Callable[[], object]) -> None:
        """Run `callback` within `delay_ms`, or a waiting one of this key as early as that."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            if waiting.remainingTime() > delay_ms:
                waiting.start(delay_ms)
            return
        timer = QTimer(self)
        timer.setSingleShot(True)

        def fire() -> None:
            self._waiting.pop(key, None)
            timer.deleteLater()
            callback()

        timer.timeout.connect(fire)
        self._waiting[key] = timer
        timer.start(delay_ms)

    def stop(self) -> None:
        """Forget everything that waits."""
        for timer in self._waiting.values():
            timer.stop()
            timer.deleteLater()
        self._waiting.clear()

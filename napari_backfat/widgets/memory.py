"""What the window remembers from one sitting to the next."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSettings

_PROGRAM = "napari-backfat"


def recall(topic: str, name: str, default: Any = None) -> Any:
    """Return a remembered value as text, number or what Qt makes of it; `default` without one."""
    value = QSettings(_PROGRAM, topic).value(name)
    return default if value is None else value


def recall_flag(topic: str, name: str, default: bool = False) -> bool:
    """Return a remembered yes or no; files keep it as text."""
    return str(recall(topic, name, default)).lower() in ("true", "1")


def remember(topic: str, name: str, value: Any) -> None:
    """Remember a value."""
    QSettings(_PROGRAM, topic).setValue(name, value)

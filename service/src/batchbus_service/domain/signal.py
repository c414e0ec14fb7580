"""A signal inside a process: a part says that something has happened, and does not know which parts it concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Signal"]

_T = TypeVar("_T")


class Signal(Generic[_T]):
    """Calls every listener with the value, in the order in which they were connected, before `send` returns."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[_T], None]] = []

    def connect(self, listener: Callable[[_T], None]) -> None:
        """For as long as the signal exists. A listener must not raise, and must not wait for anything."""
        self._listeners.append(listener)

    def send(self, value: _T) -> None:
        for listener in self._listeners:
            listener(value)

"""Noticing that nothing comes: from a thread of its own, since the one that reads is held up by reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Silence", "span"]


def span(seconds: float) -> str:
    """A span of time in one number: `45 s`, `3 min`."""
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


class Silence:
    """Calls `noticed` with the seconds since something was heard last: after `after` of them, twice as many, and so on."""

    def __init__(self, noticed: Callable[[float], None], *, after: float) -> None:
        self._noticed = noticed
        self._after = after
        self._changed = threading.Condition()
        self._heard = 0
        self._ended = False
        self._thread = threading.Thread(target=self._listen, name="silence", daemon=True)

    def __enter__(self) -> Silence:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def broken(self) -> None:
        """Something was heard."""
        with self._changed:
            self._heard += 1
            self._changed.notify_all()

    def _listen(self) -> None:
        with self._changed:
            while not self._ended:
                self._listen_from(self._heard)

    def _listen_from(self, heard: int) -> None:
        since, wait = time.monotonic(), self._after
        while not self._changed.wait_for(lambda: self._ended or self._heard != heard, wait):
            silent = time.monotonic() - since
            self._noticed(silent)
            wait = silent

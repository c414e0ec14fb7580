"""Waiting within a run, in a thread or on an event loop, so that a cancellation ends it at once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

    from batchbus_strategies.strategy import JobRun

__all__ = ["CURRENT_RUN", "Interruption", "Yields", "in_a_loop", "pause", "pause_blocking"]

CURRENT_RUN: Final[ContextVar[JobRun[BaseModel] | None]] = ContextVar("batchbus_run", default=None)
"""The run that a strategy's method works on; None outside of a run, as in `prepare`."""

Waited = concurrent.futures.Future[Any]


class Interruption:
    """Ends every wait of one run, from whatever thread. A wait ends without an error: the waiting one looks why."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: set[concurrent.futures.Future[None]] = set()
        self._is_set = False

    def set(self) -> None:
        """End all waits, those that begin later included."""
        with self._lock:
            self._is_set = True
            for wait in self._waits:
                _end(wait)

    def clear(self) -> None:
        """Let waits that begin from now on last."""
        with self._lock:
            self._is_set = False

    async def wait(self, *, seconds: float | None = None, until: Waited | None = None) -> None:
        """Wait for so long, or until something is done, on the running event loop."""
        with self._one(until) as wait:
            await asyncio.wait([asyncio.wrap_future(wait)], timeout=seconds)

    def wait_blocking(self, *, seconds: float | None = None, until: Waited | None = None) -> None:
        """As `wait`, in a thread."""
        with self._one(until) as wait, suppress(TimeoutError):
            wait.result(seconds)

    @contextmanager
    def _one(self, until: Waited | None) -> Iterator[concurrent.futures.Future[None]]:
        wait: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._lock:
            self._waits.add(wait)
            if self._is_set:
                _end(wait)
        if until is not None:
            until.add_done_callback(lambda _: _end(wait))
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.discard(wait)


def in_a_loop() -> bool:
    """Whether an `async def` strategy calls; a plain `def` is in a thread of its own, without an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Yields:
    """Awaiting it lets the other runs on the loop have their turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def pause(seconds: float) -> None:
    """Sleep in an `async def`. Within a run, a cancellation or a lost lease surfaces at once."""
    run = CURRENT_RUN.get()
    await (asyncio.sleep(seconds) if run is None else run.sleep(seconds))


def pause_blocking(seconds: float) -> None:
    """As `pause`, in a thread of its own."""
    run = CURRENT_RUN.get()
    if run is None:
        time.sleep(seconds)
    else:
        run.sleep(seconds)


def _end(wait: concurrent.futures.Future[None]) -> None:
    """Two threads may end it at the same moment, and who waits may have given it up."""
    with suppress(concurrent.futures.InvalidStateError):
        wait.set_result(None)

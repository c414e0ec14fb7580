"""Worker processes for tests to stop, kill, freeze and thaw. Each is a fork (see `tests.forking`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from batchbus_service.app.bootstrap import Timeouts
from tests.engine import worker_main
from tests.forking import FORKING

__all__ = ["WorkerProcess"]

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0


class WorkerProcess:
    """One `tests.engine.worker_main`. Use `WorkerProcess.start`."""

    def __init__(self, process: ForkServerProcess, log: Path) -> None:
        self._process = process
        self._log = log
        self._over = asyncio.create_task(_readable(process.sentinel), name="waiting for a worker to end")

    @classmethod
    @asynccontextmanager
    async def start(cls, environment: Mapping[str, str], log: Path, timeouts: Timeouts) -> AsyncIterator[WorkerProcess]:
        """A worker that takes triggers; killed when the context is left, if it still lives."""
        ready, says_ready = FORKING.Pipe(duplex=False)
        arguments = ({**os.environ, **environment}, log, timeouts, says_ready)
        process = FORKING.Process(target=worker_main.run, args=arguments, daemon=True)
        await asyncio.to_thread(process.start)
        says_ready.close()
        worker = cls(process, log)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _readable(ready.fileno())
            try:
                ready.recv()
            except EOFError:
                raise AssertionError(f"The worker did not start:\n{log.read_text()}") from None
            yield worker
        finally:
            ready.close()
            await worker.kill()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    async def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        self._signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self, *, within: float | None = _STOP_SECONDS) -> int:
        """Wait until it has ended by itself, for so many seconds or for ever. Returns the exit code."""
        async with asyncio.timeout(within):
            await asyncio.shield(self._over)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    async def kill(self) -> None:
        """`kill -9`, and wait."""
        with contextlib.suppress(ProcessLookupError):
            self._signal(signal.SIGKILL)
        await self.ended()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self._over.done():
            os.kill(self.pid, number)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        lines = (json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]


async def _readable(file: int) -> None:
    """Until the file has something to read, or its other end is closed."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(file)

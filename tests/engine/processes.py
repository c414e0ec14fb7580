"""Worker processes for tests to stop, kill, freeze and thaw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["WorkerProcess"]

_ROOT: Final = Path(__file__).parents[2]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0


class WorkerProcess:
    """One `tests.engine.worker_main`. Use `WorkerProcess.start`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    @asynccontextmanager
    async def start(cls, environment: Mapping[str, str], log: Path) -> AsyncIterator[WorkerProcess]:
        """A worker that takes triggers; killed when the context is left, if it still lives."""
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.engine.worker_main", "--tied"),
                cwd=_ROOT,
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        worker = cls(process, log)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(_START_SECONDS):
                ready = await process.stdout.readline()
            assert ready == b"ready\n", f"The worker did not start:\n{log.read_text()}"
            yield worker
        finally:
            await worker.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self, *, within: float | None = _STOP_SECONDS) -> int:
        """Wait until it has ended by itself, for so many seconds or for ever. Returns the exit code."""
        async with asyncio.timeout(within):
            return await self._process.wait()

    async def kill(self) -> None:
        """`kill -9`, and wait."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with this event."""
        lines = (json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

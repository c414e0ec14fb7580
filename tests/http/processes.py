"""`batchbus up` and `batchbus serve` as processes of their own: for tests that measure, freeze or kill a server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from tests.environment import without_settings

__all__ = ["ServerProcess"]

_COMMAND: Final = Path(sys.executable).with_name("batchbus")
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60.0


class ServerProcess:
    """Use `ServerProcess.start`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, token: str) -> None:
        self._process = process
        self.url = url
        self.token = token
        """Of an administrator."""

    @classmethod
    @asynccontextmanager
    async def start(
        cls, command: Literal["up", "serve"], environment: Mapping[str, str], log: Path
    ) -> AsyncIterator[ServerProcess]:
        """A server that answers; killed when the context is left, if it still lives."""
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(_COMMAND, command, "--create-admin", f"{uuid4().hex}@example.com"),
                env={**without_settings(), "BATCHBUS_HTTP_PORT": "0", "COLUMNS": "200", **environment},
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        try:
            assert process.stdout is not None
            banner = ""
            async with asyncio.timeout(_START_SECONDS):
                while "Ctrl-C" not in banner:
                    line = await process.stdout.readline()
                    assert line, f"The server did not start:\n{banner}{log.read_text()}"
                    banner += line.decode()
            url, token = re.search(r"http://\S+[^;\s]", banner), re.search(r"once:\s+(\S+)", banner)
            assert url and token, banner
            yield cls(process, url[0], token[1])
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def peak_memory(self) -> int:
        """The most memory that was resident, in bytes, since the process began."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024

    async def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_SECONDS):
            return await self._process.wait()

    async def kill(self) -> None:
        """`kill -9`, and wait."""
        self._process.kill()
        await self._process.wait()

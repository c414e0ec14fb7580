"""A job of 10,000 steps, followed by 200 readers and by none, in turn: what the readers cost the job, and the server.

Progress is published as often as can be set. The readers are a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.benchmarks.ground import Ground
from tests.http.conftest import BATCH_TYPES
from tests.http.processes import ServerProcess

__all__ = ["run"]

READERS: Final = 200
STEPS: Final = {"steps": 10_000, "seconds": 0.0005}
ROUNDS: Final = 3
_MIB: Final = 1024**2
_LIFECYCLE: Final = 5


async def run(ground: Ground) -> None:
    print(f"\nA job of {STEPS['steps']:,} steps, with {READERS} readers and without ({ROUNDS} rounds, medians)")
    for apart in (False, True):
        async with _Measured.open(ground, apart=apart) as measured:
            await measured.seconds(0)
            before = measured.server.peak_memory()
            rounds = [(await measured.seconds(0), await measured.seconds(READERS)) for _ in range(ROUNDS)]
            without, followed = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
            grown = (measured.server.peak_memory() - before) / _MIB
        print("  server and worker apart, on RabbitMQ" if apart else "  server and worker in one process")
        print(f"    without       {without:6.2f} s")
        print(f"    with readers  {followed:6.2f} s")
        print(f"    ratio         {followed / without:6.2f} of the time (aim: 1.10 or less)")
        print(f"    peak memory   {grown:6.1f} MiB more, {grown / READERS * 1024:.0f} KiB a reader, after all rounds")


@dataclass(frozen=True)
class _Measured:
    server: ServerProcess
    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, ground: Ground, *, apart: bool) -> AsyncIterator[_Measured]:
        async with ground.installation() as installation, AsyncExitStack() as stack:
            settings: dict[str, Any] = {
                "strategies_dir": BATCH_TYPES,
                "progress_interval_seconds": 0.01,
                "log_level": "warning",
            }
            environment = installation.environment(**settings, lease_seconds=30, jwt_secret="of this run alone")
            if apart:
                await stack.enter_async_context(installation.worker_process(**settings, lease_seconds=30))
            else:
                del environment["BATCHBUS_AMQP_URL"]
            starting = ServerProcess.start("serve" if apart else "up", environment, installation.folder / "server.log")
            server = await stack.enter_async_context(starting)
            headers = {"x-medusa-access-token": server.token}
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60))
            yield cls(server, http)

    async def seconds(self, readers: int) -> float:
        """How long a job was processed. Raises `AssertionError` unless every reader got the end."""
        created = await self.http.post("/admin/batch-jobs", json={"type": "steps", "context": STEPS, "dry_run": True})
        path = f"/admin/batch-jobs/{created.raise_for_status().json()['batch_job']['id']}"
        await self._until(path, "batch.pre_processed")
        following = await self._follow(f"{path}/events", readers) if readers else None
        (await self.http.post(f"{path}/confirm")).raise_for_status()
        if following:
            out, _ = await following.communicate()
            told = json.loads(out)
            assert told["ended"] == readers and told["events"] > readers * _LIFECYCLE, told
        await self._until(path, "batch.completed")
        job = (await self.http.get(path)).json()["batch_job"]
        begun, ended = (datetime.fromisoformat(job[f"{status}_at"]) for status in ("processing", "completed"))
        return (ended - begun).total_seconds()

    async def _until(self, path: str, event: str) -> None:
        async with self.http.stream("GET", f"{path}/events") as answer:
            async for line in answer.aiter_lines():
                if line == f"event: {event}":
                    return
        raise AssertionError(f"the stream ended before {event}")

    async def _follow(self, path: str, readers: int) -> asyncio.subprocess.Process:
        url = urlsplit(self.server.url)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.benchmarks.readers"),
            *(str(url.hostname), str(url.port), path, self.server.token, str(readers)),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

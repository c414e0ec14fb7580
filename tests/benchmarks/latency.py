"""How long people and jobs wait: from a cancellation over HTTP to the end of the run, and from a worker to the next one.

Measured from outside, by the events that a subscriber gets. Beside it, for scale: a whole job that does nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from tests.benchmarks.ground import Ground
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess
from tests.http.processes import ServerProcess

__all__ = ["run"]

_RUNS: Final = 20
_CHUNK: Final = 0.05
_SLOTS: Final = 4
_LEASE: Final = 3.0
_ROUNDS: Final = 5


async def run(ground: Ground) -> None:
    async with ground.installation() as installation:
        settings: dict[str, Any] = {"lease_seconds": 30, "worker_slots": _SLOTS, "log_level": "warning"}
        async with installation.worker_process(**settings):
            whole = [await _whole_job(installation) for _ in range(_RUNS)]
            canceled = await _cancellations(installation)
    async with ground.installation() as installation:
        stopped = [wait for _ in range(_ROUNDS) for wait in await _handed_over(installation, kill=False)]
    async with ground.installation() as installation:
        killed = [wait - _LEASE for _ in range(2) for wait in await _handed_over(installation, kill=True)]
    print(f"\nLatency ({len(canceled)} cancellations, {len(stopped)} runs handed over, {len(killed)} after a kill)")
    _tell("a whole job that does nothing", whole, None)
    _tell(f"from HTTP cancel to the run's end, chunks of {_CHUNK * 1000:g} ms", canceled, 0.3)
    _tell("from SIGTERM to the next worker's first chunk", stopped, 1.0)
    _tell("from kill -9 to that, less the lease", killed, 1.0)


def _tell(what: str, seconds: Sequence[float], aim: float | None) -> None:
    ordered = sorted(seconds)
    at_99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    wanted = f" (aim: {aim * 1000:g})" if aim else ""
    print(f"  {what:<58} p50 {statistics.median(ordered) * 1000:6.0f} ms, p99 {at_99 * 1000:6.0f} ms{wanted}")


async def _whole_job(installation: Installation) -> float:
    began = time.monotonic()
    job_id = await installation.create("noop")
    await installation.followed.event("batch.completed", job_id)
    return time.monotonic() - began


async def _cancellations(installation: Installation) -> list[float]:
    environment = installation.environment(lease_seconds=30, jwt_secret="of this run alone", log_level="warning")
    async with ServerProcess.start("serve", environment, installation.folder / "server.log") as server:
        headers = {"x-medusa-access-token": server.token}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
            waits: list[float] = []
            while len(waits) < _RUNS:
                jobs = [await installation.create("chunks", chunks=100_000, seconds=_CHUNK) for _ in range(_SLOTS)]
                for job_id in jobs:
                    await installation.followed.message(job_id, "chunk 1")
                for job_id in jobs:
                    began = time.monotonic()
                    (await http.post(f"/admin/batch-jobs/{job_id}/cancel")).raise_for_status()
                    await installation.followed.event("batch.updated", job_id)
                    waits.append(time.monotonic() - began)
            return waits


async def _handed_over(installation: Installation, *, kill: bool) -> list[float]:
    """From a worker whose slots are full to one whose slots are free."""
    settings: dict[str, Any] = {"lease_seconds": _LEASE, "worker_slots": _SLOTS, "log_level": "warning"}
    async with installation.worker_process(**settings) as first:
        jobs = [await installation.create("chunks", chunks=100_000, seconds=_CHUNK) for _ in range(_SLOTS)]
        for job_id in jobs:
            await installation.followed.message(job_id, "chunk 1")
        async with installation.worker_process(**settings):
            began = time.monotonic()
            ending = asyncio.create_task(_end(first, kill=kill))
            waits = await asyncio.gather(*(_next_run(installation, job_id, began) for job_id in jobs))
            await ending
            for job_id in jobs:
                await installation.cancel(job_id)
            await installation.followed.every("batch.canceled", jobs)
    return list(waits)


async def _end(worker: WorkerProcess, *, kill: bool) -> None:
    if kill:
        await worker.kill()
    else:
        await worker.stop()


async def _next_run(installation: Installation, job_id: str, began: float) -> float:
    """Until the second run of the job is heard of."""
    followed = installation.followed
    seen = len(followed.all("batch.progress", job_id))
    await followed.until(lambda: any(event.data["run"] == 2 for event in followed.all("batch.progress", job_id)[seen:]))
    return time.monotonic() - began

"""How long people wait: from a cancellation over HTTP to the end of the run.

Measured from outside, by the events that a subscriber gets. Beside it, for scale: a whole job that does nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from tests.benchmarks.ground import Ground
from tests.engine.installation import Installation
from tests.http.processes import ServerProcess

__all__ = ["run"]

_RUNS: Final = 20
_CHUNK: Final = 0.05
_SLOTS: Final = 4


async def run(ground: Ground) -> None:
    async with ground.installation() as installation:
        settings: dict[str, Any] = {"lease_seconds": 30, "worker_slots": _SLOTS, "log_level": "warning"}
        async with installation.worker_process(**settings):
            whole = [await _whole_job(installation) for _ in range(_RUNS)]
            canceled = await _cancellations(installation)
    print(f"\nLatency ({len(canceled)} cancellations)")
    _tell("a whole job that does nothing", whole, None)
    _tell(f"from HTTP cancel to the run's end, chunks of {_CHUNK * 1000:g} ms", canceled, 0.3)


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

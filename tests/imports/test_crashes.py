"""A worker is killed, or frozen past its lease, at many moments of an import: another finishes it, with the same end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Literal

import pytest

from batchbus_service.domain.job import Status
from tests.engine.installation import Installation
from tests.engine.processes import WorkerProcess
from tests.imports.catalogue import contents, put_sample, seed_catalogue
from tests.long import LONG

pytestmark = [pytest.mark.rabbitmq, pytest.mark.slow, pytest.mark.timeout(900)]

Loss = Literal["kill", "freeze"]

ROWS: Final = 5000 if LONG else 1000
MOMENTS: Final[Mapping[Loss, Sequence[float]]] = (
    {how: [(number + 0.5) / 20 for number in range(20)] for how in ("kill", "freeze")}
    if LONG
    else {"kill": [0.75], "freeze": [0.25]}
)


class Crew:
    """Three worker processes; one that is lost is replaced while the others go on."""

    def __init__(self, installation: Installation, stack: AsyncExitStack) -> None:
        self._installation = installation
        self._stack = stack
        self._workers: dict[int, WorkerProcess] = {}
        self._replacing: asyncio.Task[None] | None = None

    async def hire(self) -> None:
        worker = await self._stack.enter_async_context(
            self._installation.worker_process(lease_seconds=1, progress_interval_seconds=0.02)
        )
        self._workers[worker.pid] = worker

    async def running(self, job_id: str) -> WorkerProcess | None:
        """Whoever holds the lease on the job; None if nobody does, because it has ended meanwhile."""
        job = await self._installation.job(job_id)
        return self._workers[int(job.lease.worker.split("-")[-2])] if job.lease else None

    async def lose(self, worker: WorkerProcess, how: Loss) -> None:
        if how == "kill":
            await worker.kill()
        else:
            worker.freeze()

    async def replace(self, worker: WorkerProcess, how: Loss) -> None:
        """A frozen worker goes on, and has written whatever it was about to write once it has stopped."""
        if how == "freeze":
            worker.thaw()
            await worker.stop()
        del self._workers[worker.pid]
        if self._replacing:
            await self._replacing
        self._replacing = asyncio.create_task(self.hire())

    async def complete(self) -> None:
        if self._replacing:
            await self._replacing


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_an_import_ends_the_same_whenever_its_worker_is_lost(how: Loss, installation: Installation) -> None:
    await seed_catalogue(installation)
    key = await put_sample(installation.folder, "sample.csv", rows=ROWS)
    async with AsyncExitStack() as stack:
        crew = Crew(installation, stack)
        for _ in range(3):
            await crew.hire()
        undisturbed = await _import(installation, await installation.create("product-import", fileKey=key))
        for moment in MOMENTS[how]:
            await installation.catalog.drop_collection("products")
            job_id = await installation.create("product-import", fileKey=key)
            await _until(installation, job_id, moment)
            worker = await crew.running(job_id)
            if worker:
                await crew.lose(worker, how)
            imported = await _import(installation, job_id)
            if worker:
                await crew.replace(worker, how)
                imported = await contents(installation)
            assert imported == undisturbed, f"{how} at {moment:.0%}"
        await crew.complete()


async def _until(installation: Installation, job_id: str, moment: float) -> None:
    """`moment`: up to 0.5 lies in pre-processing, from there on in processing."""
    phase, part = ("pre_process", moment * 2) if moment < 0.5 else ("process", moment * 2 - 1)
    over = "batch.processing" if phase == "pre_process" else "batch.completed"

    def reached() -> bool:
        shares = [
            float(str(event.data.get("progress", 0.0)))
            for event in installation.followed.all("batch.progress", job_id)
            if event.data["phase"] == phase
        ]
        return max(shares, default=-1.0) >= part or bool(installation.followed.all(over, job_id))

    await installation.followed.until(reached, patience=60)


async def _import(installation: Installation, job_id: str) -> list[dict[str, Any]]:
    """What it has left in the catalogue, once it is over and every event of it has arrived, in order."""
    await installation.followed.event("batch.completed", job_id, patience=120)
    job = await installation.job(job_id)
    assert job.status is Status.COMPLETED
    assert job.result is not None and job.result.advancement_count == job.result.count
    await installation.followed.until(lambda: installation.followed.sequence(job_id)[-1:] == [len(job.history)])
    assert installation.followed.sequence(job_id) == [entry.seq for entry in job.history]
    return await contents(installation)

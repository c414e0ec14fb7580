"""The engine alone: no-op jobs on a bus and a store in memory, in processor time, beside what cannot be left out.

On virtual time, so that nothing is waited for: what is measured is what the engine itself does for a job. Beside it stands
a script that makes the same documents and events, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog

from batchbus_events import topics
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.journal import messages
from batchbus_service.storage.mongo.codec import encoded
from batchbus_service.storage.mongo.document import to_document, update_of
from batchbus_strategies import AnyContext, BatchStrategy, JobRun
from tests.benchmarks.ground import Ground
from tests.engine.virtual_time import run_virtually
from tests.engine.world import World

__all__ = ["run"]

JOBS: Final = 2000
SIDE_BY_SIDE: Final = 8
ROUNDS: Final = 3


class Noop(BatchStrategy[AnyContext]):
    """Does nothing."""

    identifier = "noop-strategy"
    batch_type = "noop"

    async def process(self, run: JobRun[AnyContext]) -> None:
        """Nothing at all."""


async def run(_: Ground) -> None:
    """The servers take no part."""
    print(f"\nThe engine alone, without broker and database ({ROUNDS} rounds of {JOBS} no-op jobs, the best of each)")
    rounds = [await asyncio.to_thread(_measured) for _ in range(ROUNDS)]
    bare, engine = (min(times) for times in zip(*rounds, strict=True))
    print(f"    documents and events   {1000 * bare:6.2f} ms of processor time a job")
    print(f"    batchbus               {1000 * engine:6.2f} ms: {1 / engine:,.0f} jobs/s on one core (aim: 1,500)")
    print(f"    ratio                  {engine / bare:6.1f}")


def _measured() -> tuple[float, float]:
    """Seconds of processor time a job: of the bare script, and of the engine."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        return run_virtually(_bare()) / JOBS, run_virtually(_engine()) / JOBS
    finally:
        structlog.configure(**before)


async def _bare() -> float:
    decider, cause = Decider(Policy(), new_ulid), Cause()
    async with MemoryBus() as bus:
        began = time.thread_time()
        for _ in range(JOBS):
            now = datetime.now(UTC)
            request = NewJob(
                id=new_job_id(), type="noop", context={}, dry_run=False, created_by="b", request_digest="d" * 64
            )
            created = decider.claim(decider.create(request, now, cause), "bare", now)
            going = decider.pre_processed(created, now, cause, go_on=True)
            done = decider.completed(going, now, cause)
            for document in (to_document(created), update_of(created, going), update_of(going, done)):
                encoded(document)
            for entry in done.history:
                await bus.publish(topics.EVENTS, messages.lifecycle(done, entry))
        return time.thread_time() - began


async def _engine() -> float:
    world = World(Random(1), lambda _: Noop(), chance=0.0, slowest=0.0)
    async with world.bus:
        await world.listen()
        await world.start_process()
        numbers = iter(range(JOBS))

        async def caller() -> None:
            for number in numbers:
                await world.trigger("created", f"batch_{number:026d}", f"t{number}", type="noop", dry_run=False)

        began = time.thread_time()
        await asyncio.gather(*(caller() for _ in range(SIDE_BY_SIDE)))
        while not all(job.terminal for job in world.store.jobs.values()):  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(0.1)
        return time.thread_time() - began

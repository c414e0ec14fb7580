"""What each call of the job store takes with few and with many stored jobs, of which nothing is left to do."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from batchbus_events.ids import new_ulid
from batchbus_service.domain.lifecycle import Cause, Decider, Policy
from batchbus_service.domain.ports import Renewal
from batchbus_service.domain.result import JobResult
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.jobs import MongoJobStore
from tests.benchmarks.ground import Ground
from tests.engine.stored import new_request, store_done_jobs

__all__ = ["run"]

FEW: Final = 1_000
MANY: Final = 20_000
ROUNDS: Final = 50

T = TypeVar("T")


async def run(ground: Ground) -> None:
    print(f"\nCalls of the job store, on {ground.database} (medians of {ROUNDS} rounds, in milliseconds)")
    took = {}
    for stored in (FEW, MANY):
        async with ground.installation() as installation:
            await installation.store.prepare()
            await store_done_jobs(installation.database, stored)
            took[stored] = await _measure(installation.store)
    for call, few in took[FEW].items():
        many = took[MANY][call]
        print(f"  {call:10} {FEW:,} stored {few:6.2f}   {MANY:,} stored {many:6.2f}   ratio {many / few:5.2f}")


async def _measure(store: MongoJobStore) -> Mapping[str, float]:
    """Milliseconds of each call, around the life of one job after the other."""
    clock, decider = SystemClock(), Decider(Policy(), new_ulid)
    took: dict[str, list[float]] = defaultdict(list)

    async def timed(call: str, made: Awaitable[T]) -> T:
        started = time.perf_counter()
        answer = await made
        took[call].append(1000 * (time.perf_counter() - started))
        return answer

    for _ in range(ROUNDS):
        now = clock.now()
        job = decider.create(new_request(), now, Cause())
        await timed("insert", store.insert(job))
        (waiting,) = await timed("waiting", store.waiting("pre_process", "noop", until=clock.now(), want=32))
        claimed = decider.claim(waiting, "benchmark", now)
        assert await timed("update", store.update(waiting, claimed))
        renewal = Renewal(job_id=job.id, fence=1, expires_at=now, result=JobResult(count=1), published=1)
        assert await timed("beat", store.renew(renewal))
        assert await timed("get", store.get(job.id))
        await timed("ringing", store.due(until=clock.now(), want=100))
        settled = replace(claimed, published=1, wake_at=None)
        await timed("settle", store.settle([settled]))
    return {call: statistics.median(times) for call, times in took.items()}

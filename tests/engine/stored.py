"""A database that has seen many jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorDatabase

from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.document import to_document

__all__ = ["new_request", "store_done_jobs", "store_waiting_jobs"]

_AT_A_TIME: Final = 1_000


def new_request() -> NewJob:
    return NewJob(
        id=new_job_id(), type="noop", context={}, dry_run=False, created_by="bus:/tests", request_digest="d" * 64
    )


async def store_waiting_jobs(
    database: AsyncIOMotorDatabase[dict[str, Any]], owner: str, count: int, *, seconds_ago: float
) -> list[str]:
    """Jobs of a user whose process ended before it had published them, and that no worker has taken. Returns their ids."""
    decider = Decider(Policy(), new_ulid)
    at = SystemClock().now() - timedelta(seconds=seconds_ago)
    made = [decider.create(replace(new_request(), created_by=owner), at, Cause()) for _ in range(count)]
    await database.jobs.insert_many([to_document(job) for job in made])
    return [job.id for job in made]


async def store_done_jobs(database: AsyncIOMotorDatabase[dict[str, Any]], count: int) -> None:
    """Jobs of yesterday, as they are when all is over."""
    jobs = _done_jobs(count)
    while some := [to_document(job) for job in islice(jobs, _AT_A_TIME)]:
        await database.jobs.insert_many(some)


def _done_jobs(count: int) -> Iterator[Job]:
    decider = Decider(Policy(), new_ulid)
    yesterday = SystemClock().now() - timedelta(days=1)
    for _ in range(count):
        job = decider.claim(decider.create(new_request(), yesterday, Cause()), "old", yesterday)
        job = decider.pre_processed(job, yesterday, Cause(), go_on=True)
        job = decider.completed(job, yesterday, Cause())
        yield replace(job, published=len(job.history), wake_at=None)

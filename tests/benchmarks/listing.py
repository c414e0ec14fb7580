"""Lists of jobs: what a page and its total take among few and among many, and what the indexes for them cost a write.

On a server of one's own, `BATCHBUS_BENCH_MONGODB_URL`, many are a million, and its explain tells what it reads.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Final

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import WriteConcern

from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.domain.job import TERMINAL, Job, Status
from batchbus_service.domain.lifecycle import Cause, Decider, Policy
from batchbus_service.domain.listing import Listing
from batchbus_service.http.medusa.listing import read_listing
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.document import to_document, update_of
from batchbus_service.storage.mongo.driver import Document
from batchbus_service.storage.mongo.indexes import ENGINE, INDEXES
from batchbus_service.storage.mongo.listings import MongoJobListings
from tests.benchmarks.ground import Ground
from tests.engine.stored import new_request
from tests.http.sent import Sent, explained

__all__ = ["run"]

FEW: Final = 1_000
MANY: Final = 20_000
MANY_ON_A_SERVER: Final = 1_000_000
ROUNDS: Final = 3
WRITTEN: Final = 200
MEMBER: Final = "usr_member"
"""Who made one job in a hundred."""
LISTS: Final[Mapping[str, tuple[str | None, str]]] = {
    "a member's": (MEMBER, ""),
    "a member's failed": (MEMBER, "status[]=failed"),
    "a member's by their end": (MEMBER, "order=-completed_at"),
    "all": (None, ""),
    "all, the oldest": (None, "order=created_at"),
    "all, half-way down": (None, "offset={half}"),
    "all of one type": (None, "type[]=noop-1"),
    "all of the last day": (None, "created_at[gt]={yesterday:%Y-%m-%dT%H:%M:%SZ}"),
    "all that failed": (None, "status[]=failed"),
    "all that run": (None, "status[]=processing&status[]=created"),
    "all never confirmed": (None, "confirmed_at=null"),
    "all by status": (None, "order=status"),
    "all by last change": (None, "order=-updated_at"),
    "all by their end": (None, "order=-completed_at"),
}
"""By what they show: who asks, an operator if nobody, and for what."""

_DURABLE: Final = WriteConcern(w="majority", j=True)


@dataclass(frozen=True)
class Took:
    """Milliseconds of a page, the first time, when its total is counted, and later; and what was read to find it."""

    first: float
    page: float
    keys: int
    documents: int


async def run(ground: Ground) -> None:
    many = MANY if ground.embedded else MANY_ON_A_SERVER
    print(f"\nLists of jobs, on {ground.database} (medians of {ROUNDS} pages, in milliseconds)")
    few_took, few_read = await _measured(ground, FEW)
    took, read = await _measured(ground, many)
    print(f"  one job by its id         {FEW:,} stored {few_read:7.2f}   {many:,} stored {read:8.2f}")
    for name, few in few_took.items():
        one = took[name]
        examined = "" if ground.embedded else f", keys {one.keys:,}, documents {one.documents}"
        print(
            f"  {name:24}  {FEW:,} stored {few.page:7.2f}   {many:,} stored {one.page:8.2f}"
            f" ({one.first:.2f} the first time{examined})"
            f"   ratio {one.page / few.page:6.2f}, {one.page / read:.1f} of one job"
        )
    await _writes(ground)


async def _measured(ground: Ground, stored: int) -> tuple[Mapping[str, Took], float]:
    """What each list takes, and one read by id."""
    async with ground.installation() as installation:
        await installation.store.prepare()
        jobs = _jobs(stored)
        while some := [to_document(job) for job in itertools.islice(jobs, 1_000)]:
            await installation.database.jobs.insert_many(some)
        sent = Sent()
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            ground.mongo_url, tz_aware=True, tzinfo=UTC, event_listeners=[sent]
        )
        database = client[installation.database.name]
        job_id = (await database.jobs.find_one({}, {"_id": True}) or {})["_id"]
        read = statistics.median([await _milliseconds(installation.store.get(job_id)) for _ in range(50)])
        took = {}
        for name, (caller, asked) in LISTS.items():
            query = asked.format(half=stored // 2, yesterday=SystemClock().now() - timedelta(days=1))
            listing = read_listing(query.encode(), caller)
            took[name] = await _list(database, sent, listing, embedded=ground.embedded)
        client.close()
        return took, read


async def _list(database: AsyncIOMotorDatabase[Document], sent: Sent, listing: Listing, *, embedded: bool) -> Took:
    finder = MongoJobListings(database, _StoppedWatch(), embedded=embedded)
    first = await _milliseconds(finder.find(listing))
    page = statistics.median([await _milliseconds(finder.find(listing)) for _ in range(ROUNDS)])
    sent.queries.clear()
    await finder.find(listing)
    finding = [query for query in sent.queries if "sort" in query]
    read = [] if embedded else [(await explained(database, query))["executionStats"] for query in finding]
    return Took(
        first=first,
        page=page,
        keys=sum(one["totalKeysExamined"] for one in read),
        documents=sum(one["totalDocsExamined"] for one in read),
    )


class _StoppedWatch(SystemClock):
    """So that totals are remembered for as long as they are measured."""

    def monotonic(self) -> float:
        return 0.0


def _jobs(count: int) -> Iterator[Job]:
    """Jobs of the last year: nearly all are completed, a few failed, and fewer run."""
    decider, chance, now = Decider(Policy(), new_ulid), random.Random(1), SystemClock().now()
    done = decider.claim(decider.create(new_request(), now, Cause()), "old", now)
    done = decider.completed(decider.pre_processed(done, now, Cause(), go_on=True), now, Cause())
    done = replace(done, published=len(done.history), wake_at=None)
    reached = (Status.PRE_PROCESSED, Status.CONFIRMED, Status.PROCESSING)
    for number in range(count):
        created = now - timedelta(days=365) * (1 - number / count)
        (status,) = chance.choices((Status.COMPLETED, Status.FAILED, Status.PROCESSING), (970, 29, 1))
        ended = created + timedelta(seconds=chance.randrange(1, 600))
        times = dict.fromkeys(reached, created) | ({status: ended} if status in TERMINAL else {})
        yield replace(
            done,
            id=new_job_id(),
            type=f"noop-{number % 5}",
            created_by=MEMBER if number % 100 == 0 else f"usr_{number % 100}",
            status=status,
            created_at=created.replace(microsecond=0),
            updated_at=ended.replace(microsecond=0),
            status_at={one: time.replace(microsecond=0) for one, time in times.items()},
        )


async def _writes(ground: Ground) -> None:
    """The four writes of a no-op job, with the engine's own indexes and with those for lists as well."""
    async with ground.installation() as installation:
        took: list[list[float]] = []
        sets = []
        for indexes in (ENGINE, INDEXES):
            jobs = installation.database.get_collection(f"jobs_{len(indexes)}", write_concern=_DURABLE)
            await jobs.create_indexes(list(indexes))
            sets.append(jobs)
        for _ in range(WRITTEN):
            took.append([await _milliseconds(_write(jobs)) for jobs in sets])
    alone, with_lists = (statistics.median(times) for times in zip(*took, strict=True))
    print(
        f"  the four writes of a job     with the engine's indexes {alone:6.2f}   with those for lists too "
        f"{with_lists:6.2f}   ratio {with_lists / alone:5.2f}"
    )


async def _write(jobs: AsyncIOMotorCollection[Document]) -> None:
    now, decider = SystemClock().now(), Decider(Policy(), new_ulid)
    created = decider.claim(decider.create(new_request(), now, Cause()), "benchmark", now)
    going = decider.pre_processed(created, now, Cause(), go_on=True)
    done = decider.completed(going, now, Cause())
    await jobs.insert_one(to_document(created))
    await jobs.update_one({"_id": created.id, "version": created.version}, update_of(created, going))
    await jobs.update_one({"_id": created.id, "version": going.version}, update_of(going, done))
    await jobs.update_one({"_id": created.id}, {"$set": {"published": 5}, "$unset": {"wake_at": ""}})


async def _milliseconds(made: Awaitable[object]) -> float:
    started = time.perf_counter()
    await made
    return 1000 * (time.perf_counter() - started)

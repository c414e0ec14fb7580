"""The job store on MongoDB, through Motor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ASCENDING, UpdateOne, WriteConcern
from pymongo.errors import DuplicateKeyError

from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.job import Job, lane
from batchbus_service.domain.ports import Beat, JobExists
from batchbus_service.storage.mongo.document import Document, encodable, from_document, readable, to_document, update_of
from batchbus_service.storage.mongo.driver import answered
from batchbus_service.storage.mongo.indexes import INDEXES
from batchbus_service.storage.mongo.placeholders import Placeholders, is_placeholder
from batchbus_service.storage.mongo.placeholders import from_document as placeholder_of
from batchbus_service.storage.mongo.sweep import Sweep
from batchbus_strategies import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

__all__ = ["MongoJobStore"]

_DURABLE: Final = WriteConcern(w="majority", j=True)
_INDEX_SECONDS: Final = 1800.0


class MongoJobStore:
    """`JobStore` on one collection, `jobs`. No multi-document transaction, no `find_one_and_update`."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        options: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._jobs: AsyncIOMotorCollection[Document] = database.get_collection(
            "jobs", codec_options=options, write_concern=_DURABLE
        )
        self._placeholders = Placeholders(self._jobs)
        self._lanes: dict[str, Sweep[Job]] = {}
        self._alarms: Sweep[Job | Placeholder] = Sweep(_wakes_at)

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet; of a million jobs, that takes its time."""
        with _translated(), pymongo.timeout(_INDEX_SECONDS):
            await self._jobs.create_indexes(list(INDEXES))

    async def insert(self, job: Job) -> None:
        with _translated():
            try:
                await self._jobs.insert_one(to_document(job))
            except DuplicateKeyError:
                raise JobExists(job.id) from None

    async def get(self, job_id: str) -> Job | None:
        with _translated():
            document = await self._jobs.find_one({"_id": job_id})
        return from_document(document) if document and not is_placeholder(document) else None

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        where: Document = {"_id": old.id, "version": old.version}
        if same_lease and old.lease:
            where["lease.expires_at"] = old.lease.expires_at
        with _translated():
            result = await self._jobs.update_one(where, update_of(old, new, by_owner=by_owner))
        return result.matched_count == 1

    async def beat(self, beat: Beat) -> bool:
        change: Document = {"lease.expires_at": beat.expires_at, "result": beat.result}
        if beat.checkpoint:
            change["checkpoint"] = asdict(beat.checkpoint)
            change |= {"failures": 0, "lost_runs": 0, "crashes": 0}
        where = {"_id": beat.job_id, "fence": beat.fence, "lease.worker": {"$exists": True}}
        with _translated():
            result = await self._jobs.update_one(where, {"$set": change, "$max": {"published": beat.published}})
        return result.matched_count == 1

    async def settle(self, jobs: Sequence[Job]) -> None:
        def settled(job: Job) -> Document:
            return {"$max": {"published": job.published}, **_alarm(job.wake_at)}

        with _translated():
            result = await self._jobs.bulk_write(
                [UpdateOne({"_id": job.id, "version": job.version}, settled(job)) for job in jobs], ordered=False
            )
            if result.matched_count == len(jobs):
                return
            # Some job has moved on meanwhile: its alarm is not ours to set, its mark still is.
            await self._jobs.bulk_write(
                [UpdateOne({"_id": job.id}, {"$max": {"published": job.published}}) for job in jobs], ordered=False
            )

    async def move_alarm(self, job: Job, wake_at: datetime | None) -> bool:
        with _translated():
            result = await self._jobs.update_one({"_id": job.id, "wake_at": job.wake_at}, _alarm(wake_at))
        return result.matched_count == 1

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        moves = [
            UpdateOne({"_id": job.id, "wake_at": job.wake_at}, _alarm(time))
            for job, time in zip(jobs, wake_at, strict=True)
        ]
        if moves:
            with _translated():
                await self._jobs.bulk_write(moves, ordered=False)

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        name = lane(phase, job_type)
        sweep = self._lanes.setdefault(name, Sweep(lambda job: job.ready_at or job.updated_at))

        async def fetch(after: datetime, up_to: datetime) -> list[Job]:
            return readable(
                await self._find("ready_at", {"lane": name, "ready_at": {"$gt": after, "$lte": up_to}}, want)
            )

        return await sweep.first(fetch, until, want)

    async def ringing(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        async def fetch(after: datetime, up_to: datetime) -> list[Job | Placeholder]:
            documents = await self._find("wake_at", {"wake_at": {"$gt": after, "$lte": up_to}}, want)
            jobs = readable(document for document in documents if not is_placeholder(document))
            return [*jobs, *(placeholder_of(document) for document in documents if is_placeholder(document))]

        return await self._alarms.first(fetch, until, want)

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        with _translated():
            return await self._placeholders.keep(job_id, trigger, wake_at)

    async def placeholder(self, job_id: str) -> Placeholder | None:
        with _translated():
            return await self._placeholders.get(job_id)

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        with _translated():
            return await self._placeholders.move(old, wake_at=wake_at, ended=ended)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        with _translated():
            return await self._placeholders.fill(placeholder, to_document(job))

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        with _translated():
            await self._placeholders.drop(placeholder)

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        with _translated():
            return await self._placeholders.count(sender, since=since, until=until, up_to=up_to)

    async def _find(self, order: str, where: Document, want: int) -> list[Document]:
        with _translated():
            return await self._jobs.find(where).sort(order, ASCENDING).limit(2 * want).to_list(None)


def _wakes_at(entry: Job | Placeholder) -> datetime:
    assert entry.wake_at is not None
    return entry.wake_at


def _alarm(time: datetime | None) -> Document:
    return {"$set": {"wake_at": time}} if time else {"$unset": {"wake_at": ""}}


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors in the port's words."""
    with answered(), encodable():
        yield

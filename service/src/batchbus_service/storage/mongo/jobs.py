"""The job store on MongoDB, through Motor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from datetime import datetime
from typing import Final, TypeVar

from pymongo import InsertOne, UpdateOne
from pymongo.errors import DuplicateKeyError

from batchbus_service.domain.carried import answer_by
from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.errors import JobExists, NotStorable, StoreUnavailable, UnreadableJob
from batchbus_service.domain.job import Job, work_queue
from batchbus_service.domain.ports import Answer, Insertion, JobWrite, Renewal, Update
from batchbus_service.storage.mongo.codec import encodable, measure
from batchbus_service.storage.mongo.collection import ASCENDING, Collection, Database
from batchbus_service.storage.mongo.document import A_JOB, from_document, to_document, update_of
from batchbus_service.storage.mongo.driver import Document, Stored
from batchbus_service.storage.mongo.indexes import INDEXES
from batchbus_service.storage.mongo.placeholders import Placeholders, is_placeholder
from batchbus_service.storage.mongo.placeholders import from_document as placeholder_of
from batchbus_service.storage.mongo.range_search import EPOCH, RangeSearch
from batchbus_service.storage.mongo.reading import Make, read, readable
from batchbus_strategies import Phase

__all__ = ["MongoJobStore", "entry_of"]

T = TypeVar("T")

_INDEX_SECONDS: Final = 1800.0
"""Of a million jobs, an index takes its time."""


class MongoJobStore:
    """`JobStore` on one collection, `jobs`."""

    def __init__(self, database: Database) -> None:
        self._jobs = Collection(database, "jobs")
        self._placeholders = Placeholders(self._jobs)
        self._searches: dict[str, RangeSearch[Job]] = {}
        self._due: RangeSearch[Job | Placeholder] = RangeSearch(_wakes_at)

    async def prepare(self) -> None:
        await self._jobs.create_indexes(*INDEXES, seconds=_INDEX_SECONDS)

    async def insert(self, job: Job) -> None:
        with encodable():
            if not await self._jobs.insert(to_document(job)):
                raise JobExists(job.id)

    async def get(self, job_id: str) -> Job | None:
        document = await self._jobs.find_one({"_id": job_id})
        return read(A_JOB, document, from_document) if document and not is_placeholder(document) else None

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        return await self._compare_and_set(Update(old, new, same_lease, by_owner))

    async def renew(self, renewal: Renewal) -> bool:
        return await self._compare_and_set(renewal)

    async def _compare_and_set(self, write: Update | Renewal) -> bool:
        with encodable():
            return await self._jobs.compare_and_set(*_change(write))

    async def settle(self, jobs: Sequence[Job]) -> None:
        def settled(job: Job) -> Document:
            return {"$max": {"published": job.published}, **_wake_at(job.wake_at)}

        updates = [UpdateOne({"_id": job.id, "version": job.version}, settled(job)) for job in jobs]
        if await self._jobs.change_each(updates) == len(jobs):
            return
        # Some job has moved on meanwhile: its `wake_at` is not ours to set, its mark still is.
        await self._jobs.change_each(
            [UpdateOne({"_id": job.id}, {"$max": {"published": job.published}}) for job in jobs]
        )

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        answers: list[Answer] = [True] * len(writes)
        requests: dict[int, InsertOne[Document] | UpdateOne] = {}
        for place, write in enumerate(writes):
            try:
                requests[place] = _request(write)
            except NotStorable as error:  # of this one alone: nothing that is sent can fail for it
                answers[place] = error
        if requests and (unsure := await self._send(requests, writes, answers)):
            await self._ask_for(writes, answers, unsure)
        return answers

    async def _send(
        self,
        requests: Mapping[int, InsertOne[Document] | UpdateOne],
        writes: Sequence[JobWrite],
        answers: list[Answer],
    ) -> Sequence[int]:
        """Note the answers that say something. Returns the places of the writes of which it is not known whether they were made."""
        places = list(requests)
        try:
            changed, refused = await self._jobs.write_each(list(requests.values()))
        except StoreUnavailable:
            return places
        for number, error in refused.items():
            place = places[number]
            answers[place] = JobExists(writes[place].job_id) if isinstance(error, DuplicateKeyError) else error
        changes = [place for place in places if answers[place] is True and not isinstance(writes[place], Insertion)]
        return changes if changed < len(changes) else ()

    async def _ask_for(self, writes: Sequence[JobWrite], answers: list[Answer], unsure: Sequence[int]) -> None:
        """One look at the jobs says which writes were made, where the answers do not."""
        found = await self._jobs.find({"_id": {"$in": [writes[place].job_id for place in unsure]}})
        stored = {document["_id"]: document for document in found if not is_placeholder(document)}
        for place in unsure:
            document = stored.get(writes[place].job_id)
            try:
                answers[place] = answer_by(from_document(document) if document else None, writes[place])
            except UnreadableJob as error:
                answers[place] = error

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        return await self._jobs.compare_and_set({"_id": job.id, "wake_at": job.wake_at}, _wake_at(wake_at))

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        moves = [
            UpdateOne({"_id": job.id, "wake_at": job.wake_at}, _wake_at(time))
            for job, time in zip(jobs, wake_at, strict=True)
        ]
        if moves:
            await self._jobs.change_each(moves)

    async def any_waiting(self, queues: Set[str]) -> bool:
        # Without `ready_at`: the embedded server would not use the index for both.
        return bool(await self._jobs.find({"lane": {"$in": [*queues]}}, {"_id": True}, limit=1))

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        name = work_queue(phase, job_type)
        search = self._searches.setdefault(name, RangeSearch(lambda job: job.ready_at or job.updated_at))

        async def fetch(after: datetime, up_to: datetime) -> list[Job]:
            where = {"lane": name, "ready_at": {"$gt": after, "$lte": up_to}}
            return await self._first("ready_at", where, want, from_document)

        return await search.first(fetch, until, want)

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        between = {"$gt": EPOCH, "$lte": until}  # bounded on both sides, as the embedded database needs it
        where = {"lane": work_queue(phase, job_type), "ready_at": between, "counted_for": {"$nin": [*owners]}}
        return (await self._first("ready_at", where, want, from_document))[:want]

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        async def fetch(after: datetime, up_to: datetime) -> list[Job | Placeholder]:
            where = {"wake_at": {"$gt": after, "$lte": up_to}}
            return await self._first("wake_at", where, want, entry_of)

        return await self._due.first(fetch, until, want)

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        with encodable():
            return await self._placeholders.keep(job_id, trigger, wake_at)

    async def placeholder(self, job_id: str) -> Placeholder | None:
        return await self._placeholders.get(job_id)

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        return await self._placeholders.move(old, wake_at=wake_at, ended=ended)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        with encodable():
            return await self._placeholders.fill(placeholder, to_document(job))

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        await self._placeholders.drop(placeholder)

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        with encodable():
            return await self._placeholders.count(sender, since=since, until=until, up_to=up_to)

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        return await self._jobs.count({"counted_for": owner}, limit=up_to)

    async def _first(self, order: str, where: Document, want: int, make: Make[T]) -> list[T]:
        """At least `want` of what can be read, or all there is: those that cannot must not keep the others from view."""
        made: list[T] = []
        skip, some = 0, 2 * want
        while True:
            documents = await self._jobs.find(where, order=[(order, ASCENDING)], skip=skip, limit=some)
            made += readable(A_JOB, documents, make)
            if len(documents) < some or len(made) >= want:
                return made
            skip += some


def entry_of(document: Stored) -> Job | Placeholder:
    """What the document is of. Raises `UnreadableJob`."""
    return placeholder_of(document) if is_placeholder(document) else from_document(document)


def _change(write: Update | Renewal) -> tuple[Document, Document]:
    """Which document is changed, if it still is as expected, and how."""
    match write:
        case Update(old=old):
            where: Document = {"_id": old.id, "version": old.version}
            if write.same_lease and old.lease:
                where["lease.expires_at"] = old.lease.expires_at
            return where, update_of(old, write.new, by_owner=write.by_owner)
        case Renewal():
            result = write.result.to_json() if write.result else None
            change: Document = {"lease.expires_at": write.expires_at, "result": result}
            if write.checkpoint:
                change["checkpoint"] = asdict(write.checkpoint)
                change |= {"failures": 0, "lost_runs": 0, "crashes": 0}
            where = {"_id": write.job_id, "fence": write.fence, "lease.worker": {"$exists": True}}
            return where, {"$set": change, "$max": {"published": write.published}}


def _request(write: JobWrite) -> InsertOne[Document] | UpdateOne:
    """Raises `NotStorable`, `TooLarge`."""
    if isinstance(write, Insertion):
        document = to_document(write.job)
        measure(document)
        return InsertOne(document)
    where, change = _change(write)
    measure(change)
    return UpdateOne(where, change)


def _wakes_at(entry: Job | Placeholder) -> datetime:
    assert entry.wake_at is not None
    return entry.wake_at


def _wake_at(time: datetime | None) -> Document:
    return {"$set": {"wake_at": time}} if time else {"$unset": {"wake_at": ""}}

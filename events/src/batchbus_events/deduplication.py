"""What a subscriber remembers of the events it was given: the Deduplication port, in memory and in MongoDB.

A broker delivers at least once. A subscriber asks here before it handles an event, and tells afterwards; between the
two it may be killed, and handles the event again. What must not happen twice even then has to be written by the handler
in one step with the event's id: see `docs/examples/ledger.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from batchbus_events.event import Event

__all__ = ["Collection", "Deduplication", "Key", "MemoryDeduplication", "MongoDeduplication", "Record"]

_REMEMBERED: Final = 100_000
_MONTH: Final = timedelta(days=30)
_REASON_LENGTH: Final = 1000
_OTHER_OPTIONS: Final = frozenset({85, 86})
"""MongoDB's codes for an index that exists with other options."""
_NO_SUCH_INDEX: Final = 27


_Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """An event as one subscriber sees it. A replay makes another of it, so that it is not taken for a repetition."""

    subscriber: str
    event_id: str
    replay_id: str | None

    @classmethod
    def of(cls, subscriber: str, event: Event) -> Key:
        return cls(subscriber, event.id, event.replayid)

    def __str__(self) -> str:
        return "/".join(part for part in (self.subscriber, self.event_id, self.replay_id) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is remembered of one event."""

    handled: bool = False
    failures: int = 0
    """How often its handler has failed."""
    first_failure_at: datetime | None = None


class Deduplication(Protocol):
    """The port. An error that a method raises is logged, and the call is repeated until it works."""

    async def look_up(self, key: Key) -> Record:
        """What is remembered of the event; an empty record of one that was never seen."""

    async def handled(self, key: Key, event: Event) -> None:
        """The event is dealt with, and not to be handled again."""

    async def failed(self, key: Key, event: Event, reason: str) -> Record:
        """The handler failed once more. Returns what is remembered from now on."""

    async def parked(self, key: Key, event: Event) -> None:
        """It was put aside. If an operator gives it back, it has all its tries again."""

    async def last_sequence(self, subscriber: str, job_id: str) -> int | None:
        """The highest `sequence` of the job's events that anything is remembered of; None if there is none."""


class MemoryDeduplication:
    """For tests, and for subscribers whose handlers may well run twice. Remembers the last 100,000 events."""

    def __init__(self) -> None:
        self._records: OrderedDict[Key, Record] = OrderedDict()
        self._sequences: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def look_up(self, key: Key) -> Record:
        return self._records.get(key, Record())

    async def handled(self, key: Key, event: Event) -> None:
        self._remember(key, event, Record(handled=True))

    async def failed(self, key: Key, event: Event, reason: str) -> Record:
        record = self._records.get(key, Record(first_failure_at=datetime.now(UTC)))
        record = replace(record, failures=record.failures + 1)
        self._remember(key, event, record)
        return record

    async def parked(self, key: Key, event: Event) -> None:
        self._remember(key, event, Record())

    async def last_sequence(self, subscriber: str, job_id: str) -> int | None:
        return self._sequences.get((subscriber, job_id))

    def _remember(self, key: Key, event: Event, record: Record) -> None:
        self._records[key] = record
        self._records.move_to_end(key)
        if len(self._records) > _REMEMBERED:
            self._records.popitem(last=False)
        if event.subject is None or event.sequence is None or key.replay_id:
            return
        job = key.subscriber, event.subject
        self._sequences[job] = max(event.sequence, self._sequences.get(job, 0))
        self._sequences.move_to_end(job)
        if len(self._sequences) > _REMEMBERED:
            self._sequences.popitem(last=False)


class Collection(Protocol):
    """What is used of a collection: Motor's and PyMongo's asynchronous ones both have it."""

    def find_one(
        self, filter: _Fields, *, sort: Sequence[tuple[str, int]] | None = None
    ) -> Awaitable[_Fields | None]: ...

    def update_one(self, filter: _Fields, update: _Fields, upsert: bool = False) -> Awaitable[object]: ...

    def create_index(self, keys: Sequence[tuple[str, int]], **options: Any) -> Awaitable[str]: ...

    def drop_index(self, index_or_name: str) -> Awaitable[None]: ...


class MongoDeduplication:
    """In a collection of the subscriber's own MongoDB: a document for each event, gone after `keep`.

    `await MongoDeduplication.open(collection)` makes its indexes. Any number of subscribers may share a collection.
    """

    def __init__(self, collection: Collection) -> None:
        self._events = collection

    @classmethod
    async def open(cls, collection: Collection, *, keep: timedelta = _MONTH) -> MongoDeduplication:
        """`keep` is how long an event is remembered; a repetition that comes later is handled again.

        It may be another than last time: the index is made anew then.
        """
        options = {"expireAfterSeconds": int(keep.total_seconds())}
        try:
            await collection.create_index([("at", 1)], **options)
        except Exception as error:  # PyMongo's `OperationFailure`: this package does not depend on it
            if getattr(error, "code", None) not in _OTHER_OPTIONS:
                raise
            # The collection was opened with another `keep` before. Meanwhile nothing expires, and nothing is lost.
            try:
                await collection.drop_index("at_1")
            except Exception as second:  # another process has just done the same
                if getattr(second, "code", None) != _NO_SUCH_INDEX:
                    raise
            await collection.create_index([("at", 1)], **options)
        await collection.create_index([("job", 1), ("sequence", 1)])
        return cls(collection)

    async def look_up(self, key: Key) -> Record:
        return _record(await self._events.find_one({"_id": str(key)}))

    async def handled(self, key: Key, event: Event) -> None:
        await self._write(key, event, {"$set": {"handled": True}})

    async def failed(self, key: Key, event: Event, reason: str) -> Record:
        update: dict[str, _Fields] = {
            "$inc": {"failures": 1},
            "$min": {"first_failure_at": datetime.now(UTC)},
            "$set": {"reason": reason[:_REASON_LENGTH]},
        }
        await self._write(key, event, update)
        return await self.look_up(key)

    async def parked(self, key: Key, event: Event) -> None:
        await self._write(key, event, {"$unset": {"failures": "", "first_failure_at": ""}})

    async def last_sequence(self, subscriber: str, job_id: str) -> int | None:
        found = await self._events.find_one({"job": f"{subscriber}/{job_id}"}, sort=[("sequence", -1)])
        return None if found is None else int(found["sequence"])

    async def _write(self, key: Key, event: Event, update: Mapping[str, _Fields]) -> None:
        document: dict[str, object] = {"at": datetime.now(UTC)}
        if event.subject is not None and event.sequence is not None and not key.replay_id:
            document |= {"job": f"{key.subscriber}/{event.subject}", "sequence": event.sequence}
        changes = {**update, "$set": {**document, **update.get("$set", {})}}
        await self._events.update_one({"_id": str(key)}, changes, upsert=True)


def _record(document: _Fields | None) -> Record:
    if document is None:
        return Record()
    first = document.get("first_failure_at")
    return Record(
        handled=bool(document.get("handled")),
        failures=int(document.get("failures", 0)),
        first_failure_at=first.replace(tzinfo=UTC) if first is not None and first.tzinfo is None else first,
    )

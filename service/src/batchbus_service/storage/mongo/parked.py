"""Records of parked messages on MongoDB: changed by compare-and-set and never removed."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from batchbus_service.domain.audit import ReasonedEntry
from batchbus_service.domain.errors import UnknownParked
from batchbus_service.domain.parked import Filter, ParkedMessage, State
from batchbus_service.storage.changing import changed
from batchbus_service.storage.mongo.collection import Collection, Database
from batchbus_service.storage.mongo.driver import Document, Stored
from batchbus_service.storage.mongo.reading import read, readable

__all__ = ["MongoParkedStore"]

_WHAT: Final = "parked message"
_LATEST: Final = IndexModel([("state", ASCENDING), ("last_failed_at", DESCENDING)], name="latest")


class MongoParkedStore:
    """`ParkedStore` on the collection `parked`."""

    def __init__(self, database: Database) -> None:
        self._parked = Collection(database, "parked")

    async def prepare(self) -> None:
        await self._parked.create_indexes(_LATEST)

    async def keep(self, parked: ParkedMessage) -> None:
        if not await self._parked.insert(_document(parked)):
            await changed(lambda: self.get(parked.id), lambda known: known.again(parked), self.change)

    async def get(self, parked_id: str) -> ParkedMessage:
        document = await self._parked.find_one({"_id": parked_id})
        if document is None:
            raise UnknownParked(parked_id)
        return read(_WHAT, document, _record)

    async def find(self, wanted: Filter, *, offset: int, limit: int) -> tuple[list[ParkedMessage], int]:
        order = [("last_failed_at", DESCENDING), ("_id", ASCENDING)]
        documents, count = await self._parked.page(_query(wanted), order, offset=offset, limit=limit)
        return list(readable(_WHAT, documents, _record)), count

    async def count(self, wanted: Filter) -> int:
        return await self._parked.count(_query(wanted))

    async def change(self, old: ParkedMessage, new: ParkedMessage) -> bool:
        entries = [asdict(entry) for entry in new.audit[len(old.audit) :]]
        written = {name: value for name, value in _document(new).items() if name not in ("_id", "audit")}
        update = {"$set": written, "$push": {"audit": {"$each": entries}}}
        return await self._parked.compare_and_set({"_id": old.id, "version": old.version}, update)


def _query(wanted: Filter) -> Document:
    query: Document = {"state": wanted.state.value}
    times = {"$gte": wanted.since, "$lt": wanted.until}
    if bounds := {name: time for name, time in times.items() if time is not None}:
        query["last_failed_at"] = bounds
    if wanted.routing_key is not None:
        query["routing_key"] = wanted.routing_key
    if wanted.reason is not None:
        query["reason"] = {"$regex": re.escape(wanted.reason), "$options": "i"}
    return query


def _document(parked: ParkedMessage) -> Document:
    document = asdict(parked)
    document["_id"] = document.pop("id")
    document["state"] = parked.state.value
    # Names of headers may have dots in them, or begin with a dollar sign.
    document["headers"] = [[name, value] for name, value in parked.headers.items()]
    return document


def _record(document: Stored) -> ParkedMessage:
    fields = dict(document)
    return ParkedMessage(
        id=fields.pop("_id"),
        state=State(fields.pop("state")),
        headers=dict(fields.pop("headers")),
        audit=tuple(ReasonedEntry(**entry) for entry in fields.pop("audit")),
        **fields,
    )

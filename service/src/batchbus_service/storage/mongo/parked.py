"""Parked messages: records in MongoDB, changed by compare-and-set and never removed; bodies in the file store.

A broker takes larger messages than a database takes documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, WriteConcern
from pymongo.errors import DuplicateKeyError

from batchbus_events.bus import Message
from batchbus_service.domain.parked import AuditEntry, Filter, ParkedMessage, State, UnknownParked
from batchbus_service.storage.files import FileStore
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["ParkedMessageStore"]

_DURABLE: Final = WriteConcern(w="majority", j=True)
_INDEXES: Final = (IndexModel([("state", ASCENDING), ("last_failed_at", DESCENDING)], name="latest"),)


class ParkedMessageStore:
    """Every method may raise `StoreUnavailable`."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]], files: FileStore) -> None:
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._parked = database.get_collection("parked", codec_options=options, write_concern=_DURABLE)
        self._files = files

    async def prepare(self) -> None:
        """Create the indexes, if they are not there yet."""
        with answered():
            await self._parked.create_indexes(list(_INDEXES))

    async def keep(self, parked: ParkedMessage, body: bytes) -> None:
        """Insert it; or, if it was parked before, note that it has failed again."""
        async with self._files.write(parked.body_key) as file:
            await file.write(body)
        while not await self._kept(parked):
            pass  # someone else has changed it meanwhile

    async def _kept(self, parked: ParkedMessage) -> bool:
        with answered():
            try:
                await self._parked.insert_one(_document(parked))
            except DuplicateKeyError:
                known = await self.get(parked.id)
                return await self.change(known, known.again(parked))
        return True

    async def get(self, parked_id: str) -> ParkedMessage:
        """Raises `UnknownParked`."""
        with answered():
            document = await self._parked.find_one({"_id": parked_id})
        if document is None:
            raise UnknownParked(parked_id)
        return _record(document)

    async def message(self, parked: ParkedMessage) -> Message:
        """The message that is parked, with its body."""
        body = bytearray()
        async for piece in self._files.read(parked.body_key):
            body += piece
        return parked.message(bytes(body))

    async def find(self, wanted: Filter, *, offset: int, limit: int) -> tuple[list[ParkedMessage], int]:
        """A page, those that failed last first; and how many there are."""
        query = _query(wanted)
        with answered():
            cursor = self._parked.find(query).sort([("last_failed_at", DESCENDING), ("_id", ASCENDING)])
            documents = await cursor.skip(offset).limit(limit).to_list(None)
            return [_record(document) for document in documents], await self.count(wanted)

    async def count(self, wanted: Filter) -> int:
        with answered():
            return await self._parked.count_documents(_query(wanted))

    async def change(self, old: ParkedMessage, new: ParkedMessage) -> bool:
        """Write what was done, if the stored version is still `old.version`. Returns whether it was written."""
        deeds = [asdict(entry) for entry in new.audit[len(old.audit) :]]
        changed = {name: value for name, value in _document(new).items() if name not in ("_id", "audit")}
        update: dict[str, Any] = {"$set": changed, "$push": {"audit": {"$each": deeds}}}
        with answered():
            result = await self._parked.update_one({"_id": old.id, "version": old.version}, update)
        return result.matched_count == 1


def _query(wanted: Filter) -> dict[str, Any]:
    query: dict[str, Any] = {"state": wanted.state.value}
    times = {"$gte": wanted.since, "$lt": wanted.until}
    if bounds := {name: time for name, time in times.items() if time is not None}:
        query["last_failed_at"] = bounds
    if wanted.routing_key is not None:
        query["routing_key"] = wanted.routing_key
    if wanted.reason is not None:
        query["reason"] = {"$regex": re.escape(wanted.reason), "$options": "i"}
    return query


def _document(parked: ParkedMessage) -> dict[str, Any]:
    document = asdict(parked)
    document["_id"] = document.pop("id")
    document["state"] = parked.state.value
    # Names of headers may have dots in them, or begin with a dollar sign.
    document["headers"] = [[name, value] for name, value in parked.headers.items()]
    return document


def _record(document: Mapping[str, Any]) -> ParkedMessage:
    fields = dict(document)
    return ParkedMessage(
        id=fields.pop("_id"),
        state=State(fields.pop("state")),
        headers=dict(fields.pop("headers")),
        audit=tuple(AuditEntry(**entry) for entry in fields.pop("audit")),
        **fields,
    )

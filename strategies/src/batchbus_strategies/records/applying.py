"""Carrying out operations of a plan, so that carrying them out twice changes nothing.

A new document has an id that only this plan knows. An update filters on the old value of every field that it sets, and
on the revision where the document has one, so that other services need not know of revisions. What was written already
is recognised by the revision that it was given; what someone else has changed since is a conflict, and is left alone.

An update that changes elements of lists is worked out from the document as it is now (`merging`). Others need no reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel
from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.lookup import look_up
from batchbus_strategies.records.comparing import ABSENT, same
from batchbus_strategies.records.fields import value_at
from batchbus_strategies.records.merging import Changed, is_merged, merged, stamped
from batchbus_strategies.records.plan import Create, CreateReferenced, Delete, Operation, Update
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.unique_values import release_stale_values
from batchbus_strategies.strategy import Document, Fields

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.strategy import JobRun

__all__ = ["Applied", "What", "apply_operations", "as_planned", "requests_of"]

What = Literal["created", "updated", "unchanged", "deleted", "refused", "conflict"]
"""What became of a record."""

_DUPLICATE_KEY: Final = 11000
_TRIES: Final = 5
"""How often writes are worked out anew because others have changed the documents in the moment between read and write."""

# A checkpoint must never outlive what it stands for, so both are in the journal of a majority.
_DURABLE: Final = WriteConcern(w="majority", j=True)

_Write = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an operation. `reason` says why it is a conflict, for people."""

    operation: Operation
    what: What
    reason: str | None = None


async def apply_operations(
    run: JobRun[BaseModel], schema: Schema, operations: Sequence[Operation], now: datetime
) -> list[Applied]:
    """What became of each operation that concerns a record, in their order. Raises what the driver raises."""
    await _create_referenced(run, [each for each in operations if each["op"] == "reference"], now)
    conflicts = await _Writing(run, schema, now).write(list(_writes(operations)))
    return [
        Applied(each, "conflict", conflicts[id(each)]) if id(each) in conflicts else as_planned(each)
        for each in operations
        if each["op"] != "reference"
    ]


def _writes(operations: Iterable[Operation]) -> Iterator[_Write]:
    for each in operations:
        if each["op"] == "create" or each["op"] == "delete" or (each["op"] == "update" and each["changes"]):
            yield each


def as_planned(operation: Operation) -> Applied:
    """What becomes of an operation if nobody is in its way."""
    match operation["op"]:
        case "create":
            return Applied(operation, "created")
        case "update":
            return Applied(operation, "updated" if operation["changes"] else "unchanged")
        case "delete":
            return Applied(operation, "deleted")
        case "error":
            return Applied(operation, "refused")
        case _:
            return Applied(operation, "unchanged")


async def _create_referenced(run: JobRun[BaseModel], operations: Sequence[CreateReferenced], now: datetime) -> None:
    by_collection: dict[str, list[Document]] = {}
    for each in operations:
        document = {"_id": each["id"], **each["document"], "created_at": now, "updated_at": now, "deleted_at": None}
        by_collection.setdefault(each["collection"], []).append(document)
    for collection, documents in by_collection.items():
        run.ensure_lease()
        try:
            await run.catalog[collection].with_options(write_concern=_DURABLE).insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _duplicates(error)  # made by another import, or by this chunk before


class _Writing:
    """The writes of one chunk."""

    def __init__(self, run: JobRun[BaseModel], schema: Schema, now: datetime) -> None:
        self._run = run
        self._schema = schema
        self._now = now
        self._documents = run.catalog[schema.record.collection].with_options(write_concern=_DURABLE)
        self._conflicts: dict[int, str] = {}

    async def write(self, writes: Sequence[_Write]) -> dict[int, str]:
        """One bulk write, unless others write to the same documents. Returns why operations could not be carried out, by
        their `id()`."""
        waiting: Sequence[_Write] = writes
        for _ in range(_TRIES):
            requests = await self._requests(waiting)
            if not requests:
                return self._conflicts
            self._run.ensure_lease()
            taken: set[int] = set()
            try:
                result = await self._documents.bulk_write([request for _, request in requests], ordered=False)
                written = result.matched_count + result.inserted_count
            except BulkWriteError as error:
                taken = _duplicates(error)
                written = error.details["nMatched"] + error.details["nInserted"]
            if written == len(requests):
                return self._conflicts
            waiting = await self._settled([operation for operation, _ in requests], taken)
        still = await self._requests(waiting)  # some of them have been written by the last one
        self._conflicts |= {id(each): "others change it again and again" for each, _ in still}
        return self._conflicts

    async def _requests(self, writes: Sequence[_Write]) -> list[tuple[_Write, InsertOne[Document] | UpdateOne]]:
        """Those that are still to be made."""
        requests, conflicts = await requests_of(self._documents, writes, self._schema, self._now)
        self._conflicts |= conflicts
        return requests

    async def _settled(self, writes: Sequence[_Write], taken: Collection[int]) -> list[_Write]:
        """What is to be tried again, of writes of which some found nothing, or broke a unique index (`taken`, their places).

        Some were carried out before, and others are in conflict: the revisions tell.
        """
        stale = [each for place, each in enumerate(writes) if place in taken]
        freed = bool(self._schema.unique_in_elements) and await release_stale_values(
            self._documents, self._schema, stale
        )
        again: list[_Write] = list(stale) if freed else []
        rest: list[_Write] = []
        for place, each in enumerate(writes):
            if place in taken:
                rest += [] if freed else [each]
            elif each["op"] == "update" and is_merged(each["changes"], self._schema):
                again.append(each)
            else:
                rest.append(each)
        current = await self._current(rest)
        for each in rest:
            if (reason := _conflict(each, current.get(each["id"]), self._schema)) is not None:
                self._conflicts[id(each)] = reason
        return again

    async def _current(self, writes: Sequence[_Write]) -> dict[Any, Document]:
        return await look_up(self._documents, "_id", [each["id"] for each in writes])


async def requests_of(
    documents: AsyncIOMotorCollection[Document], writes: Sequence[_Write], schema: Schema, now: datetime
) -> tuple[list[tuple[_Write, InsertOne[Document] | UpdateOne]], dict[int, str]]:
    """The writes that are still to be made, from the documents as they are now; and why others cannot be made, by their
    `id()`."""
    merges = [each for each in writes if each["op"] == "update" and is_merged(each["changes"], schema)]
    if not merges:
        return [(each, _request(each, schema, now)) for each in writes], {}
    current = await look_up(documents, "_id", [each["id"] for each in merges])
    requests: list[tuple[_Write, InsertOne[Document] | UpdateOne]] = []
    conflicts: dict[int, str] = {}
    for each in writes:
        if each["op"] != "update" or not is_merged(each["changes"], schema):
            requests.append((each, _request(each, schema, now)))
            continue
        try:
            request = merged(each, current.get(each["id"]), schema, now)
        except Changed as error:
            conflicts[id(each)] = str(error)
        else:
            requests += [(each, request)] if request is not None else []
    return requests, conflicts


def _request(operation: _Write, schema: Schema, now: datetime) -> InsertOne[Document] | UpdateOne:
    """The write of an operation that needs not know what there is."""
    revision = operation["revision"]
    if operation["op"] == "create":
        document = operation["document"]
        if schema.rows is not None and (elements := document.get(schema.rows.path)):
            document = {**document, schema.rows.path: [stamped(each, now) for each in elements]}
        stamps = {"revision": revision, "created_at": now, "updated_at": now, "deleted_at": None}
        return InsertOne({"_id": operation["id"], **document, **stamps})
    seen = {"revision": operation["seen"]} if "seen" in operation else {}
    where: Document = {"_id": operation["id"], **seen, **LIVING}
    set_: Document = {"revision": revision, "updated_at": now}
    unset: Document = {}
    if operation["op"] == "delete":
        if not seen:
            where |= _as_it_was(operation["document"])
        return UpdateOne(where, {"$set": {**set_, "deleted_at": now}})
    for path, change in operation["changes"].items():
        where[path] = {"$eq": change["old"]} if "old" in change else {"$exists": False}
        if "new" in change:
            set_[path] = change["new"]
        else:
            unset[path] = ""
    return UpdateOne(where, {"$set": set_, "$unset": unset} if unset else {"$set": set_})


def _as_it_was(document: Fields) -> Document:
    """The condition that no field of the document has changed."""
    return {name: {"$eq": value} for name, value in document.items() if name not in ("_id", "deleted_at")}


def _conflict(operation: _Write, current: Document | None, schema: Schema) -> str | None:
    """Why an operation was not carried out; None if it was, now or before."""
    if operation["op"] == "create":
        if current is not None:
            return None  # the id is this plan's own
        return f"{schema.spoken_unique(new=False)} has been taken since the plan was made"
    if current is not None and current.get("revision") == operation["revision"]:
        return None
    if current is None or (current.get("deleted_at") is not None):
        return "it has been deleted since the plan was made"
    taken = f"{schema.spoken_unique(new=True)} has been taken since the plan was made"
    if operation["op"] == "update" and is_merged(operation["changes"], schema):
        return taken
    if operation["op"] == "update":
        now = {path: value_at(current, path, ABSENT) for path in operation["changes"]}
        if all(same(now[path], change.get("new", ABSENT)) for path, change in operation["changes"].items()):
            return None  # somebody else has done the same
        if current.get("revision") != operation.get("seen"):
            return "it has been changed since the plan was made"
        for path, change in operation["changes"].items():
            if not same(now[path], change.get("old", ABSENT)):
                return f"it has another {path} than when the plan was made"
        return taken
    return "it has been changed since the plan was made"


def _duplicates(error: BulkWriteError) -> set[int]:
    """The places of the writes that broke a unique index. Raises the error if there is anything else in it."""
    failed: Sequence[Fields] = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(one["code"] != _DUPLICATE_KEY for one in failed):
        raise error
    return {one["index"] for one in failed}

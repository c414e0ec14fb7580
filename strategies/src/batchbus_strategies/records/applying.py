"""Carrying out operations of a plan, so that carrying them out twice changes nothing.

A new document has an id that only this plan knows. An update filters on the old value of every field that it sets, and
on the revision where the document has one, so that other services need not know of revisions. What was written already
is recognised by the revision that it was given; what someone else has changed since is a conflict, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.comparing import ABSENT, same
from batchbus_strategies.records.plan import Create, CreateReferenced, Delete, Operation, Update
from batchbus_strategies.records.schema import value_at

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.strategy import JobRun

__all__ = ["Applied", "What", "apply_operations", "as_planned"]

What = Literal["created", "updated", "unchanged", "deleted", "refused", "conflict"]
"""What became of a record."""

_DUPLICATE_KEY: Final = 11000
_READ: Final = 100
"""Looked up in one query: simple planners take quadratic time for long lists."""

# A checkpoint must never outlive what it stands for, so both are in the journal of a majority.
_DURABLE: Final = WriteConcern(w="majority", j=True)

Document = dict[str, Any]
_Write = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an operation. `reason` says why it is a conflict, for people."""

    operation: Operation
    what: What
    reason: str | None = None


async def apply_operations(
    run: JobRun[Any], collection: str, operations: Sequence[Operation], now: datetime
) -> list[Applied]:
    """What became of each operation that concerns a record, in their order. Raises what the driver raises."""
    await _create_referenced(run, [each for each in operations if each["op"] == "reference"], now)
    documents = run.catalog[collection].with_options(write_concern=_DURABLE)
    conflicts = await _write(run, documents, list(_writes(operations)), now)
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


async def _create_referenced(run: JobRun[Any], operations: Sequence[CreateReferenced], now: datetime) -> None:
    by_collection: dict[str, list[Document]] = {}
    for each in operations:
        document = {"_id": each["id"], **each["document"], "created_at": now, "updated_at": now, "deleted_at": None}
        by_collection.setdefault(each["collection"], []).append(document)
    for collection, documents in by_collection.items():
        run.ensure_lease()
        try:
            await run.catalog[collection].with_options(write_concern=_DURABLE).insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _raise_unless_duplicates(error)  # made by another import, or by this chunk before


async def _write(
    run: JobRun[Any], documents: AsyncIOMotorCollection[Document], writes: Sequence[_Write], now: datetime
) -> dict[int, str]:
    """One bulk write. Returns why operations could not be carried out, by their `id()`."""
    if not writes:
        return {}
    run.ensure_lease()
    try:
        result = await documents.bulk_write([_request(each, now) for each in writes], ordered=False)
        written = result.matched_count + result.inserted_count
    except BulkWriteError as error:
        _raise_unless_duplicates(error)
        written = error.details["nMatched"] + error.details["nInserted"]
    if written == len(writes):
        return {}
    # Some were carried out before, and others are in conflict: the revisions tell.
    current: dict[Any, Document] = {}
    ids = [each["id"] for each in writes]
    for first in range(0, len(ids), _READ):
        async for found in documents.find({"_id": {"$in": ids[first : first + _READ]}}):
            current[found["_id"]] = found
    reasons = ((id(each), _conflict(each, current.get(each["id"]))) for each in writes)
    return {place: reason for place, reason in reasons if reason is not None}


def _request(operation: _Write, now: datetime) -> InsertOne[Document] | UpdateOne:
    revision = operation["revision"]
    if operation["op"] == "create":
        stamps = {"revision": revision, "created_at": now, "updated_at": now, "deleted_at": None}
        return InsertOne({"_id": operation["id"], **operation["document"], **stamps})
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


def _as_it_was(document: Mapping[str, Any]) -> Document:
    """The condition that no field of the document has changed."""
    return {name: {"$eq": value} for name, value in document.items() if name not in ("_id", "deleted_at")}


def _conflict(operation: _Write, current: Document | None) -> str | None:
    """Why an operation was not carried out; None if it was, now or before."""
    if operation["op"] == "create":
        if current is not None:
            return None  # the id is this plan's own
        return "its key, or another value that has to be unique, has been taken since the plan was made"
    if current is not None and current.get("revision") == operation["revision"]:
        return None
    if current is None or (current.get("deleted_at") is not None):
        return "it has been deleted since the plan was made"
    if operation["op"] == "update":
        now = {path: value_at(current, path, ABSENT) for path in operation["changes"]}
        if all(same(now[path], change.get("new", ABSENT)) for path, change in operation["changes"].items()):
            return None  # somebody else has done the same
        for path, change in operation["changes"].items():
            if not same(now[path], change.get("old", ABSENT)):
                return f"it has another {path} than when the plan was made"
        if current.get("revision") == operation.get("seen"):
            return "a value that has to be unique has been taken since the plan was made"
    return "it has been changed since the plan was made"


def _raise_unless_duplicates(error: BulkWriteError) -> None:
    """Raises the error if there is anything in it but unique indexes that were broken."""
    failed: Iterable[Mapping[str, Any]] = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(one["code"] != _DUPLICATE_KEY for one in failed):
        raise error

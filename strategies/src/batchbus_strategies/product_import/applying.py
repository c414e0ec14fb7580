"""Processing an import: carry out the plan, chunk by chunk.

Every chunk may be carried out twice, by this worker or another: a new record has an id that only this plan knows, and
an update finds its product only at the revision that the plan saw. What was written already is recognised by its id or
revision; what someone else has changed since is a conflict, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from batchbus_strategies.catalog.documents import Document, Variant
from batchbus_strategies.catalog.indexes import ensure_indexes
from batchbus_strategies.product_import.plan import Create, CreateType, Update, read_chunks
from batchbus_strategies.strategy import StrategyError

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.product_import.context import ProductImportContext
    from batchbus_strategies.strategy import JobRun, Json

__all__ = ["CatalogChanged", "apply_plan"]

_DUPLICATE_KEY: Final = 11000
_SETTLED: Final = 100
"""Looked up in one query; see `lookup`."""

# A checkpoint must never outlive what it stands for, so both are in the journal of a majority.
_DURABLE: Final = WriteConcern(w="majority", j=True)

_Request = InsertOne[Document] | UpdateOne


class CatalogChanged(StrategyError):
    """Someone else has changed products since the plan was made. What does not concern those was applied."""


@dataclass(frozen=True, slots=True)
class _Conflict:
    operation: Create | Update
    reason: str


async def apply_plan(run: JobRun[ProductImportContext], *, chunk_size: int) -> None:
    """From the checkpoint on. Raises `CatalogChanged` after a chunk with conflicts, unless they are to be skipped."""
    key, offset, now = _start(run)
    await ensure_indexes(run.catalog)
    async for chunk in read_chunks(run.files, key, start=offset, size=chunk_size):
        records = [operation for operation in chunk.operations if operation["op"] != "type"]
        await _write_types(run, [operation for operation in chunk.operations if operation["op"] == "type"], now)
        conflicts = await _write(run, records, now)
        in_conflict = {id(conflict.operation) for conflict in conflicts}
        await run.advance(sum(sum(record["counts"]) for record in records if id(record) not in in_conflict))
        _report(run, conflicts)
        state: Json = {"offset": chunk.end, "at": now.timestamp()}
        await run.checkpoint(state)


def _start(run: JobRun[ProductImportContext]) -> tuple[str, int, datetime]:
    """The plan's key, where to go on in it, and the time that all records of this import bear."""
    try:
        key: str = run.result["files"]["PLAN"]
    except KeyError:
        raise StrategyError("There is no plan to apply: the job was not pre-processed") from None
    state = run.resume_from
    if isinstance(state, dict):
        offset, at = state["offset"], state["at"]
        assert isinstance(offset, int) and isinstance(at, float)
        return key, offset, datetime.fromtimestamp(at, UTC)
    now = datetime.now(UTC)
    return key, 0, now.replace(microsecond=now.microsecond // 1000 * 1000)  # what MongoDB keeps


async def _write_types(run: JobRun[ProductImportContext], types: Sequence[CreateType], now: datetime) -> None:
    if not types:
        return
    collection = run.catalog["product_types"].with_options(write_concern=_DURABLE)
    run.ensure_lease()
    try:
        await collection.insert_many(
            [{"_id": kind["id"], "value": kind["value"], "created_at": now, "updated_at": now} for kind in types],
            ordered=False,
        )
    except BulkWriteError as error:
        _raise_unless_duplicates(error)  # made by another import, or by this chunk before


async def _write(
    run: JobRun[ProductImportContext], records: Sequence[Create | Update], now: datetime
) -> list[_Conflict]:
    """One bulk write. Returns what could not be written because of others."""
    if not records:
        return []
    products = run.catalog["products"].with_options(write_concern=_DURABLE)
    updates = [record for record in records if record["op"] == "update"]
    requests = [_request(record, now) for record in records]
    refused: set[int] = set()
    run.ensure_lease()
    try:
        matched = (await products.bulk_write(requests, ordered=False)).matched_count
    except BulkWriteError as error:
        refused = _raise_unless_duplicates(error)
        matched = error.details["nMatched"]
    doubtful = [record for place, record in enumerate(records) if place in refused]
    if matched + sum(record["op"] == "update" for record in doubtful) < len(updates):
        doubtful += [
            record for place, record in enumerate(records) if record["op"] == "update" and place not in refused
        ]
    return await _settle(products, doubtful)


def _raise_unless_duplicates(error: BulkWriteError) -> set[int]:
    """The places of the requests that broke a unique index. Raises the error if there is anything else in it."""
    failed: list[Mapping[str, Any]] = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(one["code"] != _DUPLICATE_KEY for one in failed):
        raise error
    return {one["index"] for one in failed}


async def _settle(products: AsyncIOMotorCollection[Document], doubtful: Sequence[Create | Update]) -> list[_Conflict]:
    """Which of the writes that did nothing had been carried out before, and which are in conflict with others."""
    revisions: dict[str, str | None] = {}
    for first in range(0, len(doubtful), _SETTLED):
        ids = [_target(record) for record in doubtful[first : first + _SETTLED]]
        for found in await products.find({"_id": {"$in": ids}}, {"revision": 1}).to_list(None):
            revisions[found["_id"]] = found.get("revision")
    conflicts = []
    for record in doubtful:
        if record["op"] == "create":
            if record["product"]["_id"] not in revisions:
                reason = "its handle, or a SKU or barcode of its variants, has been taken since the plan was made"
                conflicts.append(_Conflict(record, reason))
        elif record["id"] not in revisions:
            conflicts.append(_Conflict(record, "it has been deleted since the plan was made"))
        elif revisions[record["id"]] == record["seen"]:
            reason = "its new handle, or a new SKU or barcode of its variants, has been taken since the plan was made"
            conflicts.append(_Conflict(record, reason))
        elif revisions[record["id"]] != record["revision"]:
            conflicts.append(_Conflict(record, "it has been changed since the plan was made"))
    return conflicts


def _target(record: Create | Update) -> str:
    return record["product"]["_id"] if record["op"] == "create" else record["id"]


def _request(record: Create | Update, now: datetime) -> _Request:
    return _insert(record, now) if record["op"] == "create" else _update(record, now)


def _insert(record: Create, now: datetime) -> InsertOne[Document]:
    document: Document = {**record["product"], "created_at": now, "updated_at": now, "deleted_at": None}
    for variant in record["product"]["variants"]:
        _stamp(variant, now)
    return InsertOne(document)


def _update(record: Update, now: datetime) -> UpdateOne:
    where: Document = {"_id": record["id"], "revision": record["seen"]}
    changes = {**record["set"], "revision": record["revision"], "updated_at": now}
    for place, variant_id in record["changed"].items():
        where[f"variants.{place}.id"] = variant_id
        changes[f"variants.{place}.updated_at"] = now
    for variant in changes.get("variants", [changes.get(f"variants.{place}") for place in record["added"]]):
        _stamp(variant, now)
    update: Document = {"$set": changes}
    if record["unset"]:
        update["$unset"] = dict.fromkeys(record["unset"], "")
    return UpdateOne(where, update)


def _stamp(variant: Variant, now: datetime) -> None:
    variant["created_at"] = variant["updated_at"] = now
    variant["deleted_at"] = None


def _report(run: JobRun[ProductImportContext], conflicts: Sequence[_Conflict]) -> None:
    for conflict in conflicts:
        record = conflict.operation
        handle = record["product"]["handle"] if record["op"] == "create" else record["handle"]
        run.row_error(line=record["line"], column=None, code="conflict", message=conflict.reason, value=handle)
    if conflicts and run.context.on_error == "abort":
        first = conflicts[0]
        raise CatalogChanged(
            f"{len(conflicts)} products were not written, and the import stopped there; the first is that of line "
            f"{first.operation['line']}: {first.reason}. What was written before stays; import the file again for the rest"
        )

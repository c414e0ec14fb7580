"""Processing an import: carry out the plan, chunk by chunk.

Every chunk may be carried out twice, by this worker or another: a new record has an id that only this plan knows, and
an update finds its product only at the revision and with the old values that the plan saw (`merging`). What was written
already is recognised by its id or revision; what someone else has changed since is a conflict, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from batchbus_strategies.catalog.documents import Document
from batchbus_strategies.catalog.indexes import ensure_indexes, release_stale_keys
from batchbus_strategies.product_import.merging import ARRAYS, Changed, merged, stamped
from batchbus_strategies.product_import.plan import Create, CreateType, Update, read_chunks
from batchbus_strategies.strategy import StrategyError

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection

    from batchbus_strategies.product_import.context import ProductImportContext
    from batchbus_strategies.strategy import JobRun, Json

__all__ = ["CatalogChanged", "apply_plan"]

_DUPLICATE_KEY: Final = 11000
_READ: Final = 100
"""Looked up in one query; see `lookup`."""
_TRIES: Final = 5
"""How often a chunk is worked out anew because others have changed its products in the moment between read and write."""

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
    """Bulk writes: one, unless others write to the same products. Returns what could not be written because of others."""
    products = run.catalog["products"].with_options(write_concern=_DURABLE)
    conflicts: list[_Conflict] = []
    waiting: Sequence[Create | Update] = records
    for _ in range(_TRIES):
        requests, refused = await requests_of(products, waiting, now)
        conflicts += refused
        if not requests:
            return conflicts
        run.ensure_lease()
        taken: set[int] = set()
        try:
            result = await products.bulk_write([request for _, request in requests], ordered=False)
            written = result.matched_count + result.inserted_count
        except BulkWriteError as error:
            taken = _raise_unless_duplicates(error)
            written = error.details["nMatched"] + error.details["nInserted"]
        if written == len(requests):
            return conflicts
        # Those that broke a unique index, and those whose product has changed since it was read a moment ago.
        duplicates = [record for place, (record, _) in enumerate(requests) if place in taken]
        freed = await release_stale_keys(products, [key for record in duplicates for key in _keys(record)])
        conflicts += [] if freed else await _settle(products, duplicates)
        waiting = [
            record for place, (record, _) in enumerate(requests) if record["op"] == "update" and place not in taken
        ]
        waiting += duplicates if freed else []
        if not waiting:
            return conflicts
    return [*conflicts, *(_Conflict(record, "others change it again and again") for record in waiting)]


async def requests_of(
    products: AsyncIOMotorCollection[Document], records: Sequence[Create | Update], now: datetime
) -> tuple[list[tuple[Create | Update, _Request]], list[_Conflict]]:
    """The writes that are still to be made, from the products as they are now; and the conflicts that show already."""
    ids = [record["id"] for record in records if record["op"] == "update"]
    current: dict[str, Document] = {}
    for first in range(0, len(ids), _READ):
        found = await products.find({"_id": {"$in": ids[first : first + _READ]}}).to_list(None)
        current |= {product["_id"]: product for product in found}
    requests: list[tuple[Create | Update, _Request]] = []
    conflicts = []
    for record in records:
        if record["op"] == "create":
            requests.append((record, _insert(record, now)))
            continue
        try:
            if (request := merged(record, current.get(record["id"]), now)) is not None:
                requests.append((record, request))
        except Changed as error:
            conflicts.append(_Conflict(record, str(error)))
    return requests, conflicts


def _raise_unless_duplicates(error: BulkWriteError) -> set[int]:
    """The places of the requests that broke a unique index. Raises the error if there is anything else in it."""
    failed: list[Mapping[str, Any]] = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(one["code"] != _DUPLICATE_KEY for one in failed):
        raise error
    return {one["index"] for one in failed}


async def _settle(products: AsyncIOMotorCollection[Document], refused: Sequence[Create | Update]) -> list[_Conflict]:
    """Which of the writes that broke a unique index had been carried out before, and which are in conflict with others."""
    created = [record["product"]["_id"] for record in refused if record["op"] == "create"]
    there: set[str] = set()
    for first in range(0, len(created), _READ):
        found = await products.find({"_id": {"$in": created[first : first + _READ]}}, {"_id": 1}).to_list(None)
        there |= {product["_id"] for product in found}
    conflicts = []
    for record in refused:
        if record["op"] == "update":
            reason = "its new handle, or a new SKU or barcode of its variants, has been taken since the plan was made"
            conflicts.append(_Conflict(record, reason))
        elif record["product"]["_id"] not in there:
            reason = "its handle, or a SKU or barcode of its variants, has been taken since the plan was made"
            conflicts.append(_Conflict(record, reason))
    return conflicts


def _keys(record: Create | Update) -> Iterator[tuple[str, str]]:
    """The SKUs and barcodes that a record would have, each with its array."""
    if record["op"] == "create":
        variants: list[Mapping[str, Any]] = [*record["product"]["variants"]]
    else:
        set_ = ({name: new for name, (_, new) in change["set"].items()} for change in record["variants"].values())
        variants = [*record["added"], *set_]
    for variant in variants:
        for key, array in ARRAYS.items():
            if value := variant.get(key):
                yield array, value


def _insert(record: Create, now: datetime) -> InsertOne[Document]:
    variants = [stamped(variant, now) for variant in record["product"]["variants"]]
    document: Document = {**record["product"], "created_at": now, "updated_at": now, "deleted_at": None}
    return InsertOne(document | {"variants": variants})


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

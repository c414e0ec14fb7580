"""What a listing asks of the database: conditions, order, and the index that holds all that both need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pymongo import ASCENDING, DESCENDING

from batchbus_service.domain.listing import Listing
from batchbus_service.storage.mongo import indexes
from batchbus_service.storage.mongo.driver import Document

__all__ = ["EVER", "Selection", "select"]

EVER: Final = {"$gte": datetime(2000, 1, 1, tzinfo=UTC), "$lte": datetime(9999, 1, 1, tzinfo=UTC)}
"""Of a time: that there is one. Bounded on both sides, as the embedded database needs it."""

_NEVER: Final = {"$not": {"$gte": EVER["$gte"]}}
"""Not `null`: an index holds the same for null and for an empty list, so MongoDB would read each document to be sure."""
_ANY: Final = {"$gte": ""}
"""Any text: MongoDB reads documents to decide on conditions if none is on the first field of the index."""

_ALWAYS_THERE: Final = ("id", "type", "status", "dry_run", "created_by", "created_at", "updated_at")
_NEVER_THERE: Final = "deleted_at"
_ID: Final = "_id"

Order = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs in an order. The index holds every field of both, but where single jobs are asked for by their ids."""

    where: Document
    parts: tuple[Document, ...]
    """`where` in pieces that share no job, in the order in which they are listed."""
    order: Order
    """Within each part."""
    index: str


def select(listing: Listing) -> Selection:
    where = _conditions(listing)
    return Selection(where, _parts(where, listing), _order(listing), _index(listing))


def _conditions(listing: Listing) -> Document:
    """The most selective first: the embedded database takes the first that it has an index for."""
    where: Document = {}
    if listing.ids is not None:
        where[_ID] = _one_of(listing.ids)
    if listing.created_by is not None:
        where["created_by"] = listing.created_by
    elif listing.order == "created_by":
        where["created_by"] = _ANY
    if listing.statuses is not None:
        where["status"] = _one_of([status.value for status in listing.statuses])
    elif _index(listing) == indexes.BY_STATUS:
        where["status"] = _ANY
    where["created_at"] = EVER
    if listing.types is not None:
        where["type"] = _one_of(listing.types)
    for field, bounds in listing.times.items():
        compared = {f"${comparison}": time for comparison, time in bounds.items()}
        where[field] = (EVER | compared if field == "created_at" else compared) or _NEVER
    return where


def _one_of(values: Sequence[str]) -> Document | str:
    return values[0] if len(values) == 1 else {"$in": list(values)}


def _parts(where: Document, listing: Listing) -> tuple[Document, ...]:
    """Ordered by a time that not every job has, those without come last, as for Medusa's database, and first if the
    order is descending. MongoDB has it the other way round, so they are looked for apart.
    """
    field = listing.order
    if field in (*_ALWAYS_THERE, _NEVER_THERE) or field in where:
        return (where,)
    reached, never = where | {field: EVER}, where | {field: _NEVER}
    return (never, reached) if listing.descending else (reached, never)


def _order(listing: Listing) -> Order:
    """Jobs that are equal in the field come newest first."""
    direction = DESCENDING if listing.descending else ASCENDING
    newest: Order = [("created_at", DESCENDING), (_ID, DESCENDING)]
    match listing.order:
        case "id":
            return [(_ID, direction)]
        case "created_at":
            return [("created_at", direction), (_ID, direction)]
        case "created_by" if listing.created_by is not None:
            return newest
        case "deleted_at":
            return newest  # nothing deletes a job
        case field:
            return [(field, direction), *newest]


def _index(listing: Listing) -> str:
    if listing.ids is not None:
        return indexes.BY_ID
    if listing.created_by is not None or listing.order == "created_by":
        return indexes.OWN
    return indexes.BY_STATUS if listing.statuses is not None or listing.order == "status" else indexes.ALL

"""Finding the jobs that a listing asks for: a query of the job documents, which changes nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING

from batchbus_service.http.listing import Listing
from batchbus_service.job import Job
from batchbus_service.stores.document import Document, readable
from batchbus_service.stores.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["find_jobs"]

_ID: Final = "_id"
_ALWAYS_THERE: Final = ("id", "type", "status", "dry_run", "created_by", "created_at", "updated_at")
_EVER: Final = {"$gte": datetime(2000, 1, 1, tzinfo=UTC), "$lte": datetime(9999, 1, 1, tzinfo=UTC)}
"""Bounds on both sides: what the embedded database needs to serve a list by an index."""


async def find_jobs(database: AsyncIOMotorDatabase[dict[str, Any]], listing: Listing) -> tuple[list[Job], int]:
    """The page, and how many jobs there are in all. Raises `StoreUnavailable`."""
    jobs, order = database["jobs"], _order(listing)
    skip, room, total = _rounded(listing.offset), _rounded(listing.limit), 0
    page: list[Document] = []
    with answered():
        for where in _parts(listing):
            count = await jobs.count_documents(where)
            if room > len(page) and skip < count:
                page += await jobs.find(where).sort(order).skip(skip).limit(room - len(page)).to_list(None)
            skip = max(0, skip - count)
            total += count
    return readable(page), total


def _parts(listing: Listing) -> list[Document]:
    """What to look for, in the order in which it is listed.

    Ordered by a time that not every job has, those without come last, as for Medusa's database, and first if the order
    is descending. MongoDB has it the other way round, so they are looked for apart.
    """
    where, field = _conditions(listing), listing.order
    if field in _ALWAYS_THERE or field in where:
        return [where]
    reached, never = where | {field: {"$ne": None}}, where | {field: None}
    return [never, reached] if listing.descending else [reached, never]


def _conditions(listing: Listing) -> Document:
    where: Document = {"created_at": _EVER}
    if listing.created_by is not None:
        where["created_by"] = listing.created_by
    for field, words in ((_ID, listing.ids), ("type", listing.types), ("status", listing.statuses)):
        if words is not None:
            where[field] = {"$in": [str(word) for word in words]}
    for field, bounds in listing.times.items():
        compared = {f"${comparison}": time for comparison, time in bounds.items()}
        where[field] = (_EVER | compared if field == "created_at" else compared) or None
    return where


def _order(listing: Listing) -> list[tuple[str, int]]:
    """Jobs that are equal in the field come newest first."""
    direction = DESCENDING if listing.descending else ASCENDING
    match listing.order:
        case "id":
            return [(_ID, direction)]
        case "created_at":
            return [("created_at", direction), (_ID, direction)]
        case field:
            return [(field, direction), ("created_at", DESCENDING), (_ID, DESCENDING)]


def _rounded(number: float) -> int:
    """Half up, as Medusa's database does with a limit of 1.5."""
    return math.floor(number + 0.5)

"""Finding the jobs that a listing asks for: queries of the job documents, which change nothing."""

from __future__ import annotations

import math
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.codec_options import CodecOptions
from pymongo import DESCENDING

from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import Clock, UnreadableJob
from batchbus_service.http.medusa.listing import Listing
from batchbus_service.http.medusa.selection import EVER, Selection, select
from batchbus_service.http.medusa.totals import Totals
from batchbus_service.storage.mongo.document import Document, from_document, stand_in
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

__all__ = ["JobFinder"]

_FIRST_SLICE: Final = timedelta(seconds=1)
_WIDER: Final = 4


class JobFinder:
    """One per process.

    A page is found in two steps: which jobs, from an index alone, then those jobs. So no document is read that is not
    on the page, however far down the list it is. A job that changes between the two is shown as it is now.

    MongoDB is told which index to use. The embedded database is not: it would read all of that index. It reads every
    document of the range it looks at anyway, so it is asked for the newest in slices.
    """

    def __init__(self, database: AsyncIOMotorDatabase[Document], clock: Clock, *, embedded: bool) -> None:
        options: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._jobs: AsyncIOMotorCollection[Document] = database.get_collection("jobs", codec_options=options)
        self._clock = clock
        self._embedded = embedded
        self._totals = Totals(clock)

    async def find(self, listing: Listing) -> tuple[list[Job], int]:
        """The page, and how many jobs there are in all, as `Totals` has it. Raises `StoreUnavailable`."""
        selection = select(listing)
        skip, room = _rounded(listing.offset), _rounded(listing.limit)
        found: list[str] = []
        total = 0
        with answered():
            for where in selection.parts:
                more = await self._ids(where, selection, skip, room - len(found))
                found += more
                if len(found) == room:
                    return await self._read(found), await self._total(selection)
                # The part has ended, and its size is known, unless all of it was skipped.
                size = skip + len(more) if more or not skip else await self._count(where, selection)
                skip = max(0, skip - size)
                total += size
            return await self._read(found), total

    async def _ids(self, where: Document, selection: Selection, skip: int, limit: int) -> list[str]:
        if self._embedded and _newest_of_all(selection):
            return (await self._newest(where, selection, skip + limit))[skip:]
        cursor = self._jobs.find(where, {"_id": True}).sort(selection.order).skip(skip).limit(limit)
        if not self._embedded:
            # Far down a list in an order that the index does not have, the keys to sort may not fit into memory.
            cursor = cursor.hint(selection.index).allow_disk_use(True)
        return [document["_id"] for document in await cursor.to_list(None)]

    async def _newest(self, where: Document, selection: Selection, want: int) -> list[str]:
        found: list[str] = []
        now, high, width = self._clock.now(), EVER["$lte"], _FIRST_SLICE
        while len(found) < want and high > EVER["$gte"]:
            low = max(now - width, EVER["$gte"])
            slice_ = where | {"created_at": {"$gte": low, "$lt": high}}
            cursor = self._jobs.find(slice_, {"_id": True}).sort(selection.order).limit(want - len(found))
            found += [document["_id"] for document in await cursor.to_list(None)]
            high, width = low, width * _WIDER
        return found

    async def _read(self, ids: list[str]) -> list[Job]:
        found = await self._jobs.find({"_id": {"$in": ids}}).to_list(None)
        documents = {document["_id"]: document for document in found}
        return [_shown(documents[job_id]) for job_id in ids if job_id in documents]

    async def _total(self, selection: Selection) -> int:
        where = selection.where
        return await self._totals.total(bson.encode(where), lambda: self._count(where, selection))

    async def _count(self, where: Document, selection: Selection) -> int:
        hint: dict[str, Any] = {} if self._embedded else {"hint": selection.index}
        return await self._jobs.count_documents(where, **hint)


def _shown(document: Document) -> Job:
    """A job that cannot be read has its place in the list, with the reason: it must not hide the others, nor itself."""
    try:
        return from_document(document)
    except UnreadableJob as error:
        return stand_in(document, str(error))


def _newest_of_all(selection: Selection) -> bool:
    """Whether it is the list that everyone sees first: the newest, with no condition but whose they are."""
    asked = {field: condition for field, condition in selection.where.items() if field != "created_by"}
    return asked == {"created_at": EVER} and selection.order[0] == ("created_at", DESCENDING)


def _rounded(number: float) -> int:
    """Half up, as Medusa's database does with a limit of 1.5."""
    return math.floor(number + 0.5)

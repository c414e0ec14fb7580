"""Lists of jobs on MongoDB: queries of the job documents, which change nothing."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from batchbus_service.domain.bus_rules import label_of
from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import Job
from batchbus_service.domain.listing import Listing
from batchbus_service.domain.ports import Clock
from batchbus_service.storage.mongo.codec import encoded
from batchbus_service.storage.mongo.collection import DESCENDING, Collection, Database
from batchbus_service.storage.mongo.document import A_JOB, from_document, stand_in
from batchbus_service.storage.mongo.driver import Document, Stored
from batchbus_service.storage.mongo.jobs import entry_of
from batchbus_service.storage.mongo.listing_query import EVER, Selection, select
from batchbus_service.storage.mongo.reading import read
from batchbus_service.storage.mongo.totals import Totals

__all__ = ["MongoJobListings"]

_FIRST_SLICE: Final = timedelta(seconds=1)
_WIDER: Final = 4


class MongoJobListings:
    """`JobListings`.

    A page is found in two steps: which jobs, from an index alone, then those jobs. So no document is read that is not
    on the page, however far down the list it is. A job that changes between the two is shown as it is now.

    MongoDB is told which index to use. The embedded database is not: it would read all of that index. It reads every
    document of the range it looks at anyway, so it is asked for the newest in slices.
    """

    def __init__(self, database: Database, clock: Clock, *, embedded: bool) -> None:
        self._jobs = Collection(database, "jobs")
        self._clock = clock
        self._embedded = embedded
        self._totals = Totals(clock)

    async def find(self, listing: Listing) -> tuple[list[Job], int]:
        selection = select(listing)
        skip, room = _rounded(listing.offset), _rounded(listing.limit)
        found: list[str] = []
        total = 0
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

    async def made_file(self, key: str, *, user_id: str | None = None, principal: str | None = None) -> bool:
        owners: list[Document] = [{"created_by": user_id}] if user_id is not None else []
        if principal is not None:
            before = {"principal": {"$exists": False}, "created_by": f"bus:{label_of(principal)}"}
            owners += [{"principal": principal}, before]
        for owner in owners:
            if await self._jobs.find_one({"result.file_key": key, **owner}, {"_id": True}) is not None:
                return True
        return False

    async def unreadable(self, *, newest: int) -> list[UnreadableJob]:
        unreadable: list[UnreadableJob] = []
        for document in await self._jobs.find({}, order=[("_id", DESCENDING)], limit=newest):
            try:
                read(A_JOB, document, entry_of)
            except UnreadableJob as error:
                unreadable.append(error)
        return unreadable

    async def _ids(self, where: Document, selection: Selection, skip: int, limit: int) -> list[str]:
        if self._embedded and _newest_of_all(selection):
            return (await self._newest(where, selection, skip + limit))[skip:]
        index = None if self._embedded else selection.index
        found = await self._jobs.find(where, {"_id": True}, order=selection.order, skip=skip, limit=limit, index=index)
        return [document["_id"] for document in found]

    async def _newest(self, where: Document, selection: Selection, want: int) -> list[str]:
        found: list[str] = []
        now, high, width = self._clock.now(), EVER["$lte"], _FIRST_SLICE
        while len(found) < want and high > EVER["$gte"]:
            low = max(now - width, EVER["$gte"])
            slice_ = where | {"created_at": {"$gte": low, "$lt": high}}
            more = await self._jobs.find(slice_, {"_id": True}, order=selection.order, limit=want - len(found))
            found += [document["_id"] for document in more]
            high, width = low, width * _WIDER
        return found

    async def _read(self, ids: list[str]) -> list[Job]:
        found = await self._jobs.find({"_id": {"$in": ids}})
        documents = {document["_id"]: document for document in found}
        return [_shown(documents[job_id]) for job_id in ids if job_id in documents]

    async def _total(self, selection: Selection) -> int:
        where = selection.where
        return await self._totals.total(encoded(where), lambda: self._count(where, selection))

    async def _count(self, where: Document, selection: Selection) -> int:
        return await self._jobs.count(where, index=None if self._embedded else selection.index)


def _shown(document: Stored) -> Job:
    """A job that cannot be read has its place in the list, with the reason: it must not hide the others, nor itself."""
    try:
        return read(A_JOB, document, from_document)
    except UnreadableJob as error:
        return stand_in(document, str(error))


def _newest_of_all(selection: Selection) -> bool:
    """Whether it is the list that everyone sees first: the newest, with no condition but whose they are."""
    asked = {field: condition for field, condition in selection.where.items() if field != "created_by"}
    return asked == {"created_at": EVER} and selection.order[0] == ("created_at", DESCENDING)


def _rounded(number: float) -> int:
    """Half up, as Medusa's database does with a limit of 1.5."""
    return math.floor(number + 0.5)

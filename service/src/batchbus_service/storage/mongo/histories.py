"""The jobs' histories on MongoDB, read in one pass over the jobs, by when these were created.

To ask for events in order of time would take an index that every job would pay for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo.errors import CursorNotFound

from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import SCHEMA
from batchbus_service.domain.ports import RecordedHistory
from batchbus_service.domain.selection import Selection
from batchbus_service.storage.mongo.collection import Database
from batchbus_service.storage.mongo.document import A_JOB, history_of
from batchbus_service.storage.mongo.driver import AWARE, Document, Stored, answered
from batchbus_service.storage.mongo.reading import readable

__all__ = ["MongoHistoryReader"]

_PROJECTION: Final = ("type", "history", "schema")
_BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_SLICE: Final = timedelta(minutes=1)
_NARROWEST: Final = timedelta(milliseconds=1)
_FEW, _MANY = 500, 5000
"""Jobs in a slice of time: with fewer the next one is wider, with more it is cut in two."""


class MongoHistoryReader:
    """`HistoryReader` on the collection `jobs`, with the driver that is beneath Motor's, since it is read in threads."""

    def __init__(self, database: Database) -> None:
        self._jobs = database.get_collection("jobs", codec_options=AWARE).delegate

    def read(self, selection: Selection) -> Iterator[RecordedHistory]:
        with answered():
            yield from readable(A_JOB, self._documents(selection), _recorded)

    def _documents(self, selection: Selection) -> Iterator[Document]:
        """The jobs that may have such events, from the newest slice of time to the oldest.

        In slices, because the embedded database holds all that a query finds in memory; of jobs chosen by their ids
        there are few.
        """
        query = _query(selection)
        if selection.job_ids:
            yield from self._found(query)
            return
        high, width = selection.until or datetime.now(UTC), _FIRST_SLICE
        while high > _BEFORE_ALL:
            low = max(high - width, _BEFORE_ALL)
            where = query | {"created_at": {"$gte": low, "$lt": high}}
            size = self._jobs.count_documents(where)
            if size > _MANY and width > _NARROWEST:
                width /= 2
                continue
            if size:
                yield from self._found(where)
            high = low
            if size < _FEW:
                width *= 4

    def _found(self, where: Stored) -> Iterator[Document]:
        """The jobs; by a new query for the rest where the server has ended the cursor, as it does to slow readers."""
        seen: list[object] = []
        while True:
            before = len(seen)
            query = {"$and": [where, {"_id": {"$nin": seen}}]} if seen else where
            try:
                for document in self._jobs.find(query, list(_PROJECTION)):
                    seen.append(document["_id"])
                    yield document
                return
            except CursorNotFound:
                if len(seen) == before:
                    raise


def _query(selection: Selection) -> Document:
    """The jobs that may have such events."""
    query: Document = {}
    for field, values in (
        ("_id", selection.job_ids),
        ("type", selection.batch_types),
        ("status", [status.value for status in selection.statuses]),
        ("created_by", selection.created_by),
    ):
        if values:
            query[field] = {"$in": list(values)}
    if selection.until:
        query["created_at"] = {"$lt": selection.until}
    if selection.since:
        query["updated_at"] = {"$gte": selection.since}
    return query


def _recorded(document: Stored) -> RecordedHistory:
    if document.get("schema", SCHEMA) > SCHEMA:
        raise UnreadableJob(document["_id"], f"a newer batchbus wrote it (schema {document['schema']})")
    return RecordedHistory(document["_id"], document["type"], history_of(document))

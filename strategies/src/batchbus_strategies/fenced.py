"""Writes to the catalogue that a run which was presumed dead cannot do over what the next one has written.

A run may be frozen between `ensure_lease` and its write for longer than its lease; when it wakes up, the write goes out
all the same, and only the database can refuse it. So each record keeps who wrote it: the job, the run's fencing token,
and the step. A write matches unless a newer run of the same job has written the record, or this step is done. Where it
does not match, the upsert finds the record in its way: that duplicate key is the refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from batchbus_strategies.json_values import as_count
from batchbus_strategies.strategy import Document, Fields, LeaseLost, StrategyError
from batchbus_strategies.writes import RecordWrite, Written

if TYPE_CHECKING:
    import pymongo.collection
    from motor.motor_asyncio import AsyncIOMotorCollection

__all__ = ["MARK", "FencedWriter"]

MARK: Final = "_batchbus"
"""The field of a record that says who wrote it: `{job, fence, step}`."""
_DUPLICATE_KEY: Final = 11000
_TRIES: Final = 3


class FencedWriter:
    """Writes for one run: `fence` is its number, greater than that of every earlier run of the job."""

    def __init__(self, job_id: str, fence: int) -> None:
        self._job_id = job_id
        self._fence = fence
        self._named: dict[str, list[frozenset[str]]] = {}
        """The sets of fields that name a record, by collection."""
        self._sparse: set[tuple[str, frozenset[str]]] = set()
        """Those of them whose index leaves records out which have none of the fields."""

    async def write(
        self, collection: AsyncIOMotorCollection[Document], records: Sequence[RecordWrite], step: int | None
    ) -> Written:
        """Raises: `LeaseLost` if a newer run has written one of the records, `StrategyError`, and what the driver raises."""
        if collection.name not in self._named or not self._names(collection.name, records):
            self._learn(collection.name, await collection.index_information())
        open_records, tries = records, 0
        while open_records:
            try:
                await collection.bulk_write(self._updates(collection.name, open_records, step), ordered=False)
            except BulkWriteError as error:
                open_records, tries = _refused(error, open_records), tries + 1
                if self._done_before(
                    open_records, await collection.find(*_of(open_records)).to_list(None), step, last=tries == _TRIES
                ):
                    break
            else:
                open_records = []
        return Written(len(records) - len(open_records), len(open_records))

    def write_blocking(
        self, collection: pymongo.collection.Collection[Document], records: Sequence[RecordWrite], step: int | None
    ) -> Written:
        """As `write`, with PyMongo's own collection."""
        if collection.name not in self._named or not self._names(collection.name, records):
            self._learn(collection.name, collection.index_information())
        open_records, tries = records, 0
        while open_records:
            try:
                collection.bulk_write(self._updates(collection.name, open_records, step), ordered=False)
            except BulkWriteError as error:
                open_records, tries = _refused(error, open_records), tries + 1
                if self._done_before(
                    open_records, list(collection.find(*_of(open_records))), step, last=tries == _TRIES
                ):
                    break
            else:
                open_records = []
        return Written(len(records) - len(open_records), len(open_records))

    def _learn(self, collection: str, indexes: Mapping[str, Fields]) -> None:
        self._named[collection] = [frozenset({"_id"})]
        for index in indexes.values():
            if index.get("unique") and not index.get("partialFilterExpression"):
                fields = frozenset(field for field, _ in index["key"])
                self._named[collection].append(fields)
                if index.get("sparse"):
                    self._sparse.add((collection, fields))

    def _names(self, collection: str, records: Iterable[RecordWrite]) -> bool:
        return all(frozenset(record.key) in self._named[collection] for record in records)

    def _updates(self, collection: str, records: Sequence[RecordWrite], step: int | None) -> list[UpdateOne]:
        step = None if step is None else as_count(step, "write: step")
        _check(records)
        if step is not None and len({frozenset(record.key.items()) for record in records}) < len(records):
            raise StrategyError("write: a record comes twice in one step, which takes effect once on each", public=True)
        for record in records:
            fields = frozenset(record.key)
            if fields not in self._named[collection]:
                names = ", ".join(record.key)
                raise StrategyError(
                    f"write: a record of {collection} is not named by {names}: use _id, or give these a unique index",
                    public=True,
                )
            if (collection, fields) in self._sparse and all(value is None for value in record.key.values()):
                names = ", ".join(record.key)
                raise StrategyError(
                    f"write: a record of {collection} is not named by {names} where that is null", public=True
                )
        unless: list[Document] = [{f"{MARK}.job": self._job_id, f"{MARK}.fence": {"$gt": self._fence}}]
        if step is not None:
            unless.append({f"{MARK}.job": self._job_id, f"{MARK}.step": {"$gte": step}})
        mark: Document = {"job": self._job_id, "fence": self._fence, "step": step}
        return [
            UpdateOne(
                {**record.key, "$nor": unless},
                {**record.update, "$set": {**record.update.get("$set", {}), MARK: mark}},
                upsert=True,
            )
            for record in records
        ]

    def _done_before(
        self, refused: Collection[RecordWrite], found: Sequence[Document], step: int | None, *, last: bool
    ) -> bool:
        """Whether the step was done on all that were refused; if not, somebody has made a record in the same moment.

        `last`: a record was in the way each time, so it is one of another key. Raises `LeaseLost`, `StrategyError`.
        """
        ours = [mark for document in found if (mark := document.get(MARK, {})).get("job") == self._job_id]
        if any(mark["fence"] > self._fence for mark in ours):
            raise LeaseLost(f"A newer run of job {self._job_id} has written what this one was about to write")
        repeated = [mark for mark in ours if step is not None and mark["step"] is not None and mark["step"] >= step]
        if len(repeated) < len(refused) and last:
            raise StrategyError(
                "write: a record has a value that another has already, and a unique index allows it once", public=True
            )
        return len(repeated) >= len(refused)


def _check(records: Sequence[RecordWrite]) -> None:
    for record in records:
        if any(isinstance(value, Mapping | list | tuple) for value in record.key.values()):
            raise StrategyError(f"write: the values of a key have to be plain, not {dict(record.key)!r}")
        for operator, fields in record.update.items():
            if not operator.startswith("$"):
                raise StrategyError(f"write: {operator} is no update operator, such as $set", public=True)
            if any(field.partition(".")[0] == MARK for field in fields):
                raise StrategyError(f"write: the field {MARK} is batchbus's own", public=True)


def _refused(error: BulkWriteError, records: Sequence[RecordWrite]) -> list[RecordWrite]:
    """Raises the error itself, unless it speaks of nothing but duplicate keys."""
    details = error.details
    failures = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or any(failure.get("code") != _DUPLICATE_KEY for failure in failures):
        raise error
    return [records[failure["index"]] for failure in failures]


def _of(records: Iterable[RecordWrite]) -> tuple[Document, list[str]]:
    """The query for these records, and what of them is read."""
    return {"$or": [dict(record.key) for record in records]}, [MARK]

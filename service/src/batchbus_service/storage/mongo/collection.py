"""One collection, in calls that raise only what the ports allow: the base of every store on MongoDB.

No multi-document transaction, no `find_one_and_update`: a store reads, decides, and writes by compare-and-set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeAlias

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel, InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError

from batchbus_service.storage.mongo.driver import AWARE, DURABLE, Document, answered, refusal_of

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["ASCENDING", "DESCENDING", "Collection", "Database", "Order"]

Database: TypeAlias = "AsyncIOMotorDatabase[Document]"
"""batchbus's own database, as the stores are given it."""
Order = Sequence[tuple[str, int]]
Where = Mapping[str, object]


class Collection:
    """Writes are durable once they return, unless another concern is asked for.

    Every method may raise `StoreUnavailable`, and every one that writes `TooLarge`.
    """

    def __init__(self, database: Database, name: str, concern: WriteConcern = DURABLE) -> None:
        self._documents = database.get_collection(name, codec_options=AWARE, write_concern=concern)

    async def create_indexes(self, *indexes: IndexModel, seconds: float | None = None) -> None:
        """Create the indexes, if they are not there yet. `seconds`: how long that may take, if longer than other calls."""
        with answered(), pymongo.timeout(seconds) if seconds is not None else nullcontext():
            await self._documents.create_indexes(list(indexes))

    # -- reading ---------------------------------------------------------------------------------------------------

    async def find_one(self, where: Where, fields: Where | None = None) -> Document | None:
        """The document that matches, if there is one; of several, any."""
        with answered():
            return await self._documents.find_one(where, fields)

    async def find(
        self,
        where: Where,
        fields: Where | None = None,
        *,
        order: Order = (),
        skip: int = 0,
        limit: int = 0,
        index: str | None = None,
    ) -> list[Document]:
        """The documents that match, at most `limit` of them unless it is 0. `index`: the one to use, by its name."""
        with answered():
            cursor = self._documents.find(where, fields)
            if order:
                cursor = cursor.sort(list(order))
            if index is not None:
                # Far down a list in an order that the index does not have, the keys to sort may not fit into memory.
                cursor = cursor.hint(index).allow_disk_use(True)
            return await cursor.skip(skip).limit(limit).to_list(None)

    async def count(self, where: Where, *, limit: int = 0, index: str | None = None) -> int:
        """How many documents match, not counting beyond `limit` unless it is 0. `index`: the one to use, by its name."""
        options: Document = ({"limit": limit} if limit else {}) | ({"hint": index} if index is not None else {})
        with answered():
            return await self._documents.count_documents(where, **options)

    async def total(self, field: str, where: Where) -> int:
        """The sum of a field, in whole numbers, over the documents that match."""
        stages: list[Document] = [{"$match": where}, {"$group": {"_id": None, "total": {"$sum": f"${field}"}}}]
        with answered():
            found = await self._documents.aggregate(stages).to_list(None)
        return int(found[0]["total"]) if found else 0

    async def page(self, where: Where, order: Order, *, offset: int, limit: int) -> tuple[list[Document], int]:
        """Some of the documents that match, and how many do."""
        return await self.find(where, order=order, skip=offset, limit=limit), await self.count(where)

    # -- writing ---------------------------------------------------------------------------------------------------

    async def insert(self, document: Document) -> bool:
        """Add the document. Returns False, and writes nothing, if its id or another unique field is taken."""
        with answered():
            try:
                await self._documents.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def compare_and_set(self, where: Where, update: Where) -> bool:
        """Change one document, if it is still as `where` has it. Returns whether it was."""
        with answered():
            return (await self._documents.update_one(where, update)).matched_count == 1

    async def replace(self, where: Where, document: Document) -> bool:
        """Put the document in the place of one, if that is still as `where` has it. Returns whether it was."""
        with answered():
            return (await self._documents.replace_one(where, document)).matched_count == 1

    async def put(self, where: Where, update: Where) -> bool:
        """Change the document that matches, or make it. Returns False if another process makes it at the same moment."""
        with answered():
            try:
                await self._documents.update_one(where, update, upsert=True)
            except DuplicateKeyError:
                return False
        return True

    async def change_all(self, where: Where, update: Where) -> None:
        """Change every document that matches."""
        with answered():
            await self._documents.update_many(where, update)

    async def change_each(self, changes: Sequence[UpdateOne]) -> int:
        """Many changes in one go, each of one document. Returns for how many there was such a document."""
        with answered():
            return (await self._documents.bulk_write(changes, ordered=False)).matched_count

    async def write_each(
        self, writes: Sequence[InsertOne[Document] | UpdateOne]
    ) -> tuple[int, Mapping[int, Exception]]:
        """Many writes in one go, each by itself.

        Returns how many documents were changed, or were so already, and by the place of each write that the database
        refused why: `DuplicateKeyError`, `TooLarge`, `StoreUnavailable`.
        """
        with answered():
            try:
                return (await self._documents.bulk_write(writes, ordered=False)).matched_count, {}
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                refused = {each["index"]: refusal_of(each) for each in error.details["writeErrors"]}
                return error.details["nMatched"], refused

    async def delete(self, where: Where) -> None:
        """Remove one document that matches, if there is one."""
        with answered():
            await self._documents.delete_one(where)

    async def delete_all(self, where: Where) -> None:
        """Remove every document that matches."""
        with answered():
            await self._documents.delete_many(where)

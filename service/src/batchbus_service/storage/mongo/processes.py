"""The processes that are there, on MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from bson.codec_options import CodecOptions

from batchbus_service.storage.mongo.document import Document
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

__all__ = ["MongoProcessStore"]

_LONG_GONE: Final = timedelta(days=1)


class MongoProcessStore:
    """`ProcessStore` on the collection `processes`, with a small document for each.

    Not as durable as jobs: a sign of life that a crash of the database takes back is given again in a few seconds.
    """

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        options: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
        self._processes: AsyncIOMotorCollection[Document] = database.get_collection("processes", codec_options=options)

    async def renew(self, name: str, until: datetime) -> None:
        with answered():
            await self._processes.update_one({"_id": name}, {"$set": {"alive_until": until}}, upsert=True)

    async def present(self) -> Mapping[str, datetime]:
        with answered():
            found = {each["_id"]: each["alive_until"] for each in await self._processes.find().to_list(None)}
            newest = max(found.values(), default=None)
            gone = [name for name, until in found.items() if newest and until < newest - _LONG_GONE]
            if gone:
                await self._processes.delete_many({"_id": {"$in": gone}})
        return {name: until for name, until in found.items() if name not in gone}

    async def leave(self, name: str) -> None:
        with answered():
            await self._processes.delete_one({"_id": name})

"""Whose uploads are, on MongoDB: the collection `uploads`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymongo import IndexModel

from batchbus_service.domain.ports import Upload
from batchbus_service.storage.mongo.collection import ASCENDING, Collection, Database
from batchbus_service.storage.mongo.driver import Stored
from batchbus_service.storage.mongo.reading import read

__all__ = ["MongoUploadStore"]


class MongoUploadStore:
    """`UploadStore`."""

    def __init__(self, database: Database) -> None:
        self._uploads = Collection(database, "uploads")

    async def prepare(self) -> None:
        await self._uploads.create_indexes(IndexModel([("user_id", ASCENDING), ("size", ASCENDING)], name="kept"))

    async def insert(self, upload: Upload, at: datetime) -> None:
        document = {"_id": upload.key, "user_id": upload.user_id, "public": upload.public, "created_at": at}
        await self._uploads.insert(document)

    async def get(self, key: str) -> Upload | None:
        document = await self._uploads.find_one({"_id": key})
        return read("upload", document, _upload) if document else None

    async def grant(self, key: str, services: Sequence[str]) -> None:
        await self._uploads.compare_and_set({"_id": key}, {"$set": {"services": list(services)}})

    async def keep(self, key: str, counted: int) -> None:
        change = {"$set": {"size": counted}} if counted else {"$unset": {"size": ""}}
        await self._uploads.compare_and_set({"_id": key}, change)

    async def bytes_of(self, user_id: str) -> int:
        return await self._uploads.total("size", {"user_id": user_id, "size": {"$gte": 1, "$lte": 2**62}})

    async def remove(self, key: str) -> None:
        await self._uploads.delete({"_id": key})


def _upload(document: Stored) -> Upload:
    services = tuple(document.get("services", ()))  # earlier versions grant none
    return Upload(document["_id"], document["user_id"], document["public"], services)

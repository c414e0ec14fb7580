"""What was given away of each limit, on MongoDB: a small document for each name."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo import ASCENDING, IndexModel

from batchbus_service.domain.permits import PermitWindow
from batchbus_service.storage.mongo.collection import Collection, Database
from batchbus_service.storage.mongo.driver import Stored
from batchbus_service.storage.mongo.reading import read

__all__ = ["MongoPermitStore"]

_EXPIRY: Final = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry")
_KEPT_FOR: Final = timedelta(days=7)


class MongoPermitStore:
    """`PermitStore` on the collection `limits`."""

    def __init__(self, database: Database) -> None:
        self._limits = Collection(database, "limits")

    async def prepare(self) -> None:
        await self._limits.create_indexes(_EXPIRY)

    async def get(self, name: str) -> PermitWindow | None:
        document = await self._limits.find_one({"_id": name})
        return read("limit", document, _window) if document else None

    async def write(self, old: PermitWindow | None, new: PermitWindow) -> bool:
        document = asdict(new)
        document["_id"] = document.pop("name")
        document["expires_at"] = datetime.fromtimestamp(new.start + new.seconds, UTC) + _KEPT_FOR
        if old is None:
            return await self._limits.insert(document)
        return await self._limits.replace({"_id": old.name, "version": old.version}, document)


def _window(document: Stored) -> PermitWindow:
    fields = {name: value for name, value in document.items() if name not in ("_id", "expires_at")}
    return PermitWindow(name=document["_id"], **fields)

"""The processes that are there, on MongoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from batchbus_service.domain.ports.server import Sign
from batchbus_service.storage.mongo.collection import Collection, Database
from batchbus_service.storage.mongo.driver import Stored

__all__ = ["MongoProcessStore"]

_LONG_GONE: Final = timedelta(days=1)


class MongoProcessStore:
    """`ProcessStore` on the collection `processes`, with a small document for each."""

    def __init__(self, database: Database) -> None:
        self._processes = Collection(database, "processes")

    async def renew(self, name: str, until: datetime, types: Sequence[str] = ()) -> None:
        await self._processes.put({"_id": name}, {"$set": {"alive_until": until, "types": list(types)}})

    async def present(self) -> Mapping[str, Sign]:
        found = {each["_id"]: _sign(each) for each in await self._processes.find({})}
        newest = max((sign.until for sign in found.values()), default=None)
        gone = [name for name, sign in found.items() if newest and sign.until < newest - _LONG_GONE]
        if gone:
            await self._processes.delete_all({"_id": {"$in": gone}})
        return {name: sign for name, sign in found.items() if name not in gone}

    async def leave(self, name: str) -> None:
        await self._processes.delete({"_id": name})


def _sign(document: Stored) -> Sign:
    return Sign(document["alive_until"], tuple(document["types"]) if "types" in document else None)

"""The MongoDB server itself: its time, its version, whether it works, and users who see one database alone."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from pymongo.errors import OperationFailure

from batchbus_service.storage.mongo.collection import Collection
from batchbus_service.storage.mongo.driver import answered

if TYPE_CHECKING:
    from batchbus_service.storage.mongo.collection import Database

__all__ = ["MongoServer"]


class MongoServer:
    """`DatabaseServer`, and what an embedded server can do besides."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = Collection(database, "jobs")
        self._probes = Collection(database, "readiness")

    async def time(self) -> datetime:
        with answered():
            hello = await self._database.command("hello")
        time: datetime = hello["localTime"]
        return time.replace(tzinfo=UTC)

    async def version(self) -> str:
        with answered():
            return str((await self._database.client.server_info())["version"])

    async def try_out(self, *, write: bool = True) -> None:
        await self._jobs.find_one({"_id": "batch_none"}, {"_id": True})
        if write:
            await self._probes.put({"_id": "probe"}, {"$set": {"at": datetime.now(UTC)}})

    async def catalog_user(self, url: str, database: str) -> str:
        """The URL of a user who may read and write that database and nothing else; `url` is that of `EmbeddedMongo.start`.

        Its password follows from the owner's, so that it need not be kept, and says nothing of it.
        """
        owner = urlsplit(url)
        name = f"catalog-{database}"
        password = hmac.digest(unquote(owner.password or "").encode(), name.encode(), "sha256").hex()
        roles = [{"role": "readWrite", "db": database}]
        admin = self._database.client.admin
        with answered():
            try:
                await admin.command("createUser", name, pwd=password, roles=roles)
            except OperationFailure:  # there is one already
                await admin.command("updateUser", name, pwd=password, roles=roles)
        return f"mongodb://{quote(name)}:{password}@{owner.hostname}:{owner.port}/?authSource=admin"

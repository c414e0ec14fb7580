"""The connection to batchbus's own database, and every store on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_service.domain.ports import Clock, Stores
from batchbus_service.storage.mongo.access import (
    MongoIdentityStore,
    MongoLoginStore,
    MongoSessionStore,
    MongoTokenStore,
    MongoUserStore,
)
from batchbus_service.storage.mongo.audit import MongoAuditStore
from batchbus_service.storage.mongo.collection import Database
from batchbus_service.storage.mongo.driver import Document, answered, client_options
from batchbus_service.storage.mongo.histories import MongoHistoryReader
from batchbus_service.storage.mongo.jobs import MongoJobStore
from batchbus_service.storage.mongo.listings import MongoJobListings
from batchbus_service.storage.mongo.parked import MongoParkedStore
from batchbus_service.storage.mongo.permits import MongoPermitStore
from batchbus_service.storage.mongo.processes import MongoProcessStore
from batchbus_service.storage.mongo.replays import MongoReplayStore
from batchbus_service.storage.mongo.server import MongoServer
from batchbus_service.storage.mongo.uploads import MongoUploadStore

__all__ = ["mongo_stores", "open_database"]


@asynccontextmanager
async def open_database(url: str, name: str, *, answer_seconds: float) -> AsyncIterator[Database]:
    """The database of that name, through a client bound to the running event loop; nothing is asked of the server yet.

    `answer_seconds`: how long each call may take. Raises `StoreUnavailable` if the URL is none.
    """
    with answered():
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url, io_loop=asyncio.get_running_loop(), **client_options(answer_seconds)
        )
    try:
        yield client[name]
    finally:
        client.close()


def mongo_stores(database: Database, clock: Clock, *, embedded: bool) -> Stores:
    """Every store on the database. `embedded`: whether it is the embedded one, which plans its queries otherwise."""
    return Stores(
        server=MongoServer(database),
        jobs=MongoJobStore(database),
        processes=MongoProcessStore(database),
        listings=MongoJobListings(database, clock, embedded=embedded),
        uploads=MongoUploadStore(database),
        replays=MongoReplayStore(database),
        histories=MongoHistoryReader(database),
        parked=MongoParkedStore(database),
        permits=MongoPermitStore(database),
        users=MongoUserStore(database),
        tokens=MongoTokenStore(database),
        sessions=MongoSessionStore(database),
        logins=MongoLoginStore(database),
        audit=MongoAuditStore(database),
        identities=MongoIdentityStore(database),
    )

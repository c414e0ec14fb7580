"""One store of each kind, in one process."""

from __future__ import annotations

from datetime import datetime

from batchbus_service.domain.ports import Stores
from batchbus_service.storage.clock import SystemClock
from tests.storage.memory.access import (
    MemoryAuditStore,
    MemoryIdentityStore,
    MemoryLoginStore,
    MemorySessionStore,
    MemoryTokenStore,
    MemoryUserStore,
)
from tests.storage.memory.jobs import MemoryJobStore, MemoryProcessStore
from tests.storage.memory.listings import MemoryJobListings, MemoryUploadStore
from tests.storage.memory.operations import MemoryHistoryReader, MemoryParkedStore, MemoryReplayStore
from tests.storage.memory.permits import MemoryPermitStore

__all__ = ["MemoryServer", "memory_stores"]


class MemoryServer:
    """`DatabaseServer` that is this process itself."""

    async def time(self) -> datetime:
        return SystemClock().now()

    async def version(self) -> str:
        return "none"

    async def try_out(self, *, write: bool = True) -> None:
        pass


def memory_stores() -> Stores:
    """Empty stores that know of each other."""
    jobs = MemoryJobStore()
    return Stores(
        server=MemoryServer(),
        jobs=jobs,
        processes=MemoryProcessStore(),
        listings=MemoryJobListings(jobs),
        uploads=MemoryUploadStore(),
        replays=MemoryReplayStore(),
        histories=MemoryHistoryReader(jobs),
        parked=MemoryParkedStore(),
        permits=MemoryPermitStore(),
        users=MemoryUserStore(),
        tokens=MemoryTokenStore(),
        sessions=MemorySessionStore(),
        logins=MemoryLoginStore(),
        audit=MemoryAuditStore(),
        identities=MemoryIdentityStore(),
    )

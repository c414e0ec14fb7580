"""What every benchmark stands on: a throwaway RabbitMQ, a database server, and workers as processes of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from batchbus_service.storage.mongo.embedded import EmbeddedMongo
from tests.engine.installation import Installation
from tests.rabbitmq_node import RabbitNode

__all__ = ["Ground", "open_ground", "peak_memory"]


@dataclass(frozen=True)
class Ground:
    """Addresses of the servers that all measurements of a run share."""

    amqp_url: str
    mongo_url: str
    database: str
    """What the database server is, for the report."""
    embedded: bool
    folder: Path

    @asynccontextmanager
    async def installation(self) -> AsyncIterator[Installation]:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        async with Installation.open(self.amqp_url, self.mongo_url, folder) as installation:
            yield installation


@asynccontextmanager
async def open_ground() -> AsyncIterator[Ground]:
    """`BATCHBUS_BENCH_MONGODB_URL` and `BATCHBUS_TEST_AMQP_URL` name other servers than those started here."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="batchbus-bench-")))
        mongo_url = os.environ.get("BATCHBUS_BENCH_MONGODB_URL")
        embedded = mongo_url is None
        database = "the server of BATCHBUS_BENCH_MONGODB_URL" if mongo_url else "the embedded MongoDB"
        if mongo_url is None:
            mongo_url = await stack.enter_async_context(EmbeddedMongo.start(folder))
        amqp_url = os.environ.get("BATCHBUS_TEST_AMQP_URL") or stack.enter_context(RabbitNode()).url
        yield Ground(amqp_url, mongo_url, database, embedded, folder)


def peak_memory(pid: int) -> int:
    """The most memory the process has had resident, in bytes (`VmHWM`)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123 - no file on a disk
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

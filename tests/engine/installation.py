"""One installation of batchbus for one test: a virtual host, a database, a folder, and workers that meet there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final, TypeVar

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.rabbitmq import RabbitBus
from batchbus_service.app.bootstrap import Service, Timeouts, open_service
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.settings import Settings
from batchbus_service.storage.mongo.jobs import MongoJobStore
from batchbus_service.telemetry.tracing import Tracer
from batchbus_strategies import Json
from tests.engine.following import Followed
from tests.engine.processes import WorkerProcess
from tests.patience import PATIENCE

__all__ = ["Installation"]

_PATIENCE: Final = Timeouts()
_BATCH_TYPES: Final = Path(__file__).parent / "batch_types"


@dataclass(frozen=True)
class Installation:
    """Also the client: it publishes triggers, follows all events, and looks into the database."""

    amqp_url: str
    mongo_url: str
    database: AsyncIOMotorDatabase[dict[str, Any]]
    folder: Path
    bus: RabbitBus
    """The connection of a client; no worker uses it."""
    followed: Followed
    store: MongoJobStore

    @classmethod
    @asynccontextmanager
    async def open(
        cls, amqp_url: str, mongo_url: str, folder: Path, *, may_miss: bool = False, replicated: bool = False
    ) -> AsyncIterator[Installation]:
        """`may_miss` and `replicated`: see `Followed.open`."""
        async with AsyncExitStack() as stack:
            client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url, tz_aware=True, tzinfo=UTC)
            stack.callback(client.close)
            database = client[f"tests_{new_ulid().lower()}"]
            for name in (database.name, f"{database.name}_c"):
                stack.push_async_callback(client.drop_database, name)
            bus = await stack.enter_async_context(RabbitBus.open(amqp_url, name="tests"))
            followed = await stack.enter_async_context(Followed.open(bus, may_miss=may_miss, replicated=replicated))
            yield cls(amqp_url, mongo_url, database, folder, bus, followed, MongoJobStore(database))

    @property
    def catalog(self) -> AsyncIOMotorDatabase[dict[str, Any]]:
        """Where the batch types of the tests leave their traces."""
        return self.database.client[f"{self.database.name}_c"]

    # -- workers ---------------------------------------------------------------------------------------------------

    def environment(self, **settings: object) -> dict[str, str]:
        """The variables that make a process part of this installation; `settings` by their names in `Settings`."""
        values: dict[str, object] = {
            "amqp_url": self.amqp_url,
            "mongodb_url": self.mongo_url,
            "mongodb_database": self.database.name,
            "catalog_database": self.catalog.name,
            "data_dir": self.folder,
            "strategies_dir": _BATCH_TYPES,
            "lease_seconds": 3,
            "bus_files": "guest=*",
            "progress_interval_seconds": 0.05,
            "isolation": os.environ.get("BATCHBUS_TEST_ISOLATION", "marked"),
            **settings,
        }
        assert not (unknown := settings.keys() - Settings.model_fields.keys()), f"no settings: {unknown}"
        return {f"BATCHBUS_{name}".upper(): str(value) for name, value in values.items()}

    @asynccontextmanager
    async def worker(
        self, *, timeouts: Timeouts = _PATIENCE, tracer: Tracer | None = None, **settings: object
    ) -> AsyncIterator[Service]:
        """A service with a worker, in this process."""
        values = {name.removeprefix("BATCHBUS_").lower(): value for name, value in self.environment(**settings).items()}
        async with open_service(Settings.model_validate(values), timeouts=timeouts, tracer=tracer) as service:
            yield service

    @asynccontextmanager
    async def worker_process(
        self, *, timeouts: Timeouts = _PATIENCE, **settings: object
    ) -> AsyncIterator[WorkerProcess]:
        log = self.folder / f"worker-{new_ulid()}.log"
        async with WorkerProcess.start(self.environment(**settings), log, timeouts) as process:
            yield process

    # -- what a client does ----------------------------------------------------------------------------------------

    async def create(
        self, batch_type: str, *, dry_run: bool = False, job_id: str | None = None, **context: Json
    ) -> str:
        """Publish `batch.created`. Returns the job's id."""
        job_id = job_id or new_job_id()
        await self.publish(self.trigger("created", job_id, type=batch_type, dry_run=dry_run, context=context))
        return job_id

    async def confirm(self, job_id: str) -> str:
        """Returns the trigger's id."""
        return await self.publish(self.trigger("confirmed", job_id))

    async def cancel(self, job_id: str) -> str:
        """Returns the trigger's id."""
        return await self.publish(self.trigger("canceled", job_id))

    @staticmethod
    def trigger(word: str, job_id: str | None, **data: Json) -> Event:
        return Event(type=f"batch.{word}", source="/tests", id=new_ulid(), subject=job_id, data=data)

    async def publish(self, trigger: Event) -> str:
        await self.publish_raw(encode(trigger), trigger.type)
        return trigger.id

    async def publish_raw(self, body: bytes, routing_key: str = "batch.created") -> None:
        await self.bus.publish(topics.TRIGGERS, Message(body=body, routing_key=routing_key))

    async def job(self, job_id: str) -> Job:
        job = await self.store.get(job_id)
        assert job is not None, f"There is no job {job_id}"
        return job

    @staticmethod
    async def retry(service: Service, job_id: str) -> None:
        """As an operator does."""
        transitions = service.transitions
        await transitions.change_by_id(job_id, lambda job, now: transitions.decider.retry(job, now, Cause()))

    # -- what no event tells of: asked for again and again -------------------------------------------------------------

    async def until(self, job_id: str, reached: Callable[[Job], bool]) -> Job:
        """The job, once it is there, and as wanted in the database."""

        async def asked() -> Job | None:
            job = await self.store.get(job_id)
            return job if job is not None and reached(job) else None

        return await _poll(asked)

    async def written(self, job_id: str) -> None:
        """Until a strategy of the job has left a trace in the catalogue."""

        async def asked() -> bool:
            return await self.catalog.traces.count_documents({"job": job_id}) > 0

        await _poll(asked)

    async def early(self, job_id: str, count: int) -> None:
        """Until so many triggers wait for a job that is not there."""

        async def asked() -> bool:
            found = await self.store.placeholder(job_id)
            return found is not None and len(found.triggers) >= count

        await _poll(asked)

    async def all_published(self) -> None:
        """Until every event of every job is marked as published."""
        unpublished = {"$expr": {"$lt": ["$published", {"$size": "$history"}]}}

        async def asked() -> bool:
            return await self.database.jobs.find_one(unpublished, {"_id": 1}) is None

        await _poll(asked)

    async def queued(self, queue: str, *, messages: int | None = None, consumers: int | None = None) -> None:
        """Until the queue is there, and has so many messages that wait, and so many consumers."""
        async with await aio_pika.connect(self.amqp_url) as connection:

            async def asked() -> bool:
                with suppress(ChannelNotFoundEntity):
                    async with connection.channel() as channel:
                        found = (await channel.declare_queue(queue, passive=True)).declaration_result
                        return messages in (None, found.message_count) and consumers in (None, found.consumer_count)
                return False

            await _poll(asked)

    def gate(self, name: str = "gate") -> Path:
        """A path for batch types that wait until someone creates it: `gate.touch()` lets them go on."""
        return self.folder / name


T = TypeVar("T")


async def _poll(ask: Callable[[], Awaitable[T | None]]) -> T:
    async with asyncio.timeout(PATIENCE):
        while True:
            if answer := await ask():
                return answer
            await asyncio.sleep(0.05)  # what other processes write is asked for again

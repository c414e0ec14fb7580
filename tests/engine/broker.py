"""A service on a bus that says who published a trigger, and everyone who publishes on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.app.bootstrap import Service, open_service
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.requests import from_user
from batchbus_service.domain.settings import Settings
from batchbus_strategies import Draft, Json
from tests.events.vouching import VouchingBus
from tests.patience import PATIENCE

__all__ = ["Broker", "trigger"]

_BATCH_TYPES = Path(__file__).parent / "batch_types"


@dataclass
class Broker:
    """Publishing returns once a trigger was dealt with, so that its answer can be asked for at once."""

    service: Service
    bus: VouchingBus

    @classmethod
    @asynccontextmanager
    async def open(cls, mongo_url: str, database: str, folder: Path, **settings: object) -> AsyncIterator[Broker]:
        values = {
            "mongodb_url": mongo_url,
            "mongodb_database": database[-38:],
            "catalog_database": f"{database[-36:]}_c",
            "data_dir": folder,
            "strategies_dir": _BATCH_TYPES,
            **settings,
        }
        bus = VouchingBus()
        async with bus, open_service(Settings.model_validate(values), bus=bus) as service:
            yield cls(service, bus)

    async def publish(self, user: str | None, event: Event, **headers: str) -> str | None:
        """Publish a trigger as a user of the broker, or as nobody it knows. Returns why it was rejected, if it was."""
        message = Message(body=encode(event), routing_key=event.type, message_id=event.id, headers=headers)
        await self.bus.publish_as(user, topics.TRIGGERS, message)
        return self.rejection(event)

    def rejection(self, trigger: Event) -> str | None:
        """Why it was rejected, or None."""
        rejected = (event for event in self.bus.events if event.type == "batch.rejected")
        return next((str(event.data["reason"]) for event in rejected if event.causationid == trigger.id), None)

    async def created(self, user: str | None, *, created_by: str = "Ann") -> str:
        """A job of the type `noop` that waits to be confirmed, asked for by that user. Returns its id."""
        job_id = new_job_id()
        event = trigger("created", job_id, type="noop", dry_run=True, created_by=created_by)
        assert await self.publish(user, event) is None
        await self.until(job_id, Status.PRE_PROCESSED)
        return job_id

    async def created_over_http(self) -> str:
        """The same as a user of the API asks for it."""
        draft = Draft("noop", {}, True)
        job = await self.service.commands.create(from_user(draft, draft, "usr_ann", None), Cause(by="usr_ann"))
        await self.until(job.id, Status.PRE_PROCESSED)
        return job.id

    async def job(self, job_id: str) -> Job:
        return await self.service.transitions.get(job_id)

    @property
    def created_ids(self) -> set[str]:
        """The ids of all jobs that were created, as their events say."""
        return {str(event.subject) for event in self.bus.events if event.type == "batch.created"}

    async def until(self, job_id: str, status: Status) -> Job:
        """The job, once its event for that status is published."""
        async with asyncio.timeout(PATIENCE):
            while not self._reached(job_id, status):
                await self.bus.something_published()
        return await self.job(job_id)

    async def ended(self, job_id: str) -> tuple[bool, str | None]:
        """Whether the job has completed, or why it failed, once it has done either."""
        async with asyncio.timeout(PATIENCE):
            while not (self._reached(job_id, Status.COMPLETED) or self._reached(job_id, Status.FAILED)):
                await self.bus.something_published()
        failed = (event for event in self.bus.events if event.subject == job_id and event.type == "batch.failed")
        error = next((str(event.data["error"]) for event in failed), None)
        return error is None, error

    def _reached(self, job_id: str, status: Status) -> bool:
        return any(event.subject == job_id and event.type == f"batch.{status}" for event in self.bus.events)


def trigger(word: str, job_id: str | None, *, source: str = "shop", id: str | None = None, **data: Json) -> Event:
    """A trigger that names `shop` as its source, whoever publishes it."""
    return Event(type=f"batch.{word}", source=source, id=id or new_ulid(), subject=job_id, data=data)

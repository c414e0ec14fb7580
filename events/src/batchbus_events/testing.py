"""For the tests of services that talk to batchbus: a recorder of events, and a batchbus that only pretends to work.

async with MemoryBus() as bus, FakeBatchbus(bus), recorded(bus) as recording:
    await my_service.run(Client(bus, source="shop"))
    await recording.until("batch.completed")
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

from batchbus_events import topics
from batchbus_events.bus import Bus, Consumer, Delivery, Message
from batchbus_events.catalog import (
    EVENTS,
    TERMINAL,
    ConfirmBatch,
    CreateBatch,
    RejectionReason,
    parse_trigger,
    requested_job_id,
)
from batchbus_events.event import Event, InvalidEvent, Json, decode, encode
from batchbus_events.ids import new_ulid
from batchbus_events.malformed import legible_event
from batchbus_events.topics import Binding, Queue

__all__ = ["FakeBatchbus", "FakeJob", "Recording", "recorded"]


class Recording:
    """The events that have passed."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        """Every event, the oldest first."""
        self._changed = asyncio.Condition()

    @property
    def types(self) -> list[str]:
        """The types of the events, the oldest first."""
        return [event.type for event in self.events]

    async def until(self, event_type: str, *, job_id: str | None = None, seconds: float = 10.0) -> Event:
        """The first event of that type, of that job if one is named. Waits for it.

        Raises: `TimeoutError` if it has not come after so many seconds.
        """

        def found() -> Event | None:
            wanted = (event for event in self.events if event.type == event_type and job_id in (None, event.subject))
            return next(wanted, None)

        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: found() is not None)
        event = found()
        assert event is not None
        return event

    async def add(self, event: Event) -> None:
        """Record one more event, and wake up who waits for it."""
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()


@asynccontextmanager
async def recorded(bus: Bus, pattern: str = "batch.#", *, exchange: str = topics.EVENTS) -> AsyncIterator[Recording]:
    """Record every event whose routing key matches the pattern: facts, or triggers with `exchange=topics.TRIGGERS`."""
    recording = Recording()

    async def record(delivery: Delivery) -> None:
        await recording.add(decode(delivery.message.body))
        await delivery.ack()

    queue = Queue(
        name=topics.client_queue(bus.user, f"recording.{new_ulid()}"),
        bindings=(Binding(exchange, pattern),),
        durable=False,
        exclusive=True,
    )
    consumer = await bus.consume(queue, record, prefetch=100)
    try:
        yield recording
    finally:
        await consumer.close()


@dataclass
class FakeJob:
    """A job of the `FakeBatchbus`."""

    id: str
    """The job's id."""
    request: CreateBatch
    """What the trigger asked for."""
    status: str = "created"
    """The job's status now, such as `completed`."""
    history: list[Event] = field(default_factory=list)
    """The events that were published of it, the oldest first."""

    @property
    def plan_digest(self) -> str:
        """That of its plan, as its events have it once it is pre-processed: another one for each job."""
        return hashlib.sha256(self.id.encode()).hexdigest()


class FakeBatchbus:
    """Answers triggers with the events that batchbus would publish, and runs nothing: every job ends at once.

    A job of a type named in `failing` fails with the error given there. Each job has a plan with a digest of its own, and a
    confirmation of another plan is rejected; with `require_plan_digest`, one that names none is, too. With `types`, no
    other type is served: a trigger that requires one is rejected. Use it as `async with FakeBatchbus(bus)`.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        failing: Mapping[str, str] | None = None,
        require_plan_digest: bool = False,
        types: Collection[str] | None = None,
    ) -> None:
        self.jobs: dict[str, FakeJob] = {}
        """Every job by its id."""
        self._bus = bus
        self._failing = failing or {}
        self._require_plan_digest = require_plan_digest
        self._types = types
        self._consumer: Consumer | None = None

    async def __aenter__(self) -> FakeBatchbus:
        self._consumer = await self._bus.consume(topics.TRIGGERS_QUEUE, self._handle, prefetch=1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._consumer is not None:
            await self._consumer.close()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            trigger = decode(delivery.message.body)
            request = parse_trigger(trigger)
        except InvalidEvent as error:
            if (legible := legible_event(delivery.message.body, delivery.message.routing_key)) is not None:
                await self._reject(legible, legible.subject, None, "malformed", str(error))
            await delivery.ack()
            return
        if isinstance(request, CreateBatch):
            await self._create(trigger, request, self._id_of(trigger, request, delivery.message.user_id))
        elif request.job_id not in self.jobs:
            await self._reject(trigger, request.job_id, None, "unknown_job")
        else:
            job = self.jobs[request.job_id]
            if isinstance(request, ConfirmBatch):
                await self._confirm(trigger, job, request.plan_digest)
            else:
                await self._cancel(trigger, job)
        await delivery.ack()

    def _id_of(self, trigger: Event, request: CreateBatch, user: str | None) -> str:
        return requested_job_id(trigger, request, user, unvouched=self._bus.vouches)

    async def _create(self, trigger: Event, request: CreateBatch, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is None and request.require_type and self._types is not None and request.type not in self._types:
            await self._reject(trigger, job_id, None, "unknown_type")
        elif job is None:
            job = self.jobs[job_id] = FakeJob(job_id, request)
            await self._change(job, "batch.created", trigger)
            await self._change(job, "batch.pre_processed")
            if not request.dry_run:
                await self._run(job)
        elif job.request != request:
            await self._reject(trigger, job_id, request.type, "conflict")

    async def _confirm(self, trigger: Event, job: FakeJob, plan_digest: str | None) -> None:
        if job.status == "pre_processed":
            if plan_digest == job.plan_digest or (plan_digest is None and not self._require_plan_digest):
                await self._run(job, trigger)
            else:
                await self._reject(trigger, job.id, job.request.type, "not_allowed")
        elif job.status == "canceled":
            await self._reject(trigger, job.id, job.request.type, "not_allowed")

    async def _cancel(self, trigger: Event, job: FakeJob) -> None:
        if f"batch.{job.status}" not in TERMINAL:
            await self._change(job, "batch.canceled", trigger)
        elif job.status != "canceled":
            await self._reject(trigger, job.id, job.request.type, "not_allowed")

    async def _run(self, job: FakeJob, trigger: Event | None = None) -> None:
        await self._change(job, "batch.confirmed", trigger)
        await self._change(job, "batch.processing")
        error = self._failing.get(job.request.type)
        if error is None:
            await self._change(job, "batch.completed")
        else:
            await self._change(job, "batch.failed", error=error)

    async def _change(self, job: FakeJob, event_type: str, cause: Event | None = None, **more: Json) -> None:
        job.status = event_type.removeprefix("batch.")
        data: dict[str, Json] = {
            "id": job.id,
            "type": job.request.type,
            "status": job.status,
            "dry_run": job.request.dry_run,
            "created_by": job.request.created_by,
            "run": 0 if job.status == "created" else 1,
            **({} if job.status == "created" else {"plan_digest": job.plan_digest}),
            **more,
        }
        event = _fact(event_type, job.id, data, cause, sequence=len(job.history) + 1)
        job.history.append(event)
        await self._publish(event, job.request.type)

    async def _reject(
        self,
        trigger: Event,
        job_id: str | None,
        job_type: str | None,
        reason: RejectionReason,
        message: str | None = None,
    ) -> None:
        data: dict[str, Json] = {"trigger": trigger.type, "reason": reason, "message": message or f"it is {reason}"}
        if job_id is not None:
            data["id"] = job_id
        await self._publish(_fact("batch.rejected", job_id, data, trigger), job_type)

    async def _publish(self, event: Event, job_type: str | None) -> None:
        key = topics.routing_key(event.type, job_type, event.subject)
        await self._bus.publish(topics.EVENTS, Message(body=encode(event), routing_key=key, message_id=event.id))


def _fact(
    event_type: str, job_id: str | None, data: Mapping[str, Json], cause: Event | None, sequence: int | None = None
) -> Event:
    return Event(
        type=event_type,
        source="batchbus",
        id=new_ulid(),
        time=datetime.now(UTC),
        subject=job_id,
        dataschema=EVENTS[event_type].dataschema,
        sequence=sequence,
        causationid=cause.id if cause else None,
        traceparent=cause.traceparent if cause else None,
        data=data,
    )

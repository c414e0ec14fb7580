"""A process of an older version of batchbus, as far as it can be made from the present one: what it cannot read yet.

It knows one schema of jobs less, the triggers of an earlier minor version, and not every field of a job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from batchbus_events.bus import Consumer, Delivery, Handler, Message
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import decode, encode
from batchbus_events.topics import Queue
from batchbus_service.domain.early import Placeholder
from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import Answer, Insertion, JobWrite, Update
from batchbus_strategies import Phase
from tests.engine.faulty import FaultyBus, FaultyStore

__all__ = ["OlderBus", "OlderStore"]

_MORE: Final = 1000
"""How many jobs are looked at to find some that can be read."""


class OlderStore(FaultyStore):
    """The shared store as an older process reads and writes it.

    `schema`: the newest that it can read, and the one that it writes. It does not know the field `writer`: it never
    sees one, and leaves it as it is.
    """

    def __init__(self, inner: FaultyStore, schema: int) -> None:
        super().__init__(inner.store, inner.faults)
        self._schema = schema

    async def insert(self, job: Job) -> None:
        await super().insert(self._written(job))

    async def get(self, job_id: str) -> Job | None:
        job = await super().get(job_id)
        if job is not None and job.schema > self._schema:
            raise UnreadableJob(job_id, f"a newer batchbus wrote it (schema {job.schema})")
        return _seen(job) if job else None

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        return await super().update(old, replace(new, writer=old.writer), same_lease=same_lease, by_owner=by_owner)

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        return await super().write_all([self._as_written(write) for write in writes])

    def _as_written(self, write: JobWrite) -> JobWrite:
        match write:
            case Insertion(job):
                return Insertion(self._written(job))
            case Update(old=old, new=new):
                return replace(write, new=replace(new, writer=old.writer))
        return write

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        found = await super().waiting(phase, job_type, until=until, want=want + _MORE)
        return [_seen(job) for job in found if job.schema <= self._schema][:want]

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        found = await super().due(until=until, want=want + _MORE)
        read: list[Job | Placeholder] = []
        for each in found:
            if isinstance(each, Placeholder):
                read.append(each)
            elif each.schema <= self._schema:
                read.append(_seen(each))
        return read[:want]

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        return await super().fill_placeholder(placeholder, self._written(job))

    def _written(self, job: Job) -> Job:
        return replace(job, schema=self._schema, writer=None)


def _seen(job: Job) -> Job:
    return replace(job, writer=None)


class OlderBus(FaultyBus):
    """The shared bus as an older process hears it: a trigger of the present minor version is newer than what it knows."""

    async def consume(
        self, queue: Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> Consumer:
        async def hear(delivery: Delivery) -> None:
            await handler(_Heard(delivery))

        return await super().consume(queue, hear, prefetch=prefetch, on_rebuilt=on_rebuilt)


@dataclass(frozen=True)
class _Heard:
    """A delivery, its message as strange to the process as one of the next version would be to the present one."""

    delivery: Delivery

    @property
    def message(self) -> Message:
        message = self.delivery.message
        event_type = TRIGGERS.get(message.routing_key)
        if event_type is None or event_type.minor == 0:
            return message
        event = decode(message.body)
        if event.dataschema != event_type.dataschema:
            return message
        newer = f"{event.dataschema.rpartition('.')[0]}.{event_type.minor + 1}"
        return replace(message, body=encode(replace(event, dataschema=newer)))

    @property
    def redelivered(self) -> bool:
        return self.delivery.redelivered

    async def ack(self) -> None:
        await self.delivery.ack()

    async def requeue(self) -> None:
        await self.delivery.requeue()

    async def hold(self) -> None:
        await self.delivery.hold()

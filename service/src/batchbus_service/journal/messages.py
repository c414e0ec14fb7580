"""The messages that batchbus itself publishes: lifecycle events, progress, rejections, parked messages, notifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic_core import from_json, to_json

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.catalog import EVENTS
from batchbus_events.event import Event, Json, encode
from batchbus_events.ids import new_ulid
from batchbus_events.parking import reason_headers
from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import HistoryEntry, Job
from batchbus_service.domain.plans import REFUSED

__all__ = [
    "PARKED_USER",
    "SOURCE",
    "event_of",
    "lifecycle",
    "parked",
    "progress",
    "queues_named",
    "refusal",
    "rejected",
    "work_available",
]

SOURCE: Final = "/batchbus"
"""The `source` of every event of ours."""

PARKED_USER: Final = "x-batchbus-user-id"
"""The header of a parked trigger with the publisher that it had."""


def event_of(job_id: str, entry: HistoryEntry) -> Event:
    """The lifecycle event that a history entry stands for: always the same one, however often it is made."""
    return Event(
        type=entry.type,
        source=SOURCE,
        id=entry.id,
        data=entry.data,
        time=entry.time,
        subject=job_id,
        dataschema=EVENTS[entry.type].dataschema,
        sequence=entry.seq,
        causationid=entry.causationid,
        traceparent=entry.traceparent,
    )


def lifecycle(job: Job, entry: HistoryEntry) -> Message:
    return _message(event_of(job.id, entry), job.type)


def refusal(job: Job, entry: HistoryEntry) -> Message | None:
    """The `batch.rejected` for a confirmation that the entry says is not honoured: always the same one, as its event is."""
    refused = entry.data.get(REFUSED)
    if not isinstance(refused, dict):
        return None
    data: dict[str, Json] = {
        "id": job.id,
        "trigger": "batch.confirmed",
        "reason": NotAllowed.code,
        "message": refused["message"],
    }
    event = replace(
        _passing("batch.rejected", data, entry.time, job.id),
        id=f"{entry.id}-refused",
        causationid=str(refused["causationid"]),
        traceparent=entry.traceparent,
    )
    return _message(event)


def progress(job: Job, data: Mapping[str, Json], now: datetime) -> Message:
    return _message(_passing("batch.progress", data, now, job.id), job.type)


def rejected(trigger: Event, reason: str, message: str, now: datetime) -> Message:
    """A trigger that cannot be carried out. `reason`: one of `catalog.RejectionReason`."""
    data: dict[str, Json] = {"trigger": trigger.type, "reason": reason, "message": message}
    if trigger.subject:
        data["id"] = trigger.subject
    event = _passing("batch.rejected", data, now, trigger.subject)
    return _message(replace(event, causationid=trigger.id, traceparent=trigger.traceparent))


def parked(message: Message, reason: str, now: datetime) -> Message:
    """A message that could not be used, as it came, with the reason in its headers."""
    headers = reason_headers(message, reason, now) | {PARKED_USER: message.user_id or ""}
    return Message(
        body=message.body,
        routing_key=message.routing_key,
        message_id=message.message_id,
        content_type=message.content_type,
        headers=headers,
    )


def work_available(queues: Iterable[str]) -> Message:
    """Tells every worker that jobs wait in these work queues."""
    return Message(
        body=to_json({"lanes": sorted(queues)}), routing_key="batch.workers.ready", content_type="application/json"
    )


def queues_named(message: Message) -> list[str]:
    """The work queues that a notification names. Raises `ValueError` for anything else."""
    queues = from_json(message.body)["lanes"]
    return [str(queue) for queue in queues]


def _passing(event_type: str, data: Mapping[str, Json], now: datetime, job_id: str | None) -> Event:
    """An event that stands in no history."""
    return Event(
        type=event_type,
        source=SOURCE,
        id=new_ulid(),
        data=data,
        time=now,
        subject=job_id,
        dataschema=EVENTS[event_type].dataschema,
    )


def _message(event: Event, batch_type: str | None = None) -> Message:
    key = topics.routing_key(event.type, batch_type, event.subject)
    return Message(body=encode(event), routing_key=key, message_id=event.id)

"""Routes: server-sent events of one job or of all of them, and the publishing of triggers.

`event:` is the event's wire name, `data:` its envelope. In the stream of one job `id:` is the event's `sequence`; in the
stream of all of them, the event's time and id. Either way a client that comes back with `Last-Event-ID` misses nothing.
Progress carries no id, since it is not stored.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from batchbus_events import topics
from batchbus_events.bus import Bus, Message
from batchbus_events.catalog import parse_trigger
from batchbus_events.event import Event, InvalidEvent, encode
from batchbus_events.ids import new_ulid
from batchbus_service.announce import event_of
from batchbus_service.http.access import job_for
from batchbus_service.http.bodies import JsonBody
from batchbus_service.http.callers import Operator, Reader
from batchbus_service.http.errors import ApiJson, invalid
from batchbus_service.http.live import CutOff, LiveEvent, LiveFeed
from batchbus_service.http.state import ApiState
from batchbus_service.http.wire import timestamp
from batchbus_service.ledger import Ledger, UnknownJob
from batchbus_service.ports import StoreUnavailable

__all__ = ["router"]

router = APIRouter(prefix="/admin", tags=["events"])

_LOOK_AGAIN: Final = 10.0
"""Seconds without a live event after which the history is read again: the broker may have been away."""
_PING: Final = 15
_SEND_TIMEOUT: Final = 30.0
"""Seconds that a reader may take nothing before its stream is ended."""
_PATTERN: Final = re.compile(r"[a-z0-9_*#-]+(\.[A-Za-z0-9_*#-]+)*")
_LATE: Final = timedelta(minutes=1)
"""How much later than its time an event may have got into the log."""


@router.get("/batch-jobs/{id}/events")
async def events_of_a_job(
    id: str, api: ApiState, caller: Reader, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """The job's lifecycle events from the first one on, or from after `Last-Event-ID`; then what happens, with progress."""
    if last_event_id and not (last_event_id.isascii() and last_event_id.isdigit()):
        raise invalid("Last-Event-ID must be the sequence of an event")
    job = await job_for(api, caller, id)
    await api.feed.open()
    return _stream(_of_a_job(api.service.ledger, api.feed, job.id, int(last_event_id or 0)))


@router.get("/events")
async def events_of_all_jobs(
    api: ApiState,
    _caller: Operator,
    pattern: Annotated[str, Query(max_length=255)] = "batch.#",
    since: datetime | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events whose routing key matches `pattern`; those since `since` or after `Last-Event-ID` first, from the log."""
    if not _PATTERN.fullmatch(pattern):
        raise invalid("pattern must be a topic pattern, such as batch.completed.#")
    after: tuple[datetime, str] | None = None
    if last_event_id:
        after = _read_position(last_event_id)
    elif since:
        after = (since.replace(tzinfo=since.tzinfo or UTC), "")
    await api.feed.open()
    return _stream(_of_all_jobs(api.service.bus, api.feed, pattern, after))


@router.post("/events")
async def publish(request: Request, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """Publish a trigger: `{type, subject, data, id}`, all but `type` optional. It is on its way once this answers 202."""
    unknown = [name for name in body if name not in ("type", "subject", "data", "id")]
    type_, subject, data, id_ = body.get("type"), body.get("subject"), body.get("data", {}), body.get("id")
    faults = [f"property {name[:100]} should not exist" for name in unknown]
    if not isinstance(type_, str):
        faults.append("type must be a string")
    if not isinstance(subject, str | None):
        faults.append("subject must be a string")
    if not isinstance(data, dict):
        faults.append("data must be an object")
    if not isinstance(id_, str | None):
        faults.append("id must be a string")
    if faults:
        raise invalid(", ".join(faults))
    assert isinstance(type_, str) and isinstance(subject, str | None) and isinstance(data, dict)
    if type_ == "batch.created":
        data = {"created_by": caller.user.id, **data}
    trigger = Event(
        type=type_,
        source=f"/users/{caller.user.id}",
        id=id_ if isinstance(id_, str) else new_ulid(),
        subject=subject,
        data=data,
        time=api.service.ledger.clock.now(),
        traceparent=request.headers.get("traceparent"),
    )
    body_bytes = encode(trigger)
    parse_trigger(trigger)
    await api.service.bus.publish(
        topics.TRIGGERS,
        Message(body=body_bytes, routing_key=trigger.type, message_id=trigger.id),
        mandatory=True,
    )
    return ApiJson({"event": {"id": trigger.id, "type": type_, "source": trigger.source, "subject": subject}}, 202)


def _stream(events: AsyncIterator[ServerSentEvent]) -> Response:
    return EventSourceResponse(events, ping=_PING, send_timeout=_SEND_TIMEOUT)


async def _of_a_job(ledger: Ledger, feed: LiveFeed, job_id: str, sent: int) -> AsyncGenerator[ServerSentEvent, None]:
    """`sent`: the sequence of the last event that the client has."""
    async with feed.reader(job_id=job_id) as live:
        look = True
        while True:
            if look:
                try:
                    job = await ledger.get(job_id)
                except (StoreUnavailable, UnknownJob):
                    return  # the client comes back, and is told what is wrong
                for entry in job.history[sent:]:
                    event = event_of(job.id, entry)
                    yield _sse(entry.type, encode(event).decode(), str(entry.seq))
                    sent = entry.seq
            try:
                happened = await live.next(_LOOK_AGAIN)
            except CutOff:
                return
            sequence = happened.event.sequence if happened else None
            # After a gap the history has what is missing, this event included: it was written before it was published.
            look = happened is None or (sequence is not None and sequence > sent + 1)
            if happened and sequence is None:
                yield _sse(happened.event.type, happened.text)
            elif happened and sequence == sent + 1:
                yield _sse(happened.event.type, happened.text, str(sequence))
                sent += 1


async def _of_all_jobs(
    bus: Bus, feed: LiveFeed, pattern: str, after: tuple[datetime, str] | None
) -> AsyncGenerator[ServerSentEvent, None]:
    """`after`: the time and id of the last event that the client has."""
    async with feed.reader(pattern=pattern) as live:
        told: set[str] = set()
        if after:
            async for past in _from_log(bus, pattern, *after):
                told.add(past.event.id)
                yield _sse(past.event.type, past.text, _position(past.event))
        while True:
            try:
                happened = await live.next(_LOOK_AGAIN)
            except CutOff:
                return
            if happened is None:
                told.clear()  # whatever the log and the subscription both had has passed
            elif happened.event.id not in told:
                yield _sse(happened.event.type, happened.text, _position(happened.event))


async def _from_log(bus: Bus, pattern: str, since: datetime, last_id: str) -> AsyncGenerator[LiveEvent, None]:
    """Past events after the one with `last_id`; or, if the log does not have that one, those since its time."""
    known = False
    if last_id:
        async for message in bus.read_log(since=since - _LATE):
            known = known or message.message_id == last_id
    passed = not known
    async for message in bus.read_log(since=since - _LATE if known else since):
        if passed and topics.matches(pattern, message.routing_key):
            try:
                live = LiveEvent.of(message)
            except InvalidEvent:
                continue
            if known or live.event.time is None or live.event.time >= since:
                yield live
        passed = passed or message.message_id == last_id


def _sse(type: str, text: str, id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(text, event=type, id=id, sep="\n")


def _position(event: Event) -> str | None:
    """Where an event is in the stream of all jobs; None for one that is not stored."""
    return f"{timestamp(event.time)}/{event.id}" if event.sequence is not None and event.time else None


def _read_position(text: str) -> tuple[datetime, str]:
    time, _, event_id = text.partition("/")
    try:
        return datetime.fromisoformat(time).astimezone(UTC), event_id
    except (ValueError, OverflowError):
        raise invalid("Last-Event-ID must be the id of an event in this stream") from None

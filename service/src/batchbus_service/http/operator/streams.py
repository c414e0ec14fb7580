"""Routes: server-sent events of one job or of all of them, and the publishing of triggers.

`event:` is the event's wire name, `data:` its envelope. In the stream of one job `id:` is the event's `sequence`; in the
stream of all of them, the event's time and id. Either way a client that comes back with `Last-Event-ID` misses nothing
and gets nothing twice. Progress carries no id, since it is not stored; a comment says how much of it was left out.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import TypeAdapter

from batchbus_events import topics
from batchbus_events.bus import PRINCIPAL, Bus, BusError, Message
from batchbus_events.catalog import parse_trigger
from batchbus_events.event import Event, InvalidEvent, encode
from batchbus_events.ids import new_ulid
from batchbus_service.access import Principal
from batchbus_service.domain.bus_rules import http_user
from batchbus_service.domain.errors import StoreUnavailable, UnknownJob
from batchbus_service.domain.instants import Instant
from batchbus_service.domain.job import Job, Status
from batchbus_service.http.live.feeds import CutOff, LiveEvent, LiveReader
from batchbus_service.http.live.sse import EventStream, comment, frame, id_alone, retry_hint, way_to_break_off
from batchbus_service.http.medusa.access import job_for
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.medusa.times import timestamp
from batchbus_service.http.operator.schemas import NewTrigger, SentTrigger, Trigger
from batchbus_service.http.server.callers import Operator, Reader, still_may
from batchbus_service.http.server.errors import invalid
from batchbus_service.http.server.openapi import answers, answers_with_events, takes
from batchbus_service.http.server.state import Api, ApiState, api_of
from batchbus_service.journal.messages import event_of

__all__ = ["of_a_job", "router"]

router = APIRouter(prefix="/admin", tags=["events"])

_PATTERN: Final = re.compile(r"[a-z0-9_*#-]+(\.[A-Za-z0-9_*#-]+)*")
_INSTANT: Final[TypeAdapter[datetime]] = TypeAdapter(Instant)
_LATE: Final = timedelta(minutes=1)
"""How much later than its time an event may have got into the log."""
_OVERLAP: Final = 10_000
"""How many of the last events from the log may come live, too."""
_ALIVE: Final = comment("still here")
_ENDS: Final = (Status.COMPLETED, Status.FAILED, Status.CANCELED)


@router.get(
    "/batch-jobs/{id}/events",
    response_class=Response,
    responses=answers_with_events() | answers(status=204),
)
async def events_of_a_job(
    request: Request, id: str, api: ApiState, caller: Reader, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """The job's lifecycle events from the first one on, or from after `Last-Event-ID`; then what happens, with progress.

    The stream ends with the job. 204 tells a client that comes back then that there is nothing more to come.
    """
    sent = _read_sequence(last_event_id)
    job = await job_for(api, caller, id)
    if sent and sent >= len(job.history) and _over(job):
        return Response(status_code=204)
    await api.feed.open()
    break_off = way_to_break_off(request)
    frames = _while_allowed(of_a_job(api, job.id, sent, break_off), request, caller)
    give_back = api.shares.streams.take(caller.user.id)
    return EventStream(frames, stalled=api.timeouts.stalled, break_off=break_off, on_end=give_back)


@router.get("/events", response_class=Response, responses=answers_with_events())
async def events_of_all_jobs(
    request: Request,
    api: ApiState,
    caller: Operator,
    pattern: Annotated[str, Query(max_length=topics.MAX_KEY)] = "batch.#",
    since: Instant | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events whose routing key matches `pattern`; those since `since` or after `Last-Event-ID` first, from the log."""
    if not _PATTERN.fullmatch(pattern):
        raise invalid("pattern must be a topic pattern, such as batch.completed.#")
    after: tuple[datetime, str] | None = None
    if last_event_id:
        after = _read_position(last_event_id)
    elif since:
        after = (since, "")
    await api.feed.open()
    break_off = way_to_break_off(request)
    frames = _while_allowed(_of_all_jobs(api, pattern, after, break_off), request, caller)
    give_back = api.shares.streams.take(caller.user.id)
    return EventStream(frames, stalled=api.timeouts.stalled, break_off=break_off, on_end=give_back)


@router.post("/events", status_code=202, responses=answers(SentTrigger, 202), openapi_extra=takes(NewTrigger))
async def publish(request: Request, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """Publish a trigger: `{type, subject, data, id}`, all but `type` optional. It is on its way once this answers 202."""
    unknown = [name for name in body if name not in ("type", "subject", "data", "id")]
    type_, subject, data, id_ = body.get("type"), body.get("subject"), body.get("data", {}), body.get("id")
    errors = [f"property {name[:100]} should not exist" for name in unknown]
    if not isinstance(type_, str):
        errors.append("type must be a string")
    if not isinstance(subject, str | None):
        errors.append("subject must be a string")
    if not isinstance(data, dict):
        errors.append("data must be an object")
    if not isinstance(id_, str | None):
        errors.append("id must be a string")
    if errors:
        raise invalid(", ".join(errors))
    assert isinstance(type_, str) and isinstance(subject, str | None) and isinstance(data, dict)
    if type_ == "batch.created":
        data = {"created_by": caller.user.id, **data}
    trigger = Event(
        type=type_,
        source=http_user(caller.user.id),
        id=id_ if isinstance(id_, str) else new_ulid(),
        subject=subject,
        data=data,
        time=api.service.transitions.clock.now(),
        traceparent=request.headers.get("traceparent"),
    )
    body_bytes = encode(trigger)
    parse_trigger(trigger)
    await api.service.bus.publish(
        topics.TRIGGERS,
        Message(body=body_bytes, routing_key=trigger.type, message_id=trigger.id, headers={PRINCIPAL: trigger.source}),
        mandatory=True,
    )
    shown = Trigger(id=trigger.id, type=type_, source=trigger.source, subject=subject)
    return SentTrigger(event=shown).response(202)


async def of_a_job(api: Api, job_id: str, sent: int, break_off: Callable[[], None]) -> AsyncGenerator[bytes, None]:
    """`sent`: the sequence of the last event that the client has."""
    yield retry_hint(api.timeouts.come_back)
    async with api.feed.reader(job_id=job_id, break_off=break_off) as live:
        look = True
        while True:
            if look:
                try:
                    job = await api.service.transitions.get(job_id)
                except (StoreUnavailable, UnknownJob):
                    return  # the client comes back, and then gets the error
                for entry in job.history[sent:]:
                    event = event_of(job.id, entry)
                    yield frame(entry.type, encode(event).decode(), str(entry.seq))
                    sent = entry.seq
                if _over(job):
                    return
            try:
                happened = await live.next(api.timeouts.quiet)
            except CutOff:
                return
            if happened is None:
                yield _ALIVE
                look = True  # the broker may have been away
                continue
            sequence = happened.event.sequence
            if sequence is None:
                yield _with_gaps(live, happened.in_its_job)
                look = False
            elif sequence == sent + 1:
                yield _with_gaps(live, happened.in_its_job)
                sent = sequence
                look = happened.event.data.get("status") in _ENDS
            else:
                # After a gap the history has what is missing, this event too: it was written before it was published.
                look = sequence > sent


async def _of_all_jobs(
    api: Api, pattern: str, after: tuple[datetime, str] | None, break_off: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """`after`: the time and id of the last event that the client has."""
    yield retry_hint(api.timeouts.come_back)
    async with api.feed.reader(pattern=pattern, break_off=break_off) as live:
        sent: deque[str] = deque(maxlen=_OVERLAP)
        if after is None:
            yield id_alone(f"{timestamp(api.service.transitions.clock.now())}/")
        else:
            try:
                async for earlier in _from_log(api.service.bus, pattern, *after):
                    sent.append(earlier.event.id)
                    yield earlier.among_all
            except BusError:
                return  # the client comes back, and then gets the error
        both = set(sent)
        while True:
            try:
                happened = await live.next(api.timeouts.quiet)
            except CutOff:
                return
            if happened is None:
                yield _ALIVE
                both.clear()  # what both the log and the subscription had has passed
            elif happened.event.id not in both:
                yield _with_gaps(live, happened.among_all)


async def _while_allowed(
    frames: AsyncGenerator[bytes, None], request: Request, caller: Principal
) -> AsyncGenerator[bytes, None]:
    """The frames, until the caller's credential ends. There is one every few seconds, and so a time to ask."""
    clock, trust = asyncio.get_running_loop().time, api_of(request).timeouts.trust
    asked = clock()
    async with aclosing(frames):
        async for frame in frames:
            if clock() - asked >= trust:
                if not await still_may(request, caller):
                    return  # the client comes back, and then gets the error
                asked = clock()
            yield frame


def _with_gaps(live: LiveReader, frame: bytes) -> bytes:
    """A frame, behind a comment if the reader was too slow for all the progress before it."""
    return comment(f"{count} progress events left out") + frame if (count := live.left_out()) else frame


def _over(job: Job) -> bool:
    """Whether nothing more will happen to the job, unless someone retries it. A run that is canceled has to stop first."""
    return job.terminal and job.lease is None


async def _from_log(bus: Bus, pattern: str, since: datetime, last_id: str) -> AsyncGenerator[LiveEvent, None]:
    """Past events after the one with `last_id`; or, if the log does not have that one, those since its time."""
    known = False
    if last_id:
        async for message in bus.read_log(since=since - _LATE):
            known = known or message.message_id == last_id
    passed = not known
    # The clocks of the log and of the events differ by a little: an event may be in it as earlier than it happened.
    async for message in bus.read_log(since=since - _LATE):
        if passed and topics.matches(pattern, message.routing_key):
            try:
                live = LiveEvent.of(message)
            except InvalidEvent:
                continue
            if known or live.event.time is None or live.event.time >= since:
                yield live
        passed = passed or message.message_id == last_id


def _read_sequence(text: str | None) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid("Last-Event-ID must be the sequence of an event")
    return int(text or 0)


def _read_position(text: str) -> tuple[datetime, str]:
    time, _, event_id = text.partition("/")
    try:
        return _INSTANT.validate_python(datetime.fromisoformat(time)), event_id
    except ValueError:
        raise invalid("Last-Event-ID must be the id of an event in this stream") from None

"""Routes: operators plan replays of past events, run them, pause, resume and abort them, and see who did what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from batchbus_events.ids import new_ulid
from batchbus_service.domain.replay import DEFAULT_RATE, MAX_RATE, Replay, State
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.medusa.times import timestamp
from batchbus_service.http.operator import schemas
from batchbus_service.http.operator.schemas import OneReplay, ReplayList
from batchbus_service.http.server.callers import Operator
from batchbus_service.http.server.forms import Form, Limit, Offset, read_form
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, ApiState
from batchbus_service.storage.changing import changed
from batchbus_strategies.strategy import Document

__all__ = ["router"]

router = APIRouter(prefix="/admin/replays", tags=["replays"])

_EFFECT: Final = "none: triggers come in on another exchange"
_PLANNED_WITHIN: Final = 10.0
"""Seconds that a request waits for its plan; a larger one is looked at again later."""

Rate = Annotated[int, Field(ge=1, le=MAX_RATE)]


class _New(Form):
    selection: Selection = Selection()
    destination: Destination
    reason: Annotated[str, Field(min_length=3, max_length=1000)]
    rate: Rate = DEFAULT_RATE


class _Run(Form):
    confirm: bool = False
    rate: Rate | None = None


class _Resume(Form):
    rate: Rate | None = None


class _Nothing(Form):
    pass


@router.post("", status_code=201, responses=answers(OneReplay, 201), openapi_extra=takes(_New))
async def plan(api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """Plan a replay: `{selection, destination, reason, rate}`. Nothing is published before it is run.

    Its `status` is `planning` as long as the events are being counted; look at it again.
    """
    new = read_form(_New, body)
    now = api.service.transitions.clock.now()
    replay = Replay(
        id=f"replay_{new_ulid()}",
        selection=new.selection.up_to(now),
        destination=new.destination,
        reason=new.reason,
        created_by=caller.user.email,
        created_at=now,
        rate=new.rate,
    ).noted(caller.user.email, "plan", now, {"reason": new.reason})
    replayer = api.service.replayer
    await replayer.replays.insert(replay)
    replayer.look()
    planned = await replayer.until(replay.id, lambda known: known.state is not State.PLANNING, _PLANNED_WITHIN)
    return _answer(planned, status=201)


@router.get("", responses=answers(ReplayList))
async def list_replays(
    api: ApiState,
    _caller: Operator,
    offset: Offset = 0,
    limit: Limit = 20,
) -> Response:
    """The newest first."""
    replays, count = await api.service.replayer.replays.newest(offset=offset, limit=limit)
    shown = [_on_the_wire(replay) for replay in replays]
    return ReplayList(replays=shown, count=count, offset=offset, limit=limit).response()


@router.get("/{id}", responses=answers(OneReplay))
async def retrieve(id: str, api: ApiState, _caller: Operator) -> Response:
    """One replay: what, where to, how far, and who did what to it."""
    return _answer(await _find(api, id))


@router.post("/{id}/run", responses=answers(OneReplay), openapi_extra=takes(_Run))
async def run(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{confirm, rate}`, both optional. `confirm` is needed for many events, and for an exchange."""
    asked = read_form(_Run, body)
    return await _change(
        api, id, lambda known, now: known.run(caller.user.email, now, confirm=asked.confirm, rate=asked.rate)
    )


@router.post("/{id}/pause", responses=answers(OneReplay), openapi_extra=takes(_Nothing))
async def pause(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """Stop after the batch of events that is on its way; `resume` goes on from there."""
    read_form(_Nothing, body)
    return await _change(api, id, lambda known, now: known.pause(caller.user.email, now))


@router.post("/{id}/resume", responses=answers(OneReplay), openapi_extra=takes(_Resume))
async def resume(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{rate}`, optional; for a replay that runs, only its rate is changed."""
    asked = read_form(_Resume, body)
    return await _change(api, id, lambda known, now: known.resume(caller.user.email, now, rate=asked.rate))


@router.post("/{id}/abort", responses=answers(OneReplay), openapi_extra=takes(_Nothing))
async def abort(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """What was published stays published."""
    read_form(_Nothing, body)
    return await _change(api, id, lambda known, now: known.abort(caller.user.email, now))


async def _find(api: Api, id: str) -> Replay:
    return await api.service.replayer.replays.get(segment(id))


async def _change(api: Api, id: str, decide: Callable[[Replay, datetime], Replay]) -> Response:
    replayer, clock = api.service.replayer, api.service.transitions.clock
    decided = await changed(lambda: _find(api, id), lambda known: decide(known, clock.now()), replayer.replays.change)
    replayer.look()
    return _answer(decided)


def _answer(replay: Replay, *, status: int = 200) -> Response:
    return OneReplay(replay=_on_the_wire(replay)).response(status)


def _on_the_wire(replay: Replay) -> schemas.Replay:
    return schemas.Replay(
        id=replay.id,
        status=replay.state.value,
        selection=replay.selection.model_dump(mode="json", exclude_defaults=True),
        destination=replay.destination.model_dump(exclude_none=True),
        reason=replay.reason,
        rate=replay.rate,
        plan=_plain_object(asdict(replay.plan)) | {"effect_on_batchbus": _EFFECT} if replay.plan else None,
        published=replay.published,
        repeated=replay.repeated,
        trouble=replay.trouble,
        created_by=replay.created_by,
        created_at=replay.created_at,
        started_by=replay.started_by,
        started_at=replay.started_at,
        ended_at=replay.ended_at,
        audit=[_plain_object(asdict(entry)) for entry in replay.audit],
    )


def _plain_object(fields: Mapping[str, object]) -> Document:
    """With times as the API writes them."""
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return _plain_object(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return timestamp(value) if isinstance(value, datetime) else value

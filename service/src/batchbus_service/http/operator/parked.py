"""Routes: operators look at parked messages, put them back, put edited copies back, and discard them."""

from __future__ import annotations

import base64
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field
from pydantic_core import to_json

from batchbus_service.domain.instants import AwareInstant, Instant
from batchbus_service.domain.parked import Filter, ParkedMessage, State
from batchbus_service.http.medusa.bodies import JsonBody
from batchbus_service.http.operator import schemas
from batchbus_service.http.operator.schemas import DiscardedNumber, OneParkedMessage, ParkedMessageList, RequeuedNumber
from batchbus_service.http.server.callers import Operator
from batchbus_service.http.server.forms import Form, Limit, Offset, read_form
from batchbus_service.http.server.openapi import answers, takes
from batchbus_service.http.server.paths import segment
from batchbus_service.http.server.state import Api, ApiState

__all__ = ["router"]

router = APIRouter(prefix="/admin/parked", tags=["parked messages"])

_SHOWN_BYTES: Final = 1_048_576
"""The most bytes of a body. A larger one could not be a trigger."""

Reason = Annotated[str, Field(min_length=3, max_length=1000)]


class _Filter(Form):
    routing_key: str | None = None
    reason: str | None = None
    since: AwareInstant | None = None
    until: AwareInstant | None = None


class _Deal(Form):
    reason: Reason


class _Requeue(_Deal):
    body: dict[str, object] | str | None = None
    routing_key: Annotated[str, Field(max_length=255)] | None = None


class _DealWithMany(_Deal):
    filter: _Filter = _Filter()


@router.get("", responses=answers(ParkedMessageList))
async def list_parked(
    api: ApiState,
    _caller: Operator,
    state: State = State.PARKED,
    routing_key: Annotated[str | None, Query(max_length=255)] = None,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
    since: Instant | None = None,
    until: Instant | None = None,
    offset: Offset = 0,
    limit: Limit = 20,
) -> Response:
    """Those that failed last first. `reason` is part of the reason; `since` and `until` bound the last failure."""
    wanted = Filter(state=state, routing_key=routing_key, reason=reason, since=since, until=until)
    found, count = await api.parked.messages.find(wanted, offset=offset, limit=limit)
    shown = [_on_the_wire(parked) for parked in found]
    return ParkedMessageList(parked=shown, count=count, offset=offset, limit=limit).response()


@router.post("/requeue", responses=answers(RequeuedNumber), openapi_extra=takes(_DealWithMany))
async def requeue_many(api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{reason, filter: {routing_key, reason, since, until}}`: put back all that is parked now and matches."""
    form = read_form(_DealWithMany, body)
    number = await api.parked.requeue_all(Filter(**form.filter.model_dump()), caller.user.email, form.reason)
    return RequeuedNumber(requeued=number).response()


@router.post("/discard", responses=answers(DiscardedNumber), openapi_extra=takes(_DealWithMany))
async def discard_many(api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{reason, filter}`, as for requeue."""
    form = read_form(_DealWithMany, body)
    number = await api.parked.discard_all(Filter(**form.filter.model_dump()), caller.user.email, form.reason)
    return DiscardedNumber(discarded=number).response()


@router.get("/{id}", responses=answers(OneParkedMessage))
async def retrieve(id: str, api: ApiState, _caller: Operator) -> Response:
    """With its body: `body` where that is text, else `body_base64`; cut off where it is longer than a trigger may be."""
    parked = await _find(api, id)
    message = await api.parked.message(parked)
    shown = message.body[:_SHOWN_BYTES]
    try:
        body = {"body": shown.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(shown).decode()}
    return _answer(_on_the_wire(parked).model_copy(update=body))


@router.post("/{id}/requeue", responses=answers(OneParkedMessage), openapi_extra=takes(_Requeue))
async def requeue(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{reason, body, routing_key}`: put it back as it is; or an edited copy, if a body (an object, or text) is given."""
    form = read_form(_Requeue, body)
    parked = await _find(api, id)
    if form.body is None and form.routing_key is None:
        dealt_with = await api.parked.requeue(parked.id, caller.user.email, form.reason)
    else:
        edited = form.body.encode() if isinstance(form.body, str) else to_json(form.body)
        if form.body is None:
            edited = (await api.parked.message(parked)).body
        dealt_with = await api.parked.requeue_edited(
            parked.id, caller.user.email, form.reason, body=edited, routing_key=form.routing_key
        )
    return _answer(_on_the_wire(dealt_with))


@router.post("/{id}/discard", responses=answers(OneParkedMessage), openapi_extra=takes(_Deal))
async def discard(id: str, api: ApiState, caller: Operator, body: JsonBody) -> Response:
    """`{reason}`. It is kept all the same, as discarded."""
    form = read_form(_Deal, body)
    parked = await _find(api, id)
    return _answer(_on_the_wire(await api.parked.discard(parked.id, caller.user.email, form.reason)))


async def _find(api: Api, id: str) -> ParkedMessage:
    return await api.parked.messages.get(segment(id))


def _answer(parked: schemas.ParkedMessage) -> Response:
    return OneParkedMessage(parked=parked).response()


def _on_the_wire(parked: ParkedMessage) -> schemas.ParkedMessage:
    return schemas.ParkedMessage(
        id=parked.id,
        state=parked.state.value,
        reason=parked.reason,
        times=parked.times,
        first_failed_at=parked.first_failed_at,
        last_failed_at=parked.last_failed_at,
        routing_key=parked.routing_key,
        message_id=parked.message_id,
        content_type=parked.content_type,
        headers=dict(parked.headers),
        user_id=parked.user_id,
        size=parked.size,
        audit=[
            schemas.AuditEntry(
                at=entry.at, by=entry.by, what=entry.what, reason=entry.reason, details=dict(entry.details)
            )
            for entry in parked.audit
        ],
    )

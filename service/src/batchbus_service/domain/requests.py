"""What a request for a job becomes: its id, its digest, who asks. The same for the bus and for HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchbus_events.catalog import CreateBatch, requested_job_id
from batchbus_events.event import Event
from batchbus_events.ids import derived_job_id, new_job_id, ulid_seconds
from batchbus_service.domain.bus_rules import UNVOUCHED, label_of
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_strategies import Draft, Json

__all__ = ["BusRequest", "cause_of", "from_bus", "from_user", "is_fresh", "is_of_another"]

_FRESH: Final = (timedelta(days=-30), timedelta(days=1))
"""How old a job id may be that a trigger names, and how far ahead a publisher's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRequest:
    """A job asked for on the bus, and the other ids under which the same request may have been carried out."""

    job: NewJob
    named: bool = False
    """Whether the trigger names the id itself, by its subject."""
    earlier_id: str | None = None
    """What versions of batchbus made of the same request that knew no principals, if that is another id."""
    own_id: str | None = None
    """The id for it in the name space of its principal, if its first id may be taken by somebody else's request."""
    require_type: bool = False
    """Whether it is to be refused if no process serves the type."""


def from_bus(trigger: Event, request: CreateBatch, user: str | None, principal: str | None) -> BusRequest:
    """A job asked for on the bus. `user`: whom the broker vouches for. `principal`: see `bus_rules`.

    The id of a request is what it was before there were principals, but for the idempotency keys of sources that are
    not vouched for: they would be those of the broker's user with the same name.
    """
    unvouched = principal is not None and principal.startswith(UNVOUCHED)
    owner = principal if principal is not None and not unvouched else user
    first = requested_job_id(trigger, request, owner, unvouched=unvouched)
    before = requested_job_id(trigger, request, user)
    context = dict(request.context)
    asked_by = request.created_by or user or trigger.source
    own_id = None
    if principal is not None and request.idempotency_key is None and request.job_id is None:
        own_id = derived_job_id("event-of", principal, trigger.source, trigger.id)
    job = NewJob(
        id=first,
        type=request.type,
        context=context,
        dry_run=request.dry_run,
        created_by=f"bus:{principal}" if unvouched and request.created_by is None else f"bus:{asked_by}",
        request_digest=_digest(request.type, context, request.dry_run, f"bus:{asked_by}"),
        principal=principal,
    )
    named = request.idempotency_key is None and request.job_id is not None
    earlier_id = before if before != first else None
    require_type = request.require_type
    return BusRequest(job=job, named=named, earlier_id=earlier_id, own_id=own_id, require_type=require_type)


def from_user(asked: Draft, prepared: Draft, user_id: str, idempotency_key: str | None) -> NewJob:
    """A job asked for over HTTP: `asked` as it arrived, `prepared` as the strategy made it."""
    return NewJob(
        id=derived_job_id("user-key", user_id, idempotency_key) if idempotency_key is not None else new_job_id(),
        type=prepared.type,
        context=prepared.context,
        dry_run=prepared.dry_run,
        created_by=user_id,
        request_digest=_digest(asked.type, asked.context, asked.dry_run, user_id),
        prepared=True,
    )


def cause_of(trigger: Event, principal: str | None = None) -> Cause:
    """Why something changes: the trigger. `principal`: who has published it, see `bus_rules`."""
    return Cause(
        event_id=trigger.id,
        source=trigger.source,
        by=f"bus:{trigger.source if principal is None else principal}",
        traceparent=trigger.traceparent,
        principal=principal,
    )


def is_of_another(job: Job, request: NewJob) -> bool:
    """Whether a job with the request's id was asked for by another principal.

    Where everyone on the bus is believed there are no others. A job from before principals were kept may be anyone's.
    """
    if request.principal is None or job.principal == request.principal:
        return False
    return job.principal is not None or job.created_by not in (request.created_by, f"bus:{label_of(request.principal)}")


def is_fresh(job_id: str, now: datetime) -> bool:
    """Whether the id can have been made a while ago, as `ids.new_job_id` does.

    Of the ids that are derived from keys, one in a hundred thousand is: naming them is no way to take the keys of others.
    """
    oldest, newest = ((now + offset).timestamp() for offset in _FRESH)
    return oldest <= ulid_seconds(job_id.removeprefix("batch_")) <= newest


def _digest(job_type: str, context: Mapping[str, Json], dry_run: bool, created_by: str) -> str:
    asked = json.dumps([job_type, context, dry_run, created_by], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(asked.encode()).hexdigest()

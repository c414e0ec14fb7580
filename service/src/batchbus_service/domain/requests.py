"""What a request for a job becomes: its id, its digest, who asks. The same for the bus and for HTTP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from batchbus_events.catalog import CreateBatch, requested_job_id
from batchbus_events.event import Event
from batchbus_events.ids import derived_job_id, new_job_id
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_strategies import Draft, Json

__all__ = ["cause_of", "from_bus", "from_user"]


def from_bus(trigger: Event, request: CreateBatch, user_id: str | None) -> NewJob:
    """A job asked for on the bus. `user_id`: who published, where the broker vouches for it."""
    created_by = f"bus:{request.created_by or user_id or trigger.source}"
    context = dict(request.context)
    return NewJob(
        id=requested_job_id(trigger, request, user_id),
        type=request.type,
        context=context,
        dry_run=request.dry_run,
        created_by=created_by,
        request_digest=_digest(request.type, context, request.dry_run, created_by),
    )


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


def cause_of(trigger: Event) -> Cause:
    return Cause(
        event_id=trigger.id, source=trigger.source, by=f"bus:{trigger.source}", traceparent=trigger.traceparent
    )


def _digest(job_type: str, context: Mapping[str, Json], dry_run: bool, created_by: str) -> str:
    asked = json.dumps([job_type, context, dry_run, created_by], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(asked.encode()).hexdigest()

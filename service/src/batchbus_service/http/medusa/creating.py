"""Making a job for a user: their request, what the strategy says to it, and the one write."""

from __future__ import annotations

import re
from copy import deepcopy

from pydantic import ValidationError

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.requests import from_user
from batchbus_service.engine.submission import submit
from batchbus_service.execution.execution import actor_of, check_draft, context_faults
from batchbus_service.execution.executor import tamed
from batchbus_service.http.medusa.bodies import CreateRequest
from batchbus_service.http.server.errors import busy, invalid, not_found
from batchbus_service.http.service import Service
from batchbus_service.journal.transitions import Conflict
from batchbus_strategies import Draft, JobRefused, StrategyError

__all__ = ["create_job"]


async def create_job(
    service: Service, asked: CreateRequest, *, user_id: str, idempotency_key: str | None, cause: Cause
) -> Job:
    """The new job, or the one that the same request made before. Raises: `ApiError`, and what `submit` raises."""
    draft = Draft(asked.type, asked.context, asked.dry_run is True)
    if idempotency_key is not None:
        request = from_user(draft, draft, user_id, idempotency_key)
        if (made := await service.transitions.store.get(request.id)) is not None:
            if made.request_digest != request.request_digest:
                raise Conflict(made.id)
            return made
    prepared = await _prepared(service, draft, user_id)
    if asked.dry_run is None:
        raise invalid("Can't insert null value in field dry_run on insert in table batch_job")
    if not await service.transitions.outbox.keep_up():
        raise busy("So many jobs have been made that the database is behind; try again in a moment", seconds=5)
    return await submit(
        service.transitions, service.worker, from_user(draft, prepared, user_id, idempotency_key), cause
    )


async def _prepared(service: Service, asked: Draft, user_id: str) -> Draft:
    """The draft as the strategy completes it. Raises `ApiError` for what it refuses."""
    strategy = service.registry.get(asked.type)
    if strategy is None:
        raise not_found(f"Unable to find a BatchJob strategy with the type {asked.type}")
    draft = deepcopy(asked)
    try:
        await service.host.call(strategy.prepare, draft, actor_of(user_id))
        check_draft(draft)
        tamed(strategy.context_model.model_validate, draft.context)
    except ValidationError as error:
        raise invalid(context_faults(error)) from None
    except StrategyError as error:
        raise invalid(_refusal(error)) from None
    return draft


def _refusal(error: StrategyError) -> str:
    """In the strategy's words, with the field at fault in front unless they name it."""
    field = error.field if isinstance(error, JobRefused) else None
    if field is None or _letters(field) in _letters(str(error)):
        return str(error)
    return f"{field}: {error}"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()

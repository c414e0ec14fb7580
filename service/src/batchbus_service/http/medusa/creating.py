"""Creating a job for a user, from a request body to the command."""

from __future__ import annotations

import re

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.requests import from_user
from batchbus_service.engine.commands import Commands
from batchbus_service.http.medusa.bodies import CreateRequest
from batchbus_service.http.server.errors import invalid
from batchbus_strategies import Draft, JobRefused, StrategyError

__all__ = ["create_job", "prepared_draft"]


async def create_job(
    commands: Commands, asked: CreateRequest, *, user_id: str, idempotency_key: str | None, cause: Cause
) -> Job:
    """The new job, or the one that the same request has made before.

    Raises: `ApiError`, and what `Commands.prepare` and `Commands.create` raise, `TooManyJobs` among them.
    """
    draft = Draft(asked.type, asked.context, asked.dry_run is True)
    if idempotency_key is not None:
        made = await commands.made_before(from_user(draft, draft, user_id, idempotency_key))
        if made is not None:
            return made
    await commands.require_room(user_id)
    prepared = await prepared_draft(commands, draft, user_id)
    if asked.dry_run is None:
        raise invalid("Can't insert null value in field dry_run on insert in table batch_job")
    return await commands.create(from_user(draft, prepared, user_id, idempotency_key), cause)


async def prepared_draft(commands: Commands, draft: Draft, user_id: str) -> Draft:
    """What the strategy makes of it. Raises: `ApiError`, and what `Commands.prepare` raises."""
    try:
        return await commands.prepare(draft, user_id)
    except StrategyError as error:
        raise invalid(_refusal(error)) from None


def _refusal(error: StrategyError) -> str:
    """In the strategy's words, with the field at fault in front unless they name it."""
    field = error.field if isinstance(error, JobRefused) else None
    if field is None or _letters(field) in _letters(str(error)):
        return str(error)
    return f"{field}: {error}"


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()

"""What a strategy makes of a request before its job runs, the same for both ways into the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ValidationError

from batchbus_service.execution.executor import tamed
from batchbus_strategies import Actor, BatchStrategy, Draft, StrategyError
from batchbus_strategies.json_values import NotJson, as_object
from batchbus_strategies.registry import Strategy

__all__ = ["actor_of", "check_draft", "checked_context", "overrides", "prepare"]


async def prepare(
    call: Callable[..., Awaitable[object]], strategy: Strategy, draft: Draft, created_by: str
) -> BaseModel:
    """Let the strategy complete the draft, and check the result. Returns the context as the strategy's model.

    `call` executes a method of the strategy.

    Raises: `StrategyError` for a request that the strategy refuses, and for a context that is not what the batch type
    takes; `NotJson` for a draft that cannot be stored; what else the strategy raises.
    """
    if overrides(strategy, "prepare"):
        await call(strategy.prepare, draft, actor_of(created_by))
        check_draft(draft)
    return checked_context(strategy, draft)


def check_draft(draft: Draft) -> None:
    """Raises `NotJson` if the draft cannot be stored."""
    draft.context = as_object(draft.context, "context")
    if not isinstance(draft.dry_run, bool):
        raise NotJson(f"prepare: dry_run has to be True or False, not {type(draft.dry_run).__name__}")


def checked_context(strategy: Strategy, draft: Draft) -> BaseModel:
    """The context as the strategy's model. Raises `StrategyError`, which names each field at fault."""
    try:
        model: BaseModel = tamed(strategy.context_model.model_validate, draft.context)
    except ValidationError as error:
        errors = (f"{'.'.join(map(str, each['loc'])) or 'context'}: {each['msg']}" for each in error.errors())
        raise StrategyError(
            "The context is not what this batch type takes: " + "; ".join(errors), public=True
        ) from None
    return model


def overrides(strategy: Strategy, method: str) -> bool:
    """Whether the strategy has the method itself."""
    return getattr(type(strategy), method) is not getattr(BatchStrategy, method)


def actor_of(created_by: str) -> Actor:
    """Services on the bus are in a name space of their own: `bus:<name>`."""
    return Actor(created_by, "service" if created_by.startswith("bus:") else "user")

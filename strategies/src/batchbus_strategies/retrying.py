"""`@retry`: another try at what a server may do the next time, after a pause that it may have asked for."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import wraps
from typing import ParamSpec, TypeVar, cast

import structlog

from batchbus_events.backoff import delay
from batchbus_strategies.waiting import CURRENT_RUN, in_a_loop, pause, pause_blocking

__all__ = ["pause_before_next_try", "retry", "retry_after"]

P = ParamSpec("P")
R = TypeVar("R")
Errors = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class _Policy:
    """What `retry` was told."""

    kinds: tuple[type[Exception], ...]
    tries: int
    first: float
    longest: float
    longest_asked: float

    def next_pause(self, function: Callable[..., object], failed: int, error: Exception) -> float | None:
        """Seconds until the next try; None if there is to be none."""
        if failed >= self.tries:
            return None
        asked = retry_after(error, now=datetime.now(UTC))
        if asked is not None and asked > self.longest_asked:
            return None
        chance = random.uniform(0.5, 1)
        seconds = pause_before_next_try(failed, asked, first=self.first, longest=self.longest, chance=chance)
        run = CURRENT_RUN.get()
        log = structlog.get_logger("batchbus") if run is None else run.log
        log.warning(
            "try_failed",
            function=_name(function),
            tries=failed,
            seconds=round(seconds, 3),
            reason=f"{type(error).__name__}: {error}",
        )
        return seconds


def retry(
    *, on: Errors, tries: int = 5, first: float = 0.5, longest: float = 30.0, longest_asked: float = 300.0
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: what the function raises of the kinds `on` is tried again, up to `tries` times in all.

    For `async def` and plain `def`. The pauses are `first` seconds, then twice as long each time up to `longest`, times
    a chance between a half and one. Where the error says how long the server wants to be left alone, that comes first:
    see `retry_after`. A server that asks for more than `longest_asked` seconds is not waited for.

    The last error is raised as it is. All others pass at once, and so do `RunCanceled` and `LeaseLost`, which within a
    run also end a pause. A plain `def` that an `async def` calls is not tried again: the pause would block all others.
    Raises: `TypeError` for a generator, and for `on` that is not made of subclasses of `Exception`; `ValueError` for
    less than one try.
    """
    kinds = on if isinstance(on, tuple) else (on,)
    if not kinds or not all(issubclass(kind, Exception) for kind in kinds):
        raise TypeError("retry: on has to be a subclass of Exception, or several in a tuple")
    if tries < 1:
        raise ValueError("retry: tries has to be 1 or more")
    policy = _Policy(kinds, tries, first, longest, longest_asked)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"retry: {_name(function)} is a generator, of which a part may have been used already")
        if inspect.iscoroutinefunction(function):
            return cast(Callable[P, R], _awaited(function, policy))
        return _called(function, policy)

    return decorate


def _awaited(function: Callable[P, Awaitable[R]], policy: _Policy) -> Callable[P, Awaitable[R]]:
    @wraps(function)
    async def retried(*args: P.args, **kwargs: P.kwargs) -> R:
        failed = 0
        while True:
            try:
                return await function(*args, **kwargs)
            except policy.kinds as error:
                failed += 1
                if (seconds := policy.next_pause(function, failed, error)) is None:
                    raise
            await pause(seconds)

    return retried


def _called(function: Callable[P, R], policy: _Policy) -> Callable[P, R]:
    @wraps(function)
    def retried(*args: P.args, **kwargs: P.kwargs) -> R:
        failed = 0
        while True:
            try:
                return function(*args, **kwargs)
            except policy.kinds as error:
                failed += 1
                if in_a_loop():
                    error.add_note("It was not tried again, as it was called on an event loop: make it an async def")
                    raise
                if (seconds := policy.next_pause(function, failed, error)) is None:
                    raise
            pause_blocking(seconds)

    return retried


def pause_before_next_try(failed: int, asked: float | None, *, first: float, longest: float, chance: float) -> float:
    """Seconds to wait after so many tries that failed, from 1 on.

    `asked`: the seconds that the server wants to be left alone; the pause comes on top, so that not everyone who was
    told the same is back at the same moment. `chance`: from 0.5 to 1.
    """
    return (asked or 0.0) + delay(failed, first=first, longest=longest) * chance


def _name(function: Callable[..., object]) -> str:
    """A `partial`, and an object that can be called, have no name of their own."""
    return getattr(function, "__qualname__", None) or repr(function)


def retry_after(error: BaseException, *, now: datetime) -> float | None:
    """The seconds that a server wants to be left alone, as an error has them; None if it says nothing of it.

    Looked at are an attribute `retry_after` (seconds, or a `timedelta`), and the header `Retry-After` (RFC 9110, section
    10.2.3: seconds, or a date) in `error.response.headers`, as httpx and requests have it, or `error.headers`, as
    aiohttp has it. A date counts from the header `Date`, if there is one, and else from `now`: clocks differ.
    """
    own = _seconds(getattr(error, "retry_after", None))
    if own is not None:
        return own
    for headers in (getattr(getattr(error, "response", None), "headers", None), getattr(error, "headers", None)):
        value = _header(headers, "Retry-After")
        if value is None:
            continue
        seconds = _seconds(value)
        if seconds is not None:
            return seconds
        if (until := _date(value)) is not None:
            answered_at = _date(_header(headers, "Date")) or now
            return max(0.0, (until - answered_at).total_seconds())
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _header(headers: object, name: str) -> str | None:
    """Headers are mappings that do not tell capitals from small letters; plain dicts do."""
    get = getattr(headers, "get", None)
    if not callable(get):
        return None
    value: object = get(name) or get(name.lower())
    return value if isinstance(value, str) else None


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter for a time zone of many digits
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)

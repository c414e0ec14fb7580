"""What `JobRun.limit` gives: a permit to wait for."""

from __future__ import annotations

import math
from collections.abc import Coroutine, Generator
from typing import Final

from batchbus_strategies.json_values import as_text
from batchbus_strategies.strategy import StrategyError

__all__ = ["Permit", "checked_limit"]

_NAME_CHARACTERS: Final = 200
_MOST: Final = 1_000_000.0
_LEAST: Final = 1 / 86_400


class Permit:
    """Await it, or use it as `async with`; in a plain `def` it is there when `limit` returns, and may stand in a `with`.

    Nothing is given back at the end of a `with`: a limit says how often something may begin, not how often at once.
    """

    def __init__(self, waiting: Coroutine[object, None, None] | None = None) -> None:
        """`waiting` ends when the permit is there; None if it is there already. Python tells who forgets to await it."""
        self._waiting = waiting

    def __await__(self) -> Generator[object, None, None]:
        if self._waiting:
            yield from self._waiting.__await__()

    async def __aenter__(self) -> None:
        await self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def __enter__(self) -> None:
        if self._waiting:
            self._waiting.close()
            raise StrategyError(
                "limit: an `async def` waits for a permit with `await` or `async with`, not with `with`", public=True
            )

    def __exit__(self, *exc: object) -> None:
        pass


def checked_limit(name: str, per_second: float) -> tuple[str, float]:
    """Raises `StrategyError` for what is no limit: a name of 1 to 200 characters, and a number from 1/86400 to a million."""
    name = as_text(name, "limit: name")
    if not 1 <= len(name) <= _NAME_CHARACTERS or "\0" in name or not name.isprintable():
        raise StrategyError(f"limit: a name has 1 to {_NAME_CHARACTERS} printable characters", public=True)
    try:
        number = float(per_second)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not _LEAST <= number <= _MOST:
        raise StrategyError(
            f"limit: per_second is a number from 1/86400, which is once a day, to {_MOST:,.0f}", public=True
        )
    return name, number

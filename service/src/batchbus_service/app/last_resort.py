"""How a process ends that a strategy keeps from ending: the other jobs are given back first."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

__all__ = ["last_resort"]

_GIVE_BACK_SECONDS: Final = 30.0
"""How long the other jobs may take to be given back."""
_SOFTWARE_ERROR: Final = 70
"""The exit code, as `sysexits.h` has it."""


def last_resort(stack: AsyncExitStack, log: FilteringBoundLogger) -> Callable[[str], None]:
    """A function that is called with a reason, gives the other jobs back and ends the process.

    Nothing else ends a thread that never returns. `stack`: what closes the parts of the process.
    """
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await stack.aclose()
        finally:
            os._exit(_SOFTWARE_ERROR)

    def give_up(reason: str) -> None:
        log.critical("giving_up", reason=reason)
        if not ending:
            ending.append(asyncio.create_task(end()))

    return give_up

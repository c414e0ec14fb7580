"""Ending tasks for certain, reading several streams as one, and reading one ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

__all__ = ["ahead", "end", "merged"]

_T = TypeVar("_T")

_AGAIN_SECONDS: Final = 1.0


async def end(*tasks: asyncio.Task[_T]) -> None:
    """Cancel tasks and wait until they have ended, however they end.

    A cancellation can be lost: a task that waits for another passes it on to that one, which may swallow it, as
    aiormq's do while they connect. So whoever has not ended a while later is cancelled again.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)


async def merged(*streams: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
    """What any of them yields, as it comes, until the first of them ends or fails. Closes them when it is closed."""
    waiting = {asyncio.ensure_future(anext(stream)): stream for stream in streams}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                stream = waiting.pop(task)
                try:
                    item = task.result()
                except StopAsyncIteration:
                    return
                yield item
                waiting[asyncio.ensure_future(anext(stream))] = stream
    finally:
        await end(*waiting)
        for stream in streams:
            await stream.aclose()


async def ahead(stream: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
    """What it yields, where each item is fetched while the one before it is worked on. Closes it when it is closed."""
    following = asyncio.ensure_future(anext(stream))
    try:
        while True:
            try:
                item = await following
            except StopAsyncIteration:
                return
            following = asyncio.ensure_future(anext(stream))
            yield item
    finally:
        await end(following)
        await stream.aclose()

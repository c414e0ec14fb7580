"""Replays that other processes plan and carry out: asked for in the database, as the HTTP API does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from batchbus_events.ids import new_ulid
from batchbus_service.domain.ports import ReplayStore
from batchbus_service.domain.replay import DEFAULT_RATE, Replay, State
from batchbus_service.domain.selection import Destination, Selection

__all__ = ["planned", "reaching"]


async def planned(
    replays: ReplayStore, selection: Selection, queue: str, *, by: str, patience: float, rate: int = DEFAULT_RATE
) -> Replay:
    """A replay, once some process has planned it."""
    now = datetime.now(UTC)
    replay = Replay(
        id=f"replay_{new_ulid()}",
        selection=selection.up_to(now),
        destination=Destination(queue=queue),
        reason="a test",
        created_by=by,
        created_at=now,
        rate=rate,
    )
    await replays.insert(replay)
    return await reaching(replays, replay.id, lambda known: known.state is State.PLANNED, patience=patience)


async def reaching(
    replays: ReplayStore, replay_id: str, reached: Callable[[Replay], bool], *, patience: float
) -> Replay:
    """The replay, once it is so far. Other processes bring it there, and tell nobody: asked for again and again."""
    async with asyncio.timeout(patience):
        while True:
            if reached(known := await replays.get(replay_id)):
                return known
            await asyncio.sleep(0.01)  # asked again

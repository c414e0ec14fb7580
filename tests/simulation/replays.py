"""Operators who have the past published again while everything breaks, and what must hold of it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, decode
from batchbus_service.domain.errors import ReplayRefused
from batchbus_service.domain.job import Job
from batchbus_service.domain.replay import Replay, State
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.journal.messages import event_of
from batchbus_service.storage.changing import changed
from tests.engine.world import SUBSCRIBER, Process, World
from tests.simulation.checks import Violation
from tests.simulation.plan import OrderReplay, Plan

__all__ = ["Operator", "check_replays"]

_BY: Final = "operator@example.com"
Decide = Callable[[Replay, datetime], Replay]


class Operator:
    """Plans, runs, pauses and ends replays, and remembers what each has to publish."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan = plan
        self._world = world
        self.due: dict[str, dict[str, int]] = {}
        """Of each replay that was run: of each job, up to which entry its history has to be published again."""

    @property
    def unfinished(self) -> str | None:
        """What is still to be done of a replay; None when all have ended."""
        replays = self._world.replays
        at_work = [replay for replay_id in self.due if not (replay := replays.known(replay_id)).ended]
        return f"{at_work[0].id}: it is {at_work[0].state}: {at_work[0].trouble}" if at_work else None

    async def order(self, order: OrderReplay) -> None:
        process = await self._somebody()
        now = process.transitions.clock.now()
        replay = Replay(
            id=f"replay_{self._plan.name}_{order.number}",
            selection=Selection(types=order.types).up_to(now),
            destination=Destination(exchange=topics.EVENTS) if order.everyone else Destination(queue=SUBSCRIBER.name),
            reason="simulated",
            created_by=_BY,
            created_at=now,
            rate=order.rate,
        )
        await self._world.replays.insert(replay)
        self.due[replay.id] = {job.id: len(job.history) for job in self._world.store.jobs.values()}
        while (await self._world.replays.get(replay.id)).state is State.PLANNING:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)
        await self._change(replay.id, lambda known, at: known.run(_BY, at, confirm=True))
        if order.pause_after is None:
            return
        await asyncio.sleep(order.pause_after)
        if await self._change(replay.id, lambda known, at: known.pause(_BY, at)):
            await asyncio.sleep(order.paused_for)
            if order.aborted:
                await self._change(replay.id, lambda known, at: known.abort(_BY, at))
            else:
                await self._change(replay.id, lambda known, at: known.resume(_BY, at))

    async def _somebody(self) -> Process:
        while not (alive := self._world.alive):  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)
        return alive[0]

    async def _change(self, replay_id: str, decide: Decide) -> bool:
        """Returns whether that could be done at the moment."""
        process = await self._somebody()
        replays, clock = self._world.replays, process.transitions.clock
        try:
            await changed(lambda: replays.get(replay_id), lambda known: decide(known, clock.now()), replays.change)
        except ReplayRefused:
            return False
        assert process.replayer is not None
        process.replayer.look()
        return True


def check_replays(
    plan: Plan,
    jobs: Mapping[str, Job],
    replays: Iterable[tuple[Replay, Mapping[str, int]]],
    published: Iterable[Message],
) -> None:
    """Raises `Violation`. Of each replay: up to where each history was to be published."""
    again: dict[str | None, list[Event]] = defaultdict(list)
    for message in published:
        if (event := decode(message.body)).replayid is not None:
            again[event.replayid].append(event)
    for replay, due in replays:
        _check(plan, jobs, replay, due, again.pop(replay.id, []))
    for unknown in again:
        raise Violation(f"{unknown}: nobody has asked for that replay")


def _check(plan: Plan, jobs: Mapping[str, Job], replay: Replay, due: Mapping[str, int], events: list[Event]) -> None:
    if replay.state is State.ABORTED:
        due = {}
    elif replay.state is not State.COMPLETED:
        raise Violation(f"{replay.id}: it is {replay.state}: {replay.trouble}")
    came: dict[str, list[int]] = defaultdict(list)
    for event in events:
        job_id, sequence = str(event.subject), event.sequence or 0
        entry = jobs[job_id].history[sequence - 1]
        first = event_of(job_id, entry)
        if (event.id, event.time, event.data) != (first.id, first.time, first.data):
            raise Violation(f"{replay.id}: {event.type} of {job_id} is not what it was at first")
        if (event.replayedat, event.replayedby) != (replay.started_at, replay.started_by):
            raise Violation(f"{replay.id}: {event.type} of {job_id} says another time or somebody else")
        if not replay.selection.takes(entry):
            raise Violation(f"{replay.id}: {event.type} of {job_id} was not asked for")
        if sequence not in came[job_id]:
            came[job_id].append(sequence)
    for job_id, sequences in came.items():
        if sequences != sorted(sequences):
            raise Violation(f"{replay.id}: events of {job_id} came out of order: {sequences}")
    for job_id, up_to in due.items():
        if replay.selection.until is not None and jobs[job_id].created_at >= replay.selection.until:
            continue  # the clock was set back since: what is dated after the order is no part of the past
        wanted = {entry.seq for entry in jobs[job_id].history[:up_to] if replay.selection.takes(entry)}
        if missing := wanted - set(came[job_id]):
            raise Violation(f"{replay.id}: events of {job_id} did not come: {sorted(missing)}")
    if plan.without_faults:
        for event_id, times in Counter(event.id for event in events).items():
            if times > 1:
                raise Violation(f"{replay.id}: without a fault, {event_id} came {times} times")

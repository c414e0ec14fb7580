"""One attempt of a process at a replay: it plans the replay, or publishes its events in order and at its rate."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from batchbus_events.backoff import pauses
from batchbus_events.bus import Bus, BusError, Message, Unroutable
from batchbus_events.tasks import end
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.ports import Clock, HistoryReader, ReplayStore
from batchbus_service.domain.replay import Plan, Replay, State
from batchbus_service.operations.replay.event_history import HistoryEvent, ReplayLabel, sort_history, sum_up
from batchbus_service.storage.changing import changed

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["BATCH", "AttemptEnded", "ReplayAttempt", "ReplayDependencies"]

BATCH: Final = 500
"""Events published side by side, but those of one job; so many are repeated, at most, when a process ends in the middle of them."""
_BATCHES_PER_SECOND: Final = 4
"""At a low rate batches are smaller, so that it is kept within a second too."""
_BACK_OFF: Final = (0.2, 10.0)
"""Seconds: the first and the longest pause after the broker refused."""

T = TypeVar("T")


class AttemptEnded(Exception):
    """The attempt ends before the replay does: it was paused or aborted, another process has it, or this one stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDependencies:
    """What every attempt works with."""

    replays: ReplayStore
    histories: HistoryReader
    """Read in a thread."""
    bus: Bus
    clock: Clock
    worker: str
    folder: Path
    """Where there is room for the events of a replay."""
    claim: timedelta
    """How long a process that ended is waited for."""
    stopping: threading.Event
    """Set when this process stops."""


class ReplayAttempt:
    """`replay`, claimed by this process, as far as this attempt has got with it."""

    def __init__(self, shared: ReplayDependencies, replay: Replay, log: FilteringBoundLogger) -> None:
        self.replay = replay
        self._shared = shared
        self._log = log
        self._over = threading.Event()

    async def take(self) -> None:
        """Do what is to be done. Raises `AttemptEnded`, `StoreUnavailable`, and the errors that make the replay fail."""
        async with self._claimed():
            await (self._plan() if self.replay.state is State.PLANNING else self._publish())

    async def change(self, decide: Callable[[Replay, datetime], Replay]) -> None:
        """Change its state, also if operators have changed it meanwhile. Raises `AttemptEnded` if it is no longer ours to change."""
        shared = self._shared
        decided = await changed(
            self._known,
            lambda known: decide(replace(known, published=self.replay.published), shared.clock.now()),
            shared.replays.change,
        )
        self._log.info("replay", state=decided.state.value, published=decided.published)

    # -- planning --------------------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        shared, replay = self._shared, self.replay
        summary = await self._in_a_thread(lambda: sum_up(shared.histories, replay.selection, self._is_over))
        queue = replay.destination.queue
        found = await shared.bus.inspect(queue) if queue else None
        plan = Plan(
            **summary._asdict(),
            destination_exists=queue is None or found is not None,
            waiting=found.messages if found else None,
            consumers=found.consumers if found else None,
        )
        await self.change(lambda known, now: known.planned(plan, shared.worker, now))

    # -- publishing ------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        shared, replay = self._shared, self.replay
        assert replay.started_at is not None and replay.started_by is not None
        label = ReplayLabel(replay.id, replay.started_at, replay.started_by)
        shared.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="replay-", dir=shared.folder) as room:
            history = await self._in_a_thread(
                lambda: sort_history(
                    shared.histories, replay.selection, label, replay.position, Path(room), self._is_over
                )
            )
            pace = _Pace(shared.clock)
            while batch := history.take(max(1, min(BATCH, self.replay.rate // _BATCHES_PER_SECOND))):
                await self._publish_batch(batch)
                await pace.keep(len(batch), self.replay.rate)
        await self.change(lambda known, now: known.completed(shared.worker, now))

    async def _publish_batch(self, batch: Sequence[HistoryEvent]) -> None:
        """Until the broker has confirmed all of it, in order; what comes after a failure is published again."""
        waits = pauses(*_BACK_OFF)
        while batch:
            confirmed, error = await self._send(batch)
            await self._got_to(batch[:confirmed], trouble=str(error) if error else None, repeat=len(batch) - confirmed)
            batch = batch[confirmed:]
            if isinstance(error, Unroutable):
                await self._stop(f"{self.replay.destination} is not there any more: {error}")
            elif error:
                self._log.warning("replay_held_up", reason=str(error))
                await asyncio.sleep(next(waits))  # there is nothing to wait on but another try

    async def _send(self, batch: Sequence[HistoryEvent]) -> tuple[int, BusError | None]:
        """How many were confirmed up to the first that was not, and why that one was not."""
        of_jobs: dict[str, list[tuple[int, HistoryEvent]]] = defaultdict(list)
        for number, event in enumerate(batch):
            of_jobs[event.position.job_id].append((number, event))
        failures = await asyncio.gather(*map(self._send_in_sequence, of_jobs.values()))
        return min((failure for failure in failures if failure), default=(len(batch), None), key=itemgetter(0))

    async def _send_in_sequence(self, events: Sequence[tuple[int, HistoryEvent]]) -> tuple[int, BusError] | None:
        """One job's, each once the one before it is confirmed: what the broker refuses would come behind what follows it.

        `events`: with their numbers in the batch. Returns the number of the first that was not confirmed, and why.
        """
        for number, event in events:
            try:
                await self._send_one(event)
            except BusError as error:
                return number, error
        return None

    async def _send_one(self, event: HistoryEvent) -> None:
        destination = self.replay.destination
        message = _message(event, destination.queue)
        await self._shared.bus.publish(destination.exchange or "", message, mandatory=destination.queue is not None)

    async def _got_to(self, confirmed: Sequence[HistoryEvent], *, trouble: str | None, repeat: int) -> None:
        """Write what was confirmed, then look whether to go on, and how fast. Raises `AttemptEnded`."""
        self.replay = replace(
            self.replay,
            position=confirmed[-1].position if confirmed else self.replay.position,
            published=self.replay.published + len(confirmed),
            repeated=self.replay.repeated + repeat,
            trouble=trouble,
        )
        await self._keep_claim()
        self.replay = replace(self.replay, rate=(await self._known()).rate)

    async def _stop(self, trouble: str) -> None:
        await self.change(lambda known, now: known.stopped(trouble, self._shared.worker, now))
        raise AttemptEnded

    # -- the claim -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _claimed(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep_claim_for_ever())
        try:
            yield
        finally:
            await end(keeping)

    async def _keep_claim_for_ever(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self._shared.claim.total_seconds() / 3)
            try:
                await self._keep_claim()
                await self._known()
            except AttemptEnded:
                self._over.set()  # the threads that read and publish look at it
            except StoreUnavailable as error:
                self._log.warning("replay_claim_not_kept", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the operator gets to know; the claim has to be kept
                self._log.error("replay_claim_not_kept", exc_info=error)

    async def _keep_claim(self) -> None:
        shared = self._shared
        if not await shared.replays.carry_on(self.replay, shared.clock.now() + shared.claim):
            raise AttemptEnded

    async def _known(self) -> Replay:
        """The replay as stored. Raises `AttemptEnded` if it is not to go on here."""
        known = await self._shared.replays.get(self.replay.id)
        if self._is_over() or (known.fence, known.state) != (self.replay.fence, self.replay.state):
            raise AttemptEnded
        return known

    def _is_over(self) -> bool:
        return self._over.is_set() or self._shared.stopping.is_set()

    async def _in_a_thread(self, read: Callable[[], T]) -> T:
        """What it returns; when the attempt ends before, the thread does too, and is waited for."""
        reading = asyncio.ensure_future(asyncio.to_thread(read))
        try:
            return await asyncio.shield(reading)
        finally:
            if not reading.done():
                self._over.set()
                await asyncio.wait([reading])


class _Pace:
    """Keeps a rate, counted anew from when it changes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate = 0
        self._since = 0.0
        self._published = 0

    async def keep(self, published: int, rate: int) -> None:
        """Wait until so many more may have been published, at `rate` a second."""
        now = self._clock.monotonic()
        if rate != self._rate:
            self._rate, self._since, self._published = rate, now, 0
        self._published += published
        await asyncio.sleep(max(0.0, self._since + self._published / rate - now))


def _message(event: HistoryEvent, queue: str | None) -> Message:
    message = Message(body=event.body, routing_key=event.routing_key, message_id=event.id)
    return message.addressed(queue) if queue else message

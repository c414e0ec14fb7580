"""The ports of a process that misbehave by a seeded chance: store, presence, replays, clock of the database, bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Any, cast

from batchbus_events import topics
from batchbus_events.bus import (
    BusError,
    BusUnavailable,
    Consumer,
    Delivery,
    Handler,
    Message,
    PublishRefused,
    QueueState,
)
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import (
    Answer,
    HistoryReader,
    JobStore,
    JobWrite,
    ProcessStore,
    RecordedHistory,
    Renewal,
    ReplayStore,
)
from batchbus_service.domain.ports.server import Sign
from batchbus_service.domain.replay import Replay
from batchbus_service.domain.selection import Selection
from batchbus_strategies import Phase
from tests.engine.virtual_time import server_time

__all__ = [
    "Fate",
    "Faults",
    "FaultyBus",
    "FaultyHistories",
    "FaultyProcesses",
    "FaultyReplays",
    "FaultyServer",
    "FaultyStore",
    "Surroundings",
]

_NO_CONFIRM_SECONDS = 10.0
"""After which a publisher gives up on a broker that confirms nothing."""


@dataclass
class Surroundings:
    """What all processes share at the moment."""

    away: set[str] = field(default_factory=set)
    """What nobody reaches: `broker`, `database`."""
    slow: float = 0.0
    """How long the database takes to answer at most, in seconds, if that is longer than usual."""
    over: bool = False
    """The simulation has ended: what a killed process still waits for, it need not wait for any more."""


@dataclass
class Fate:
    """What has become of one process."""

    crashed: bool = False
    frozen_until: float = 0.0


@dataclass
class Faults:
    """How likely a call goes wrong, and how long one takes at most, in seconds."""

    random: Random
    chance: float = 0.02
    slowest: float = 0.05
    around_all: Surroundings = field(default_factory=Surroundings)
    fate: Fate = field(default_factory=Fate)

    def apart(self, seed: str) -> Faults:
        """The faults of the same process, by a chance of their own: what they hit does not move those of others."""
        return replace(self, random=Random(seed))

    @property
    def away(self) -> set[str]:
        return self.around_all.away

    async def around(self, what: str, deed: Callable[[], Awaitable[Any]], lost: Callable[[], Exception]) -> Any:
        """Do the deed, after a while; or fail before it, or after it."""
        slowest = max(self.slowest, self.around_all.slow) if what == "database" else self.slowest
        await self.pause(slowest)
        if what in self.away or self.random.random() < self.chance:
            raise lost()
        done = await deed()
        await self.pause(slowest)
        if self.random.random() < self.chance:
            raise lost()
        return done

    async def on_database(self, deed: Callable[[], Awaitable[Any]]) -> Any:
        """As `around`, for a call to the database. Raises `StoreUnavailable`."""
        return await self.around("database", deed, lambda: StoreUnavailable("simulated"))

    @property
    def hinder(self) -> bool:
        """Whether a call to the database would fail or hang at the moment, other than by chance."""
        return self.fate.crashed or "database" in self.away or self.around_all.slow > 0 or self.frozen_for() > 0

    def frozen_for(self) -> float:
        """Seconds. Asking for the loop is a system call, and most processes are never frozen."""
        until = self.fate.frozen_until
        return until - asyncio.get_running_loop().time() if until else 0.0

    async def pause(self, slowest: float) -> None:
        await asyncio.sleep(self.random.uniform(0, slowest))
        if (frozen := self.frozen_for()) > 0:
            await asyncio.sleep(frozen)
        if self.fate.crashed:
            if self.around_all.over:
                raise asyncio.CancelledError
            await asyncio.get_running_loop().create_future()


class FaultyStore:
    """The shared store, as one process reaches it."""

    def __init__(self, store: JobStore, faults: Faults) -> None:
        self.store = store
        self.faults = faults

    async def _look(self, deed: Callable[[], Awaitable[Any]]) -> Any:
        """A look that finds nothing takes no time: most looks find nothing, and the simulation would be busy with them."""
        if self.faults.hinder or (found := await deed()):
            return await self.faults.on_database(deed)
        return found

    async def prepare(self) -> None:
        await self.store.prepare()

    async def insert(self, job: Job) -> None:
        await self.faults.on_database(lambda: self.store.insert(job))

    async def get(self, job_id: str) -> Job | None:
        return cast("Job | None", await self.faults.on_database(lambda: self.store.get(job_id)))

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        return bool(
            await self.faults.on_database(lambda: self.store.update(old, new, same_lease=same_lease, by_owner=by_owner))
        )

    async def renew(self, renewal: Renewal) -> bool:
        return bool(await self.faults.on_database(lambda: self.store.renew(renewal)))

    async def settle(self, jobs: Sequence[Job]) -> None:
        await self.faults.on_database(lambda: self.store.settle(jobs))

    async def write_all(self, writes: Sequence[JobWrite]) -> Sequence[Answer]:
        async def some() -> Sequence[Answer]:
            # The connection may break at any place of the group.
            if self.faults.random.random() < self.faults.chance:
                await self.store.write_all(writes[: self.faults.random.randrange(len(writes))])
                raise StoreUnavailable("simulated: some of a group")
            return await self.store.write_all(writes)

        return cast("Sequence[Answer]", await self.faults.on_database(some))

    async def move_wake_at(self, job: Job, wake_at: datetime | None) -> bool:
        return bool(await self.faults.on_database(lambda: self.store.move_wake_at(job, wake_at)))

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        await self.faults.on_database(lambda: self.store.put_off(jobs, wake_at))

    async def any_waiting(self, queues: Set[str]) -> bool:
        return bool(await self._look(lambda: self.store.any_waiting(queues)))

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        found = await self._look(lambda: self.store.waiting(phase, job_type, until=until, want=want))
        return cast("list[Job]", found)

    async def waiting_of_others(
        self, phase: Phase, job_type: str, owners: Set[str | None], *, until: datetime, want: int
    ) -> list[Job]:
        read = self.store.waiting_of_others
        return cast(
            "list[Job]",
            await self.faults.on_database(lambda: read(phase, job_type, owners, until=until, want=want)),
        )

    async def due(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        return cast("list[Job | Placeholder]", await self._look(lambda: self.store.due(until=until, want=want)))

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        return cast("Kept", await self.faults.on_database(lambda: self.store.keep_early(job_id, trigger, wake_at)))

    async def placeholder(self, job_id: str) -> Placeholder | None:
        return cast("Placeholder | None", await self.faults.on_database(lambda: self.store.placeholder(job_id)))

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        moved = await self.faults.on_database(lambda: self.store.move_placeholder(old, wake_at=wake_at, ended=ended))
        return cast("Placeholder | None", moved)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        return bool(await self.faults.on_database(lambda: self.store.fill_placeholder(placeholder, job)))

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        await self.faults.on_database(lambda: self.store.drop_placeholder(placeholder))

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        return int(
            await self.faults.on_database(lambda: self.store.early_of(sender, since=since, until=until, up_to=up_to))
        )

    async def unfinished_of(self, owner: str, *, up_to: int) -> int:
        return int(await self.faults.on_database(lambda: self.store.unfinished_of(owner, up_to=up_to)))


class FaultyProcesses:
    """Who is there, as one process gets to know it."""

    def __init__(self, processes: ProcessStore, faults: Faults) -> None:
        self._processes = processes
        self._faults = faults

    async def renew(self, name: str, until: datetime, types: Sequence[str] = ()) -> None:
        await self._faults.on_database(lambda: self._processes.renew(name, until, types))

    async def present(self) -> Mapping[str, Sign]:
        # Asked once a second by every process, together with `renew`, whose faults are enough for both.
        present = self._processes.present
        return cast(
            "Mapping[str, Sign]", await (self._faults.on_database(present) if self._faults.hinder else present())
        )

    async def leave(self, name: str) -> None:
        await self._faults.on_database(lambda: self._processes.leave(name))


class FaultyReplays:
    """The replays, as one process reaches them."""

    def __init__(self, replays: ReplayStore, faults: Faults) -> None:
        self._replays = replays
        self._faults = faults

    async def insert(self, replay: Replay) -> None:
        await self._faults.on_database(lambda: self._replays.insert(replay))

    async def get(self, replay_id: str) -> Replay:
        return cast("Replay", await self._faults.on_database(lambda: self._replays.get(replay_id)))

    async def newest(self, *, offset: int, limit: int) -> tuple[list[Replay], int]:
        newest = await self._faults.on_database(lambda: self._replays.newest(offset=offset, limit=limit))
        return cast("tuple[list[Replay], int]", newest)

    async def change(self, old: Replay, new: Replay) -> bool:
        return bool(await self._faults.on_database(lambda: self._replays.change(old, new)))

    async def claim(self, worker: str, now: datetime, expires_at: datetime) -> Replay | None:
        return cast(
            "Replay | None", await self._faults.on_database(lambda: self._replays.claim(worker, now, expires_at))
        )

    async def carry_on(self, replay: Replay, expires_at: datetime) -> bool:
        return bool(await self._faults.on_database(lambda: self._replays.carry_on(replay, expires_at)))

    async def release(self, replay: Replay) -> None:
        await self._faults.on_database(lambda: self._replays.release(replay))


class FaultyHistories:
    """The histories, as one process reads them in a thread: all of them, or none."""

    def __init__(self, histories: HistoryReader, faults: Faults) -> None:
        self._histories = histories
        self._faults = faults

    def read(self, selection: Selection) -> Iterator[RecordedHistory]:
        faults = self._faults
        if "database" in faults.away or faults.random.random() < faults.chance:
            raise StoreUnavailable("simulated")
        return self._histories.read(selection)


class FaultyServer:
    """The database server's clock, as one process asks for it."""

    def __init__(self, ahead: Callable[[], float], faults: Faults) -> None:
        self._ahead = ahead
        self._faults = faults

    async def time(self) -> datetime:
        async def told() -> datetime:
            return server_time(asyncio.get_running_loop(), self._ahead())

        return cast("datetime", await self._faults.around("database", told, lambda: StoreUnavailable("simulated")))


class FaultyBus:
    """The shared bus, as one process reaches it. `vanish` puts back what the process had not acknowledged."""

    def __init__(self, bus: MemoryBus, faults: Faults) -> None:
        self._bus = bus
        self._faults = faults
        self._consumers: list[_Rebuilt] = []
        self.connected = True
        self.user = bus.user
        self.vouches = bus.vouches

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        await self._around(lambda: self._bus.publish(exchange, message, mandatory=mandatory))

    async def publish_all(self, exchange: str, messages: Sequence[Message]) -> tuple[int, BusError | None]:
        faults = self._faults
        # The connection may break at any place, or a queue be full from one message on; and not all may be confirmed
        # of those that got through.
        arrived = confirmed = len(messages)
        if faults.random.random() < faults.chance:
            arrived = faults.random.randrange(len(messages) + 1)
            confirmed = faults.random.randrange(arrived + 1)
        error: BusError | None = None if confirmed == len(messages) else self._lost()
        try:
            await self._around(lambda: self._bus.publish_all(exchange, messages[:arrived]))
        except BusError as nothing:
            confirmed, error = 0, nothing
        return confirmed, error

    async def _around(self, deed: Callable[[], Awaitable[Any]]) -> None:
        if not self.connected:
            raise BusUnavailable("simulated")
        if "publishing" in self._faults.away:
            await asyncio.sleep(_NO_CONFIRM_SECONDS)
            raise BusUnavailable("simulated: an alarm")
        await self._faults.around("broker", deed, self._lost)

    def _lost(self) -> BusError:
        nacked = self._faults.random.random() < 0.3
        return PublishRefused("simulated: the broker has nacked it") if nacked else BusUnavailable("simulated")

    async def consume(
        self, queue: topics.Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> Consumer:
        async def unless_crashed(delivery: Delivery) -> None:
            if not self._faults.fate.crashed:
                # A task of its own: a crashed process's handler hangs for ever, and must not keep the bus waiting.
                tasks.append(asyncio.ensure_future(handler(delivery)))

        tasks: list[asyncio.Future[None]] = []
        consumer = _Rebuilt(lambda: self._bus.consume(queue, unless_crashed, prefetch=prefetch))
        await consumer.build()
        self._consumers.append(consumer)
        return consumer

    async def vanish(self) -> None:
        """The connection is lost: what was not acknowledged goes back to the queue."""
        self.connected = False
        for consumer in self._consumers:
            await consumer.lose()

    async def come_back(self) -> None:
        if self.connected:
            return
        for consumer in self._consumers:
            await consumer.build()
        self.connected = True

    async def inspect(self, queue: str) -> QueueState | None:
        return await self._bus.inspect(queue)

    def read_log(self, *, since: datetime | None = None) -> Any:
        return self._bus.read_log(since=since)

    def tail_log(self, *, since: datetime | None = None) -> Any:
        return self._bus.tail_log(since=since)

    async def declare(self, queue: topics.Queue) -> None:
        await self._bus.declare(queue)


class _Rebuilt:
    """A consumer that is built anew when its connection comes back."""

    def __init__(self, consume: Callable[[], Awaitable[Consumer]]) -> None:
        self._consume = consume
        self._consumer: Consumer | None = None
        self._paused = False

    async def build(self) -> None:
        self._consumer = await self._consume()
        if self._paused:
            await self._consumer.pause()

    async def lose(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer:
            await consumer.close()

    async def pause(self) -> None:
        self._paused = True
        if self._consumer:
            await self._consumer.pause()

    async def resume(self) -> None:
        self._paused = False
        if self._consumer:
            await self._consumer.resume()

    async def close(self) -> None:
        await self.lose()

"""A world for simulations: one memory store and one memory bus, and service processes that crash, freeze and stutter.

Each process is the real engine on ports that misbehave by a seeded chance: answers are lost before or after the
deed, calls take their time, and after a crash nothing of the process does anything any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

import structlog
from pymongo.errors import AutoReconnect, PyMongoError

from batchbus_events import topics
from batchbus_events.bus import BusUnavailable, Consumer, Delivery, Handler, Message, PublishRefused, QueueState
from batchbus_events.event import Event, encode
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.early import ChangeTrigger, Kept, Placeholder
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.domain.ports import Beat, JobStore, ProcessStore, StoreUnavailable
from batchbus_service.engine.commands import BUS, Commands
from batchbus_service.engine.dispatcher import Dispatcher, kept_for
from batchbus_service.engine.intake import Intake
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.attempt import Dependencies
from batchbus_service.execution.execution import InProcess, ProcessDied
from batchbus_service.execution.executor import Call, CallStopped, StrategyExecutor
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.slots import Slots
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.storage.memory import MemoryJobStore, MemoryProcessStore
from batchbus_service.telemetry.background import Background
from batchbus_strategies import BatchStrategy, Draft, Json, Phase, Services
from tests.engine.virtual_time import VirtualClock, server_time

__all__ = ["EndsProcess", "Faults", "Process", "World"]

_FAST = 5e-5
"""By how much of itself a stopwatch may be too fast or too slow."""
_NO_CONFIRM_SECONDS = 10.0
"""After which a publisher gives up on a broker that confirms nothing."""
_POLICY = Policy(lease=timedelta(seconds=30))


@dataclass
class Faults:
    """How likely a call goes wrong, and how long one takes at most, in seconds."""

    random: Random
    chance: float = 0.02
    slowest: float = 0.05
    away: set[str] = field(default_factory=set)
    """What nobody reaches at the moment: `broker`, `database`. Shared by all processes."""
    crashed: bool = False
    frozen_until: float = 0.0

    async def around(self, what: str, deed: Callable[[], Awaitable[Any]], lost: Callable[[], Exception]) -> Any:
        """Do the deed, after a while; or fail before it, or after it."""
        await self.pause()
        if what in self.away or self.random.random() < self.chance:
            raise lost()
        done = await deed()
        await self.pause()
        if self.random.random() < self.chance:
            raise lost()
        return done

    async def pause(self) -> None:
        await asyncio.sleep(self.random.uniform(0, self.slowest))
        await asyncio.sleep(max(0.0, self.frozen_until - asyncio.get_running_loop().time()))
        if self.crashed:
            await asyncio.get_running_loop().create_future()


class FaultyStore:
    """The shared store, as one process reaches it."""

    def __init__(self, store: JobStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    async def _do(self, deed: Callable[[], Awaitable[Any]]) -> Any:
        return await self._faults.around("database", deed, lambda: StoreUnavailable("simulated"))

    async def insert(self, job: Job) -> None:
        await self._do(lambda: self._store.insert(job))

    async def get(self, job_id: str) -> Job | None:
        return cast("Job | None", await self._do(lambda: self._store.get(job_id)))

    async def update(self, old: Job, new: Job, *, same_lease: bool = False, by_owner: bool = False) -> bool:
        return bool(await self._do(lambda: self._store.update(old, new, same_lease=same_lease, by_owner=by_owner)))

    async def beat(self, beat: Beat) -> bool:
        return bool(await self._do(lambda: self._store.beat(beat)))

    async def settle(self, jobs: Sequence[Job]) -> None:
        await self._do(lambda: self._store.settle(jobs))

    async def move_alarm(self, job: Job, wake_at: datetime | None) -> bool:
        return bool(await self._do(lambda: self._store.move_alarm(job, wake_at)))

    async def put_off(self, jobs: Sequence[Job], wake_at: Sequence[datetime | None]) -> None:
        await self._do(lambda: self._store.put_off(jobs, wake_at))

    async def waiting(self, phase: Phase, job_type: str, *, until: datetime, want: int) -> list[Job]:
        found = await self._do(lambda: self._store.waiting(phase, job_type, until=until, want=want))
        return cast("list[Job]", found)

    async def ringing(self, *, until: datetime, want: int) -> list[Job | Placeholder]:
        return cast("list[Job | Placeholder]", await self._do(lambda: self._store.ringing(until=until, want=want)))

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, wake_at: datetime) -> Kept:
        return cast("Kept", await self._do(lambda: self._store.keep_early(job_id, trigger, wake_at)))

    async def placeholder(self, job_id: str) -> Placeholder | None:
        return cast("Placeholder | None", await self._do(lambda: self._store.placeholder(job_id)))

    async def move_placeholder(self, old: Placeholder, *, wake_at: datetime, ended: bool) -> Placeholder | None:
        moved = await self._do(lambda: self._store.move_placeholder(old, wake_at=wake_at, ended=ended))
        return cast("Placeholder | None", moved)

    async def fill_placeholder(self, placeholder: Placeholder, job: Job) -> bool:
        return bool(await self._do(lambda: self._store.fill_placeholder(placeholder, job)))

    async def drop_placeholder(self, placeholder: Placeholder) -> None:
        await self._do(lambda: self._store.drop_placeholder(placeholder))

    async def early_of(self, sender: str, *, since: datetime, until: datetime, up_to: int) -> int:
        return int(await self._do(lambda: self._store.early_of(sender, since=since, until=until, up_to=up_to)))


class FaultyProcesses:
    """Who is there, as one process gets to know it."""

    def __init__(self, processes: ProcessStore, faults: Faults) -> None:
        self._processes = processes
        self._faults = faults

    async def _do(self, deed: Callable[[], Awaitable[Any]]) -> Any:
        return await self._faults.around("database", deed, lambda: StoreUnavailable("simulated"))

    async def renew(self, name: str, until: datetime) -> None:
        await self._do(lambda: self._processes.renew(name, until))

    async def present(self) -> Mapping[str, datetime]:
        return cast("Mapping[str, datetime]", await self._do(self._processes.present))

    async def leave(self, name: str) -> None:
        await self._do(lambda: self._processes.leave(name))


class FaultyServer:
    """The database server's clock, as one process asks for it."""

    def __init__(self, ahead: Callable[[], float], faults: Faults) -> None:
        self._ahead = ahead
        self._faults = faults

    async def command(self, name: str) -> dict[str, Any]:
        async def told() -> dict[str, Any]:
            return {"localTime": server_time(asyncio.get_running_loop(), self._ahead())}

        answer = await self._faults.around("database", told, lambda: AutoReconnect("simulated"))
        return cast("dict[str, Any]", answer)


class FaultyBus:
    """The shared bus, as one process reaches it. `vanish` puts back what the process had not acknowledged."""

    def __init__(self, bus: MemoryBus, faults: Faults) -> None:
        self._bus = bus
        self._faults = faults
        self._consumers: list[_Rebuilt] = []
        self.connected = True
        self.user = bus.user

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        def deed() -> Awaitable[None]:
            return self._bus.publish(exchange, message, mandatory=mandatory)

        def lost() -> Exception:
            nacked = self._faults.random.random() < 0.3
            return PublishRefused("simulated: the broker has nacked it") if nacked else BusUnavailable("simulated")

        if not self.connected:
            raise BusUnavailable("simulated")
        if "publishing" in self._faults.away:
            await asyncio.sleep(_NO_CONFIRM_SECONDS)
            raise BusUnavailable("simulated: an alarm")
        await self._faults.around("broker", deed, lost)

    async def consume(
        self, queue: topics.Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> Consumer:
        async def unless_crashed(delivery: Delivery) -> None:
            if not self._faults.crashed:
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


class ExecutorHere:
    """Stands in for `StrategyExecutor`: strategies on the simulation's own loop."""

    def __init__(self) -> None:
        self.services = cast("Services", None)

    def start(self, function: Callable[..., Any], *args: object) -> Call[Any]:
        return _CallHere(function(*args))

    async def call(self, function: Callable[..., Any], *args: object) -> Any:
        value = function(*args)
        return await value if asyncio.iscoroutine(value) else value


class _CallHere(Call[Any]):
    def __init__(self, coroutine: Any) -> None:
        super().__init__()
        self._task = asyncio.ensure_future(coroutine)
        self._task.add_done_callback(self._end)

    def stop(self) -> None:
        self._task.cancel()

    def _end(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            self.future.set_exception(CallStopped())
        elif error := task.exception():
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class EndsProcess(BaseException):
    """Raised by a strategy that ends the process it is in."""


@dataclass
class ExecutionsHere:
    """Every run on the simulation's own loop; a suspect's is said to be in a process of its own."""

    clock: VirtualClock
    crash: Callable[[], Awaitable[None]]
    """What becomes of the process when a strategy ends it."""

    def open(self, job: Job, strategy: BatchStrategy[Any], lease: Lease, log: Any) -> InProcess:
        return _ExecutionHere(self, strategy, lease, log, alone=job.suspected)


class _ExecutionHere(InProcess):
    def __init__(
        self, place: ExecutionsHere, strategy: BatchStrategy[Any], lease: Lease, log: Any, *, alone: bool
    ) -> None:
        super().__init__(cast("StrategyExecutor", ExecutorHere()), place.clock, strategy, lease, log)
        self._crash = place.crash
        self._alone = alone

    async def work(self) -> Draft:
        try:
            return await super().work()
        except EndsProcess:
            if self._alone:
                raise ProcessDied("simulated") from None
            await self._crash()
            nothing_more: asyncio.Future[Draft] = asyncio.get_running_loop().create_future()
            return await nothing_more


@dataclass
class Process:
    """One service process: the real engine on faulty ports."""

    name: str
    faults: Faults
    bus: FaultyBus
    worker: Dispatcher
    outbox: Outbox
    transitions: Transitions
    slots: Slots

    def free(self, phase: Phase) -> int:
        """Slots of its worker that wait for a job."""
        return self.slots.free(phase)

    async def crash(self) -> None:
        """As `kill -9`: nothing of it does anything any more, and its deliveries go back to the queue."""
        self.faults.crashed = True
        await self.bus.vanish()

    @property
    def frozen(self) -> bool:
        return self.faults.frozen_until > asyncio.get_running_loop().time()

    def freeze(self, seconds: float) -> None:
        """Its calls hang for so long, while its strategies think that nothing has happened."""
        self.faults.frozen_until = max(self.faults.frozen_until, asyncio.get_running_loop().time() + seconds)


@dataclass
class World:
    """The store, the bus, the processes, and everything that was published."""

    random: Random
    strategy: Callable[[str], BatchStrategy[Any]]
    """Makes the strategy of a process, given its name."""
    store: MemoryJobStore = field(default_factory=MemoryJobStore)
    present: MemoryProcessStore = field(default_factory=MemoryProcessStore)
    bus: MemoryBus = field(default_factory=lambda: MemoryBus(publish_timeout=5.0))
    processes: list[Process] = field(default_factory=list)
    published: list[Message] = field(default_factory=list)
    restarts: list[asyncio.Future[None]] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)
    chance: float = 0.02
    """See `Faults`, as are the next two."""
    slowest: float = 0.05
    away: set[str] = field(default_factory=set)
    clock_ahead: float = 0.0
    """By how much somebody has set the database server's clock ahead, in seconds."""

    async def listen(self) -> None:
        async def note(delivery: Delivery) -> None:
            self.published.append(delivery.message)
            await delivery.ack()

        everything = topics.Queue(name="world", bindings=(topics.Binding(topics.EVENTS, "batch.#"),))
        await self.bus.consume(everything, note, prefetch=1000)

    async def trigger(self, word: str, job_id: str, event_id: str, *, source: str = "/tests", **data: Json) -> None:
        """Publish `batch.created`, `batch.confirmed` or `batch.canceled`."""
        event = Event(type=f"batch.{word}", source=source, id=event_id, subject=job_id, data=data)
        await self.bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key=event.type))

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if not process.faults.crashed]

    async def take_away(self, what: str) -> None:
        """`broker` or `database`, for every process."""
        self.away.add(what)
        if what == "broker":
            for process in self.alive:
                await process.bus.vanish()

    async def bring_back(self, what: str) -> None:
        self.away.discard(what)
        if what == "broker":
            for process in self.alive:
                await process.bus.come_back()

    async def start_process(self) -> Process:
        name = f"process-{next(self.numbers)}"
        log = structlog.get_logger(name)
        while self.away:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)  # it does not start without
        faults = Faults(Random(self.random.random()), self.chance, self.slowest, self.away)
        bus, store = FaultyBus(self.bus, faults), FaultyStore(self.store, faults)
        clock = VirtualClock(
            asyncio.get_running_loop(),
            FaultyServer(lambda: self.clock_ahead, faults),
            log,
            began=1e6 * self.random.uniform(0, 1),
            fast=self.random.uniform(-_FAST, _FAST),
        )
        await _in_the_end(clock.measure)
        Background(log).start("comparing clocks", clock.keep)
        lasts = 2 * _POLICY.publish_grace
        presence = Presence(FaultyProcesses(self.present, faults), clock, name, log, lasts=lasts)
        strategy = self.strategy(name)
        slots = Slots({"process": 4, "pre_process": 2})
        keeps = kept_for(slots, [strategy.batch_type])
        outbox = Outbox(bus, store, clock, _POLICY, presence, log, kept_for=keeps)
        transitions = Transitions(store, outbox, clock, Decider(_POLICY, lambda: f"event-{next(self.numbers)}"), log)
        notifier = Notifier(bus, log)

        async def ended() -> None:
            await process.crash()
            self.restarts.append(asyncio.ensure_future(self._restart()))

        around = Dependencies(
            worker=name,
            transitions=transitions,
            bus=bus,
            executions=ExecutionsHere(clock, ended),
            slots=slots,
            limits=RunLimits(lease=30.0),
            give_up=lambda reason: None,
        )
        worker = Dispatcher(around, lambda _: strategy, [strategy.batch_type], notifier, log)
        await _in_the_end(presence.start)
        await outbox.start()
        await Rescuer(transitions, bus, log).start()
        await worker.start()
        await Intake(bus, transitions, Commands(BUS, transitions, worker, log), log).start()
        process = Process(name, faults, bus, worker, outbox, transitions, slots)
        self.processes.append(process)
        if "broker" in self.away:  # since a moment ago
            await bus.vanish()
        return process

    async def _restart(self) -> None:
        """As a supervisor does with a process that has ended."""
        await asyncio.sleep(1)
        await self.start_process()


async def _in_the_end(start: Callable[[], Awaitable[None]]) -> None:
    """As a supervisor does, which starts a process again that could not reach its database."""
    while True:
        try:
            return await start()
        except (StoreUnavailable, PyMongoError):
            await asyncio.sleep(1)

"""A world for simulations: one memory store and one memory bus, and service processes that crash, freeze and stutter.

Each process is the real engine on ports that misbehave by a seeded chance: answers are lost before or after the
deed, calls take their time, and after a crash nothing of the process does anything any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast

import structlog

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.event import Event, encode
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.bus_rules import BusRules
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.job import SCHEMA, Job
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.engine.commands import BUS, Commands
from batchbus_service.engine.dispatcher import Dispatcher, kept_for
from batchbus_service.engine.intake import Intake
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.attempt import Attempt
from batchbus_service.execution.execution import InProcess, ProcessDied
from batchbus_service.execution.executor import Call, CallStopped, StrategyExecutor
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.slots import Slots
from batchbus_service.execution.worker_services import WorkerServices
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.storage.grouped import GroupedJobStore
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.queues import QueueDepths
from batchbus_strategies import BatchStrategy, Draft, Json, Phase, Services
from tests.engine.faulty import (
    Faults,
    FaultyBus,
    FaultyHistories,
    FaultyProcesses,
    FaultyReplays,
    FaultyServer,
    FaultyStore,
    Surroundings,
)
from tests.engine.older import OlderBus, OlderStore
from tests.engine.virtual_time import VirtualClock
from tests.storage.memory.jobs import MemoryJobStore, MemoryProcessStore
from tests.storage.memory.operations import MemoryHistoryReader, MemoryReplayStore

__all__ = ["SUBSCRIBER", "EndsProcess", "Process", "World"]

SUBSCRIBER = topics.Queue(name="subscriber")
"""Somebody's queue, to which events are replayed."""
_FAST = 5e-5
"""By how much of itself a stopwatch may be too fast or too slow."""
_POLICY = Policy(lease=timedelta(seconds=30), bus=BusRules(unvouched="trusted"))


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
        executor, worker = cast("StrategyExecutor", ExecutorHere()), cast("WorkerServices", None)
        super().__init__(executor, place.clock, strategy, lease, log, worker)
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
    rescuer: Rescuer
    older: bool = False
    """Whether it is of an older version than the others."""
    replayer: Replayer | None = None

    def free(self, phase: Phase) -> int:
        """Slots of its worker that wait for a job."""
        return self.slots.free(phase)

    async def crash(self) -> None:
        """As `kill -9`: nothing of it does anything any more, and its deliveries go back to the queue."""
        self.faults.fate.crashed = True
        await self.bus.vanish()

    @property
    def frozen(self) -> bool:
        return self.faults.frozen_for() > 0

    def freeze(self, seconds: float) -> None:
        """Its calls hang for so long, while its strategies think that nothing has happened."""
        fate = self.faults.fate
        fate.frozen_until = max(fate.frozen_until, asyncio.get_running_loop().time() + seconds)


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
    surroundings: Surroundings = field(default_factory=Surroundings)
    clock_ahead: float = 0.0
    """By how much somebody has set the database server's clock ahead, in seconds."""
    replays: MemoryReplayStore = field(default_factory=MemoryReplayStore)
    folder: Path | None = None
    """Where replays find room for their events; without one, no process carries replays out."""
    older_schema: int = SCHEMA
    """The newest schema of jobs that an older process can read."""

    async def listen(self) -> None:
        async def note(delivery: Delivery) -> None:
            self.published.append(delivery.message)
            await delivery.ack()

        everything = topics.Queue(name="world", bindings=(topics.Binding(topics.EVENTS, "batch.#"),))
        await self.bus.consume(everything, note, prefetch=1000)
        await self.bus.consume(SUBSCRIBER, note, prefetch=1000)

    async def trigger(self, word: str, job_id: str, event_id: str, *, source: str = "/tests", **data: Json) -> None:
        """Publish `batch.created`, `batch.confirmed` or `batch.canceled`."""
        event = Event(type=f"batch.{word}", source=source, id=event_id, subject=job_id, data=data)
        await self.bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key=event.type))

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if not process.faults.fate.crashed]

    @property
    def away(self) -> set[str]:
        return self.surroundings.away

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

    async def start_process(self, *, older: bool = False) -> Process:
        name = f"process-{next(self.numbers)}"
        log = structlog.get_logger(name)
        while self.away:  # noqa: ASYNC110 - the time is virtual
            await asyncio.sleep(1)  # it does not start without
        faults = Faults(Random(self.random.random()), self.chance, self.slowest, self.surroundings)
        bus, store = FaultyBus(self.bus, faults), FaultyStore(self.store, faults)
        if older:
            bus, store = OlderBus(self.bus, faults), OlderStore(store, self.older_schema)
        grouped = GroupedJobStore(store)
        background = Background(log)
        clock = VirtualClock(
            asyncio.get_running_loop(),
            FaultyServer(lambda: self.clock_ahead, faults),
            log,
            began=1e6 * self.random.uniform(0, 1),
            fast=self.random.uniform(-_FAST, _FAST),
        )
        await _in_the_end(clock.measure)
        await clock.kept_right(background).start()
        lasts = 2 * _POLICY.publish_grace
        presence = Presence(FaultyProcesses(self.present, faults), clock, name, log, lasts=lasts)
        strategy = self.strategy(name)
        slots = Slots({"process": 4, "pre_process": 2})
        types = [strategy.batch_type]
        outbox = Outbox(bus, grouped, clock, _POLICY, presence, log, kept_for=kept_for(slots, types))
        transitions = Transitions(grouped, outbox, clock, Decider(_POLICY, lambda: f"event-{next(self.numbers)}"), log)
        notifier = Notifier(bus, log)

        async def ended() -> None:
            await process.crash()
            self.restarts.append(asyncio.ensure_future(self._restart()))

        limits = RunLimits(lease=30.0)
        attempt = partial(
            Attempt,
            transitions=transitions,
            bus=bus,
            executions=ExecutionsHere(clock, ended),
            slots=slots,
            limits=limits,
            give_up=lambda reason: None,
            refusal=_none,
        )
        worker = Dispatcher(name, transitions, bus, slots, limits, attempt, lambda _: strategy, types, notifier, log)
        await _in_the_end(presence.start)
        await outbox.start()
        rescuer = Rescuer(transitions, bus, log)
        await rescuer.start()
        await worker.start()
        await Intake(bus, transitions, Commands(BUS, transitions, worker, log), log).start()
        await QueueDepths(bus, log, background=background).start()
        process = Process(name, faults, bus, worker, outbox, transitions, slots, rescuer, older)
        if self.folder:
            process.replayer = self._replayer(process, self.folder, clock, background)
            await process.replayer.start()
        self.processes.append(process)
        if "broker" in self.away:  # since a moment ago
            await bus.vanish()
        return process

    def _replayer(self, process: Process, folder: Path, clock: VirtualClock, background: Background) -> Replayer:
        faults = process.faults.apart(f"{process.name} replays")
        return Replayer(
            FaultyReplays(self.replays, faults),
            FaultyHistories(MemoryHistoryReader(self.store), faults),
            process.bus,
            clock,
            worker=process.name,
            folder=folder,
            claim=_POLICY.lease,
            log=structlog.get_logger(process.name),
            background=background,
        )

    async def _restart(self) -> None:
        """As a supervisor does with a process that has ended."""
        await asyncio.sleep(1)
        await self.start_process()


async def _none(_: object, __: object) -> None:
    """Jobs of a world read no files."""


async def _in_the_end(start: Callable[[], Awaitable[None]]) -> None:
    """As a supervisor does, which starts a process again that could not reach its database."""
    while True:
        try:
            return await start()
        except StoreUnavailable:
            await asyncio.sleep(1)

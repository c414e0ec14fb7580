"""The composition root: the one place that chooses adapters and puts the parts together."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from batchbus_events.bus import Bus
from batchbus_events.ids import new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.access.files import FileGrants
from batchbus_service.access.quota import Quota
from batchbus_service.app.last_resort import last_resort
from batchbus_service.app.tracer import environments_tracer
from batchbus_service.domain.bus_rules import BusRules
from batchbus_service.domain.errors import TooManyJobs
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.domain.ports import Stores
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.commands import BUS, HTTP, Commands, Preparation
from batchbus_service.engine.dispatcher import Dispatcher, kept_for
from batchbus_service.engine.intake import Intake
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.attempt import Attempt
from batchbus_service.execution.computing.pool import ComputePool, ComputeSetup
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.isolation import Placement, Setup
from batchbus_service.execution.limiter import Limiter
from batchbus_service.execution.slots import Slots
from batchbus_service.execution.worker_services import SharedServices
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.job_files import JobFiles
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.operations.service import Service
from batchbus_service.storage.clock import MEASURED_BY, ServerClock
from batchbus_service.storage.files import FileStore
from batchbus_service.storage.grouped import GroupedJobStore
from batchbus_service.storage.metered import MeteredJobStore
from batchbus_service.storage.mongo.connection import mongo_stores, open_database
from batchbus_service.storage.mongo.lent import lend
from batchbus_service.storage.mongo.server import MongoServer
from batchbus_service.storage.private import private_folder
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.prometheus import PrometheusMeter
from batchbus_service.telemetry.queues import QueueDepths
from batchbus_service.telemetry.tracing import Tracer
from batchbus_strategies import Registry, Services

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from structlog.typing import FilteringBoundLogger

__all__ = ["Service", "Timeouts", "open_service", "worker_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the service waits, in seconds, before it does something about it. No settings: only tests have less."""

    publish_grace: float = 10.0
    """See `Policy.publish_grace`."""
    cancel_grace: float = 5.0
    """See `RunLimits.cancel_grace`."""
    stuck: float = 600.0
    """See `RunLimits.stuck`."""
    database: float = 10.0
    """How long the database may take to answer the engine; a lease of the default length survives it."""
    last_answers: float = 5.0
    """How long each part of a process that stops waits for the answers that are still to come."""
    worker_within: float = 300.0
    """See `Policy.worker_within`."""
    clock_measured: float = MEASURED_BY
    """How long it takes until all processes know that the database's clock was set; until then nothing is judged by it."""


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    work: bool = True,
    bus: Bus | None = None,
    mongo_url: str | None = None,
    give_up: Callable[[str], None] | None = None,
    timeouts: Timeouts = Timeouts(),
    tracer: Tracer | None = None,
) -> AsyncIterator[Service]:
    """Everything but the HTTP server. Its parts end in the reverse order, so that nothing accepted is lost.

    `work`: take triggers and run jobs. `bus` and `mongo_url` stand in for what the settings name, `tracer` for
    what the environment does. `give_up` is called with a reason when the process has to end, because a strategy cannot
    be stopped.
    """
    async with AsyncExitStack() as stack:
        base = await _open_base(settings, stack, bus, mongo_url, timeouts)
        transitions, notifier, presence = await _open_journal(
            base, stack, timeouts, tracer or environments_tracer(stack), work=work
        )
        rescuer = Rescuer(
            transitions,
            base.bus,
            base.log,
            early_seconds=settings.early_trigger_seconds,
            serves=presence.serves,
            background=base.background,
        )
        await stack.enter_async_context(rescuer)
        replayer = await stack.enter_async_context(_replayer(base))
        worker = None
        if work:
            give_up = give_up or last_resort(stack, base.log)
            worker = await _open_worker(base, stack, transitions, notifier, presence, rescuer, timeouts, give_up)
        else:
            transitions.outbox.settled.connect(notifier.notify_of)
        queues = QueueDepths(base.bus, base.log, background=base.background)
        base.meter.look_at_queues(await stack.enter_async_context(queues))
        preparation = Preparation(base.registry.get, base.executor)
        commands = Commands(
            HTTP,
            transitions,
            worker,
            base.log,
            preparation=preparation,
            serves=presence.serves,
            unfinished=base.unfinished,
        )
        yield Service(
            settings,
            base.bus,
            transitions,
            commands,
            base.registry,
            base.executor,
            base.files,
            base.stores,
            worker,
            rescuer,
            replayer,
            base.meter,
            base.background,
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """What stands before anything of the engine does: connections, files, strategies, measurements."""

    settings: Settings
    name: str
    """Of this process."""
    mongo_url: str
    server: MongoServer
    stores: Stores
    clock: ServerClock
    bus: Bus
    files_url: str
    files: FileStore
    registry: Registry
    executor: StrategyExecutor
    slots: Slots
    unfinished: Quota
    """How many jobs each user and service may have that have not ended, by whichever door they came."""
    meter: PrometheusMeter
    background: Background
    log: FilteringBoundLogger

    @property
    def types(self) -> list[str]:
        """The batch types that this process serves if it works."""
        wanted = self.settings.worker_types
        return [each for each in self.registry.strategies if not wanted or each in wanted]


async def _open_base(
    settings: Settings, stack: AsyncExitStack, bus: Bus | None, mongo_url: str | None, timeouts: Timeouts
) -> _Base:
    log: FilteringBoundLogger = structlog.get_logger("batchbus")
    background = Background(log)
    mongo_url = mongo_url or await _mongo_url(settings, stack)
    opening = open_database(mongo_url, settings.mongodb_database, answer_seconds=timeouts.database)
    database = await stack.enter_async_context(opening)
    server = MongoServer(database)
    renewed_every, measured_by = settings.lease_seconds / 3, timeouts.clock_measured
    clock = ServerClock(server, log, renewed_every=renewed_every, measured_by=measured_by)
    registry = Registry.load(settings.strategies_folder)
    if settings.strategies_folder is not None:
        log.info("strategies_loaded", folder=str(settings.strategies_folder.absolute()), types=[*registry.strategies])
    meter = PrometheusMeter(registry.strategies)
    stores = mongo_stores(database, clock, embedded=settings.embedded)
    stores = replace(stores, jobs=GroupedJobStore(MeteredJobStore(stores.jobs, meter)))
    # First, since it is known in seconds whether the database is there. Indexes of many jobs may take their time.
    await clock.measure()
    await stores.jobs.prepare()
    await stack.enter_async_context(clock.kept_right(background))
    bus = bus or await _bus(settings, stack)
    if settings.embedded or settings.files_url is None:
        private_folder(settings.data_dir)
    files_url = settings.files_url or (settings.data_dir / "files").absolute().as_uri()
    files = FileStore.open(files_url)
    if files.folder:
        private_folder(files.folder, shared=True)
    await stack.enter_async_context(files.kept_clean(background, log))
    if settings.job_files_days:
        of_jobs = JobFiles(files, log)
        await stack.enter_async_context(of_jobs.kept_short(background, clock, settings.job_files_days))

    async def make_services(on_loop: AsyncExitStack, loops: Container[asyncio.AbstractEventLoop]) -> Services:
        return lend(settings.catalog_url or mongo_url, settings.catalog_database, files, on_loop, loops)

    executor = await stack.enter_async_context(StrategyExecutor(make_services, background=background))
    for strategy in registry.strategies.values():
        strategy.services = executor.services
    unfinished = Quota(
        settings.max_unfinished_jobs,
        lambda owner, up_to: stores.jobs.unfinished_of(owner, up_to=up_to),
        TooManyJobs,
    )
    slots = Slots({"process": settings.worker_slots, "pre_process": settings.worker_preview_slots})
    return _Base(
        settings,
        worker_id(),
        mongo_url,
        server,
        stores,
        clock,
        bus,
        files_url,
        files,
        registry,
        executor,
        slots,
        unfinished,
        meter,
        background,
        log,
    )


async def _open_journal(
    base: _Base, stack: AsyncExitStack, timeouts: Timeouts, tracer: Tracer, *, work: bool
) -> tuple[Transitions, Notifier, Presence]:
    """How jobs change, and how the world learns of it."""
    settings, background, log = base.settings, base.background, base.log
    policy = Policy(
        lease=timedelta(seconds=settings.lease_seconds),
        max_attempts=settings.max_attempts,
        publish_grace=timedelta(seconds=timeouts.publish_grace),
        worker_within=timedelta(seconds=timeouts.worker_within),
        require_plan_digest=settings.require_plan_digest,
        bus=_bus_rules(settings, base.bus),
    )
    lasts = 2 * policy.publish_grace
    types = base.types if work else []
    presence = Presence(
        base.stores.processes, base.clock, base.name, log, lasts=lasts, types=types, background=background
    )
    await stack.enter_async_context(presence)
    notifier = await stack.enter_async_context(Notifier(base.bus, log))
    outbox = Outbox(
        base.bus,
        base.stores.jobs,
        base.clock,
        policy,
        presence,
        log,
        base.meter,
        kept_for=kept_for(base.slots, types),
        last_answers=timeouts.last_answers,
        background=background,
    )
    await stack.enter_async_context(outbox)
    base.meter.look_at_engine(base.bus, outbox)
    decider = Decider(policy, new_ulid)
    return Transitions(base.stores.jobs, outbox, base.clock, decider, log, base.meter, tracer), notifier, presence


async def _open_placement(base: _Base, stack: AsyncExitStack) -> Placement:
    """Where runs take place, and what they share there: permits of limits, and processes that compute."""
    settings = base.settings
    await base.stores.permits.prepare()
    limiter = Limiter(base.stores.permits, base.clock, base.log)
    compute = ComputeSetup(
        folder=str(settings.strategies_folder.absolute()) if settings.strategies_folder else None,
        path=[str(Path(entry).absolute()) for entry in sys.path],
        memory_mib=settings.isolated_memory_mib,
    )
    pool = await stack.enter_async_context(ComputePool(compute, base.log))
    services = SharedServices(limiter.permit, pool.compute)
    alone = settings.isolation == "all"
    placing = Placement(base.executor, base.clock, await _setup(base), services, base.log, all_isolated=alone)
    return await stack.enter_async_context(placing)


async def _open_worker(
    base: _Base,
    stack: AsyncExitStack,
    transitions: Transitions,
    notifier: Notifier,
    presence: Presence,
    rescuer: Rescuer,
    timeouts: Timeouts,
    give_up: Callable[[str], None],
) -> Dispatcher:
    """What takes triggers and runs jobs."""
    settings = base.settings
    limits = RunLimits(
        lease=settings.lease_seconds,
        progress_interval=settings.progress_interval_seconds,
        cancel_grace=timeouts.cancel_grace,
        stuck=timeouts.stuck,
        last_answers=timeouts.last_answers,
    )
    placement = await _open_placement(base, stack)
    attempt = partial(
        Attempt,
        transitions=transitions,
        bus=base.bus,
        executions=placement,
        slots=base.slots,
        limits=limits,
        give_up=give_up,
        refusal=FileGrants(base.stores.uploads, base.stores.listings, transitions.decider.policy.bus).refusal,
    )
    base.meter.look_at_slots(base.slots)
    worker = Dispatcher(
        base.name,
        transitions,
        base.bus,
        base.slots,
        limits,
        attempt,
        base.registry.get,
        base.types,
        notifier,
        base.log,
        background=base.background,
    )
    await stack.enter_async_context(worker)
    rescuer.missed.connect(lambda jobs: placement.expect_suspects(worker.could_take(jobs)))
    commands = Commands(
        BUS,
        transitions,
        worker,
        base.log,
        early_seconds=settings.early_trigger_seconds,
        serves=presence.serves,
        unfinished=base.unfinished,
    )
    await stack.enter_async_context(
        Intake(base.bus, transitions, commands, base.log, last_answers=timeouts.last_answers)
    )
    return worker


def _bus_rules(settings: Settings, bus: Bus) -> BusRules:
    """Without a broker nothing vouches for users, and everyone who publishes is part of this process."""
    unvouched = settings.unvouched if bus.vouches else "trusted"
    return BusRules(unvouched=unvouched, operators=tuple(settings.bus_operators), files=settings.bus_files)


def _replayer(base: _Base) -> Replayer:
    return Replayer(
        base.stores.replays,
        base.stores.histories,
        base.bus,
        base.clock,
        worker=base.name,
        folder=base.settings.data_dir / "replays",
        claim=timedelta(seconds=base.settings.lease_seconds),
        log=base.log,
        background=base.background,
    )


def worker_id() -> str:
    """Names this process wherever it holds a lease: host, process, and chance, since containers share both."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}-{new_ulid()[-6:].lower()}"


async def _mongo_url(settings: Settings, stack: AsyncExitStack) -> str:
    if not settings.embedded:
        return settings.mongodb_url
    from batchbus_service.storage.mongo.embedded import EmbeddedMongo

    return await stack.enter_async_context(EmbeddedMongo.start(settings.data_dir))


async def _bus(settings: Settings, stack: AsyncExitStack) -> Bus:
    if settings.amqp_url.startswith("memory://"):
        return await stack.enter_async_context(MemoryBus())
    from batchbus_events.rabbitmq import RabbitBus

    return await stack.enter_async_context(RabbitBus.open(settings.amqp_url, name="batchbus"))


async def _setup(base: _Base) -> Setup | None:
    """What a child process of this worker is given; None if it could not reach the files."""
    settings = base.settings
    if base.files_url.startswith("memory://"):
        return None
    catalog_url = settings.catalog_url or base.mongo_url
    if settings.embedded and settings.catalog_url is None:
        catalog_url = await base.server.catalog_user(base.mongo_url, settings.catalog_database)
    folder = settings.strategies_folder
    return Setup(
        catalog_url=catalog_url,
        catalog_database=settings.catalog_database,
        files_url=base.files_url,
        strategies_folder=str(folder.absolute()) if folder else None,
        memory_mib=settings.isolated_memory_mib,
        progress_interval=settings.progress_interval_seconds,
        log_format=settings.log_format,
        log_level=settings.log_level,
        path=[str(Path(entry).absolute()) for entry in sys.path],
    )

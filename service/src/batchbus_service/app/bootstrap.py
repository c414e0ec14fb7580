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
from typing import TYPE_CHECKING, Final

import structlog

from batchbus_events.bus import Bus
from batchbus_events.ids import new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.domain.settings import BadSettings, Settings
from batchbus_service.engine.commands import BUS, HTTP, Commands, Preparation
from batchbus_service.engine.dispatcher import Dispatcher, kept_for
from batchbus_service.engine.intake import Intake
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.attempt import Dependencies
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.isolation import Placement, Setup
from batchbus_service.execution.slots import Slots
from batchbus_service.http.service import Service
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.storage.clock import ServerClock
from batchbus_service.storage.files import FileStore
from batchbus_service.storage.metered import MeteredJobStore
from batchbus_service.storage.mongo.connection import mongo_stores, open_database
from batchbus_service.storage.mongo.lent import lend
from batchbus_service.storage.mongo.server import MongoServer
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.prometheus import PrometheusMeter
from batchbus_service.telemetry.queues import QueueWatch
from batchbus_service.telemetry.tracing import TRACES_NOTHING, Tracer
from batchbus_strategies import Registry, Services

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from structlog.typing import FilteringBoundLogger

__all__ = ["Service", "Timeouts", "open_service", "worker_id"]

_COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GIVE_BACK_SECONDS: Final = 30.0


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
    """Everything but the HTTP server; ended in the reverse order, so that nothing accepted is lost.

    `work`: take triggers and run jobs. `bus` and `mongo_url` stand in for what the settings name, `tracer` for
    what the environment does. `give_up` is called with a reason when the process has to end, because a strategy cannot
    be stopped.
    """
    log: FilteringBoundLogger = structlog.get_logger("batchbus")
    name = worker_id()
    async with AsyncExitStack() as stack:
        if mongo_url is None:
            mongo_url = await _mongo_url(settings, stack)
        opening = open_database(mongo_url, settings.mongodb_database, answer_seconds=timeouts.database)
        database = await stack.enter_async_context(opening)
        server = MongoServer(database)
        clock = ServerClock(server, log)
        registry = Registry.load(settings.strategies_folder)
        meter = PrometheusMeter(registry.strategies)
        stores = mongo_stores(database, clock, embedded=settings.embedded)
        stores = replace(stores, jobs=MeteredJobStore(stores.jobs, meter))
        await stores.jobs.prepare()
        await clock.measure()
        background = Background(log)
        measuring = background.start("comparing clocks", clock.keep)
        stack.callback(measuring.cancel)
        if bus is None:
            bus = await _bus(settings, stack)
        files_url = settings.files_url or (settings.data_dir / "files").absolute().as_uri()
        files = FileStore.open(files_url)
        sweeping = background.start("sweeping unfinished files", partial(files.keep_clean, log))
        stack.callback(sweeping.cancel)

        catalog_url = settings.catalog_url or mongo_url

        async def make_services(on_loop: AsyncExitStack, loops: Container[asyncio.AbstractEventLoop]) -> Services:
            return lend(catalog_url, settings.catalog_database, files, on_loop, loops)

        executor = await stack.enter_async_context(StrategyExecutor(make_services, background=background))
        for strategy in registry.strategies.values():
            strategy.services = executor.services

        policy = Policy(
            lease=timedelta(seconds=settings.lease_seconds),
            max_attempts=settings.max_attempts,
            publish_grace=timedelta(seconds=timeouts.publish_grace),
        )
        presence = Presence(stores.processes, clock, name, log, lasts=2 * policy.publish_grace, background=background)
        await presence.start()
        stack.push_async_callback(presence.close)
        notifier = Notifier(bus, log)
        stack.push_async_callback(notifier.close)
        types = [each for each in registry.strategies if not settings.worker_types or each in settings.worker_types]
        slots = Slots({"process": settings.worker_slots, "pre_process": settings.worker_preview_slots})
        keeps = kept_for(slots, types if work else ())
        outbox = Outbox(bus, stores.jobs, clock, policy, presence, log, meter, kept_for=keeps, background=background)
        await outbox.start()
        stack.push_async_callback(outbox.close, timeouts.last_answers)
        meter.look_at_engine(bus, outbox)
        transitions = Transitions(
            stores.jobs, outbox, clock, Decider(policy, new_ulid), log, meter, tracer or _tracer(stack)
        )
        early_seconds = settings.early_trigger_seconds
        watch = Rescuer(transitions, bus, log, early_seconds=early_seconds, background=background)
        await watch.start()
        stack.push_async_callback(watch.close)
        replayer = Replayer(
            stores.replays,
            stores.histories,
            bus,
            clock,
            worker=name,
            folder=settings.data_dir / "replays",
            claim=timedelta(seconds=settings.lease_seconds),
            log=log,
            background=background,
        )
        await replayer.start()
        stack.push_async_callback(replayer.close)

        worker = None
        if work:
            meter.look_at_slots(slots)
            around = Dependencies(
                worker=name,
                transitions=transitions,
                bus=bus,
                executions=Placement(
                    executor,
                    clock,
                    await _setup(settings, server, mongo_url, files_url),
                    all_isolated=settings.isolation == "all",
                ),
                slots=slots,
                limits=RunLimits(
                    lease=settings.lease_seconds,
                    progress_interval=settings.progress_interval_seconds,
                    cancel_grace=timeouts.cancel_grace,
                    stuck=timeouts.stuck,
                    last_answers=timeouts.last_answers,
                ),
                give_up=give_up or _last_resort(stack, log),
            )
            worker = Dispatcher(around, registry.get, types, notifier, log, background=background)
            await worker.start()
            stack.push_async_callback(worker.close)
            of_bus = Commands(BUS, transitions, worker, log, early_seconds=early_seconds)
            intake = Intake(bus, transitions, of_bus, log, last_answers=timeouts.last_answers)
            await intake.start()
            stack.push_async_callback(intake.close)
        else:
            outbox.settled.connect(notifier.ring_for)
        queues = QueueWatch(bus, log, background=background)
        await queues.start()
        stack.push_async_callback(queues.close)
        meter.look_at_queues(queues)
        of_http = Commands(HTTP, transitions, worker, log, preparation=Preparation(registry.get, executor))
        yield Service(
            settings,
            bus,
            transitions,
            of_http,
            registry,
            executor,
            files,
            stores,
            worker,
            watch,
            replayer,
            meter,
            background,
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


async def _setup(settings: Settings, server: MongoServer, mongo_url: str, files_url: str) -> Setup | None:
    """What a child process of this worker is given; None if it could not reach the files."""
    if files_url.startswith("memory://"):
        return None
    catalog_url = settings.catalog_url or mongo_url
    if settings.embedded and settings.catalog_url is None:
        catalog_url = await server.catalog_user(mongo_url, settings.catalog_database)
    folder = settings.strategies_folder
    return Setup(
        catalog_url=catalog_url,
        catalog_database=settings.catalog_database,
        files_url=files_url,
        strategies_folder=str(folder.absolute()) if folder else None,
        memory_mib=settings.isolated_memory_mib,
        progress_interval=settings.progress_interval_seconds,
        log_format=settings.log_format,
        log_level=settings.log_level,
        path=[str(Path(entry).absolute()) for entry in sys.path],
    )


def _tracer(stack: AsyncExitStack) -> Tracer:
    """OpenTelemetry's, if its own variables name a collector. Raises `BadSettings` if it is not installed."""
    if not any(os.environ.get(name) for name in _COLLECTORS):
        return TRACES_NOTHING
    try:
        from batchbus_service.telemetry.otel import OpenTelemetryTracer, exporting_provider
    except ImportError:
        raise BadSettings(
            f"{_COLLECTORS[0]} is set, and OpenTelemetry is not installed: pip install 'batchbus[otel]', or unset it"
        ) from None
    provider = exporting_provider()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return OpenTelemetryTracer(provider)


def _last_resort(stack: AsyncExitStack, log: FilteringBoundLogger) -> Callable[[str], None]:
    """Give the other jobs back and end the process: nothing else ends a thread that never returns."""
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await stack.aclose()
        finally:
            os._exit(70)

    def give_up(reason: str) -> None:
        log.critical("giving_up", reason=reason)
        if not ending:
            ending.append(asyncio.create_task(end()))

    return give_up

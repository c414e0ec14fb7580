"""What stands before anything of the engine does: connections, stores, files, strategies, measurements."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from batchbus_events.bus import Bus
from batchbus_events.ids import new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.access.quota import Quota
from batchbus_service.domain.errors import TooManyJobs
from batchbus_service.domain.ports import Stores
from batchbus_service.domain.settings import Settings
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.slots import Slots
from batchbus_service.operations.job_files import JobFiles
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
from batchbus_strategies import Registry, Services

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Container

    from structlog.typing import FilteringBoundLogger

__all__ = ["DEFAULT_TIMEOUTS", "Base", "Timeouts", "open_base"]


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


DEFAULT_TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, slots=True)
class Base:
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


async def open_base(
    settings: Settings, stack: AsyncExitStack, bus: Bus | None, mongo_url: str | None, timeouts: Timeouts
) -> Base:
    """Open all of it; what has to be closed is closed with `stack`."""
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
    files_url, files = await _open_files(settings, stack, background, clock, log)

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
    return Base(
        settings,
        _worker_id(),
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


async def _open_files(
    settings: Settings,
    stack: AsyncExitStack,
    background: Background,
    clock: ServerClock,
    log: FilteringBoundLogger,
) -> tuple[str, FileStore]:
    """The files' address, and the store, which is kept clean."""
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
    return files_url, files


def _worker_id() -> str:
    """Names this process wherever it holds a lease: host, process, and chance, since containers share both."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}-{new_ulid()[-6:].lower()}"


async def _mongo_url(settings: Settings, stack: AsyncExitStack) -> str:
    if not settings.embedded:
        return settings.mongodb_url
    from batchbus_service.storage.mongo.embedded import EmbeddedMongo

    return await stack.enter_async_context(EmbeddedMongo.start(settings.data_dir))


async def _bus(settings: Settings, stack: AsyncExitStack) -> Bus:
    if settings.embedded_broker:
        return await stack.enter_async_context(MemoryBus())
    from batchbus_events.rabbitmq import RabbitBus

    return await stack.enter_async_context(RabbitBus.open(settings.amqp_url, name="batchbus"))

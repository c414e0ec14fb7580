"""The composition root: the one place that chooses adapters and puts the parts together."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchbus_events.bus import Bus
from batchbus_events.ids import new_ulid
from batchbus_service.access.files import FileGrants
from batchbus_service.app.base import DEFAULT_TIMEOUTS, Base, Timeouts, open_base
from batchbus_service.app.last_resort import last_resort
from batchbus_service.app.tracer import environments_tracer
from batchbus_service.domain.bus_rules import BusRules
from batchbus_service.domain.lifecycle import Decider, Policy
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.commands import BUS, HTTP, Commands, Door, Preparation
from batchbus_service.engine.dispatcher import Dispatcher, kept_for
from batchbus_service.engine.intake import Intake
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.attempt import Attempt
from batchbus_service.execution.computing.pool import ComputePool, ComputeSetup
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.isolation import Placement, Setup
from batchbus_service.execution.limiter import Limiter
from batchbus_service.execution.worker_services import SharedServices
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.outbox import Outbox
from batchbus_service.journal.presence import Presence
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.operations.service import Service
from batchbus_service.telemetry.queues import QueueDepths
from batchbus_service.telemetry.tracing import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["Service", "Timeouts", "open_service"]


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    work: bool = True,
    bus: Bus | None = None,
    mongo_url: str | None = None,
    give_up: Callable[[str], None] | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    tracer: Tracer | None = None,
) -> AsyncIterator[Service]:
    """Everything but the HTTP server. Its parts end in the reverse order, so that nothing accepted is lost.

    `work`: take triggers and run jobs. `bus` and `mongo_url` stand in for what the settings name, `tracer` for
    what the environment does. `give_up` is called with a reason when the process has to end, because a strategy cannot
    be stopped.
    """
    async with AsyncExitStack() as stack:
        base = await open_base(settings, stack, bus, mongo_url, timeouts)
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
        commands = _commands(base, HTTP, transitions, presence, worker, preparation)
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


async def _open_journal(
    base: Base, stack: AsyncExitStack, timeouts: Timeouts, tracer: Tracer, *, work: bool
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


async def _open_placement(base: Base, stack: AsyncExitStack) -> Placement:
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
    base: Base,
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
    commands = _commands(base, BUS, transitions, presence, worker)
    await stack.enter_async_context(
        Intake(base.bus, transitions, commands, base.log, last_answers=timeouts.last_answers)
    )
    return worker


def _commands(
    base: Base,
    door: Door,
    transitions: Transitions,
    presence: Presence,
    worker: Dispatcher | None,
    preparation: Preparation | None = None,
) -> Commands:
    return Commands(
        door,
        transitions,
        worker,
        base.log,
        preparation=preparation,
        early_seconds=base.settings.early_trigger_seconds,
        serves=presence.serves,
        unfinished=base.unfinished,
    )


def _bus_rules(settings: Settings, bus: Bus) -> BusRules:
    """Without a broker nothing vouches for users, and everyone who publishes is part of this process."""
    unvouched = settings.unvouched if bus.vouches else "trusted"
    return BusRules(unvouched=unvouched, operators=tuple(settings.bus_operators), files=settings.bus_files)


def _replayer(base: Base) -> Replayer:
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


async def _setup(base: Base) -> Setup | None:
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

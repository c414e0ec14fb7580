"""The wrong functions. Each takes the place of the one that is named, and is made from it.

The first are the faults that fault injection found in the first version, as the code was then. The others were thought
out from reading the product: what would somebody get wrong who changes this?
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from batchbus_service.domain.early import Placeholder
from batchbus_service.domain.lifecycle import Cause

__all__ = ["MUTATIONS", "Mutation"]

SIMULATION: Final = "tests/simulation/test_seeds.py"
CONTRACT: Final = "tests/storage/test_store_contract.py"
LIFECYCLE: Final = "tests/domain/test_lifecycle.py"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One wrong function."""

    name: str
    breaks: str
    """What goes wrong with it, in a sentence for the table."""
    target: str
    """The function that is replaced: module and qualified name."""
    make: Callable[[Any], Any]
    """Makes the wrong function from the right one."""
    noticed_by: tuple[str, ...]
    """Where a test has to fail: files, or files with the words that pytest's `-k` takes, after a blank."""


def _always(value: object) -> Callable[[Any], Any]:
    """A function that returns this and does nothing, whatever it is asked."""
    return lambda real: lambda *_arguments, **_more: value


def _asynchronously(value: object) -> Callable[[Any], Any]:
    def make(_real: Any) -> Any:
        async def answer(*_arguments: object, **_more: object) -> object:
            return value

        return answer

    return make


def _rejects_early(_real: Any) -> Any:
    async def keep_early(self: Any, job_id: str, _trigger: object, *, seconds: float) -> str:
        from batchbus_service.domain.errors import UnknownJob

        raise UnknownJob(job_id)

    return keep_early


def _begun_once(_real: Any) -> Any:
    return lambda _self, name, body: asyncio.create_task(body(), name=name)


def _blames_every_job(_real: Any) -> Any:
    return lambda self, job, now, error: self.run_lost(job, now, error, Cause())


def _in_this_process(_real: Any) -> Any:
    def open_(self: Any, _job: object, strategy: object, lease: object, log: object) -> object:
        from batchbus_service.execution.execution import InProcess

        return InProcess(self._executor, self._clock, strategy, lease, log, self._worker)  # type: ignore[arg-type]

    return open_


def _unfenced(real: Any) -> Any:
    def updates(self: Any, *arguments: Any) -> Any:
        made = real(self, *arguments)
        for update in made:
            update._filter.pop("$nor", None)
        return made

    return updates


def _sleeps(_real: Any) -> Any:
    async def watch(_self: object) -> None:
        await asyncio.Event().wait()

    return watch


def _every_line(_real: Any) -> Any:
    return lambda _self, _logger, _method, event: event


def _keeps(*fields: str) -> Callable[[Any], Any]:
    """A decision that leaves these fields of the job as they were."""

    def make(real: Any) -> Any:
        def decide(self: Any, job: Any, *arguments: Any, **more: Any) -> Any:
            return replace(real(self, job, *arguments, **more), **{field: getattr(job, field) for field in fields})

        return decide

    return make


def _without_lease(real: Any) -> Any:
    return lambda self, job, now, cause, **more: replace(real(self, job, now, cause, **more), lease=None)


def _for_unpublished_only_if_leased(real: Any) -> Any:
    return lambda job, now, policy: real(job, now, policy) if job.lease or job.confirm_by else None


def _however_exact(real: Any) -> Any:
    async def sure(self: Any, *, within: float = 0.0) -> Any:
        return await real(self, within=float("inf"))

    return sure


def _all_at_once(_real: Any) -> Any:
    async def send(self: Any, batch: Any) -> Any:
        from batchbus_events.bus import BusError

        outcomes = await asyncio.gather(*(self._send_one(event, []) for event in batch), return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, BusError):
                return number, outcome
        return len(batch), None

    return send


def _only_newer_triggers(real: Any) -> Any:
    async def hold(self: Any, delivery: Any, reason: str) -> None:
        if "dataschema" not in reason:
            raise ValueError(reason)
        await real(self, delivery, reason)

    return hold


def _any_version(real: Any) -> Any:
    async def update(self: Any, old: Any, new: Any, **more: Any) -> bool:
        stored = await self.get(old.id)
        return bool(await real(self, replace(old, version=stored.version) if stored else old, new, **more))

    return update


def _any_version_of_a_limit(real: Any) -> Any:
    async def write(self: Any, _old: object, new: Any) -> bool:
        return bool(await real(self, await self.get(new.name), new))

    return write


def _from_end_to_end(_real: Any) -> Any:
    return lambda start, size, number: start + number / size


def _any_fence(real: Any) -> Any:
    async def renew(self: Any, renewal: Any) -> bool:
        stored = await self.get(renewal.job_id)
        return bool(await real(self, replace(renewal, fence=stored.fence) if stored else renewal))

    return renew


def _twice(real: Any) -> Any:
    """As if a trigger had not been seen before."""
    return lambda self, job, now, cause, **more: real(self, replace(job, triggers=()), now, cause, **more)


def _forgets_first(real: Any) -> Any:
    async def end(self: Any, placeholder: Placeholder) -> None:
        await self._transitions.store.drop_placeholder(placeholder)

    return end


def _no_part(real: Any) -> Any:
    def cut(self: Any) -> int:
        real(self)
        return 0

    return cut


def _slot_for_nobody(_real: Any) -> Any:
    def give_back(self: Any, phase: Any) -> None:
        self._free[phase] += 1

    return give_back


def _not_confirmed(real: Any) -> Any:
    def pre_processed(self: Any, job: Any, *arguments: Any, **more: Any) -> Any:
        return real(self, replace(job, confirmed_early=None), *arguments, **more)

    return pre_processed


def _only_the_last(real: Any) -> Any:
    def hand_over(self: Any, job: Any, *, written: int, other: Any = None) -> None:
        real(
            self, replace(job, published=max(job.published, len(job.history) - 1)), written=min(written, 1), other=other
        )

    return hand_over


MUTATIONS: Final = (
    # -- what fault injection found ------------------------------------------------------------------------------------
    Mutation(
        "early triggers are rejected",
        "a confirmation that overtakes its job is lost",
        "batchbus_service.journal.transitions:Transitions.keep_early",
        _rejects_early,
        (SIMULATION,),
    ),
    Mutation(
        "nobody is expected to publish",
        "a slow process has its events published by others, too",
        "batchbus_service.journal.outbox:Outbox.expects",
        _always(False),
        ("tests/journal/test_presence.py", SIMULATION),
    ),
    Mutation(
        "tasks are begun once",
        "a background task that breaks is not there any more",
        "batchbus_service.telemetry.background:Background.start",
        _begun_once,
        ("tests/telemetry/test_background.py",),
    ),
    Mutation(
        "a clock is always sure",
        "leases are taken away when the database's clock is set",
        "batchbus_service.storage.clock:ServerClock.sure",
        _asynchronously(True),
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "slow answers prove the time",
        "a clock that was set while its answer was on the way takes leases away",
        "batchbus_service.storage.clock:ServerClock.sure",
        _however_exact,
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "replays are sent side by side",
        "an event that the broker refuses comes behind what follows it of the same job",
        "batchbus_service.operations.replay.replay_attempt:ReplayAttempt._send",
        _all_at_once,
        ("tests/operations/replay/test_replayer.py holds_a_replay_up", SIMULATION),
    ),
    Mutation(
        "what a newer version wrote breaks triggers",
        "an older process has triggers parked that the newer ones beside it could carry out",
        "batchbus_service.engine.intake:Intake._hold",
        _only_newer_triggers,
        ("tests/engine/test_intake.py", SIMULATION),
    ),
    Mutation(
        "the machine's own clock",
        "each process judges by a clock of its own",
        "batchbus_service.storage.clock:ServerClock.measure",
        _asynchronously(None),
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "every job is to blame",
        "jobs that end their process fail their neighbours",
        "batchbus_service.domain.lifecycle:Decider.worker_lost",
        _blames_every_job,
        (LIFECYCLE, SIMULATION),
    ),
    Mutation(
        "suspects stay among others",
        "a job that ends its process takes worker after worker down",
        "batchbus_service.execution.isolation.isolated:Placement.open",
        _in_this_process,
        ("tests/execution/test_isolation.py lost_one",),
    ),
    Mutation(
        "topology is not restored",
        "what is deleted from the broker stays away",
        "batchbus_events.rabbitmq.bus:RabbitBus.restore",
        _asynchronously(None),
        ("tests/events/test_rabbitmq_topology.py declared",),
    ),
    Mutation(
        "writes are not fenced",
        "a run that was presumed dead writes over the next one",
        "batchbus_strategies.fenced:FencedWriter._updates",
        _unfenced,
        ("tests/strategies/test_fenced.py",),
    ),
    Mutation(
        "nobody watches the loop",
        "a strategy that blocks all others is not named",
        "batchbus_service.execution.executor:StrategyExecutor._watch",
        _sleeps,
        ("tests/execution/test_executor.py",),
    ),
    Mutation(
        "every line is written",
        "a flood of bad messages fills the log",
        "batchbus_service.telemetry.logs:Seldom.__call__",
        _every_line,
        ("tests/telemetry/test_logs.py",),
    ),
    # -- what somebody might get wrong ---------------------------------------------------------------------------------
    Mutation(
        "a claim leaves the fence",
        "two runs of a job have the same fence",
        "batchbus_service.domain.lifecycle:Decider.claim",
        _keeps("fence"),
        (SIMULATION, LIFECYCLE),
    ),
    Mutation(
        "a write over any version",
        "a write goes over what somebody else has written meanwhile",
        "batchbus_service.storage.mongo.jobs:MongoJobStore.update",
        _any_version,
        (CONTRACT,),
    ),
    Mutation(
        "a heartbeat with any fence",
        "a run that was presumed dead renews the lease of the next one",
        "batchbus_service.storage.mongo.jobs:MongoJobStore.renew",
        _any_fence,
        (CONTRACT,),
    ),
    Mutation(
        "a cancellation takes the lease",
        "the run of a canceled job goes on beside the next one",
        "batchbus_service.domain.lifecycle:Decider.cancel",
        _without_lease,
        ("tests/engine/test_cancel.py", SIMULATION),
    ),
    Mutation(
        "no alarm for events",
        "events that their writer did not publish are never published",
        "batchbus_service.domain.lifecycle:due_at",
        _for_unpublished_only_if_leased,
        (SIMULATION,),
    ),
    Mutation(
        "only the last event",
        "of several events of one write only the last is published",
        "batchbus_service.journal.outbox:Outbox.hand_over",
        _only_the_last,
        (SIMULATION,),
    ),
    Mutation(
        "every trigger is new",
        "a confirmation that is delivered twice is rejected the second time",
        "batchbus_service.domain.lifecycle:Decider.confirm",
        _twice,
        (LIFECYCLE, SIMULATION),
    ),
    Mutation(
        "placeholders are forgotten first",
        "triggers whose job never comes are not answered",
        "batchbus_service.engine.rescuer:Rescuer._end",
        _forgets_first,
        ("tests/engine/test_early.py", SIMULATION),
    ),
    Mutation(
        "row errors without parts",
        "row errors behind a checkpoint are lost when the run goes on",
        "batchbus_service.execution.row_errors:RowErrorLog.cut",
        _no_part,
        ("tests/execution/test_row_errors.py",),
    ),
    Mutation(
        "nobody learns of a free slot",
        "a job that waits for a slot is not taken when one comes free",
        "batchbus_service.execution.slots:Slots.give_back",
        _slot_for_nobody,
        ("tests/execution/test_slots.py",),
    ),
    Mutation(
        "early confirmations are dropped",
        "a job that was confirmed during its preview waits for a confirmation",
        "batchbus_service.domain.lifecycle:Decider.pre_processed",
        _not_confirmed,
        ("tests/engine/test_triggers.py during_the_preview", SIMULATION),
    ),
    Mutation(
        "everybody is dead",
        "events of living processes are published by others, too",
        "batchbus_service.journal.presence:Presence.lives",
        _always(False),
        ("tests/journal/test_presence.py", SIMULATION),
    ),
    Mutation(
        "leases are for ever",
        "a run that lost its lease writes on",
        "batchbus_service.execution.job_run:EngineJobRun.ensure_lease",
        _always(None),
        (SIMULATION, "tests/engine/test_crashes.py frozen"),
    ),
    Mutation(
        "a released job waits for its old time",
        "a job that a stopping worker gives back is never taken again",
        "batchbus_service.domain.lifecycle:Decider.released",
        _keeps("ready_at"),
        ("tests/domain/test_lifecycle.py", SIMULATION),
    ),
    Mutation(
        "permits over any version",
        "two workers are given the same permits",
        "batchbus_service.storage.mongo.permits:MongoPermitStore.write",
        _any_version_of_a_limit,
        ("tests/storage/test_permits_contract.py",),
    ),
    Mutation(
        "permits from end to end of a second",
        "a worker whose clock differs a little counts calls to the wrong second",
        "batchbus_service.domain.permits:_moment",
        _from_end_to_end,
        ("tests/execution/test_limiter.py",),
    ),
    Mutation(
        "servers are not left alone",
        "a server that asks to be left alone is called again at once",
        "batchbus_strategies.retrying:retry_after",
        _always(None),
        ("tests/strategies/test_retry.py",),
    ),
    Mutation(
        "waits last",
        "a canceled run sleeps on",
        "batchbus_strategies.waiting:Interruption.set",
        _always(None),
        ("tests/strategies/test_waiting.py", "tests/engine/test_kit.py ends_what_a_run_waits_for"),
    ),
)

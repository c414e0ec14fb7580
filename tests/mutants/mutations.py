"""The mutations: which wrong function takes the place of which right one, and where a test has to notice that.

The first are the faults that fault injection found in the first version, as the code was then. The others were thought
out from reading the product: what would somebody get wrong who changes this?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.mutants import wrong

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


MUTATIONS: Final = (
    # -- what fault injection found ------------------------------------------------------------------------------------
    Mutation(
        "early triggers are rejected",
        "a confirmation that overtakes its job is lost",
        "batchbus_service.journal.transitions:Transitions.keep_early",
        wrong.rejects_early,
        (SIMULATION,),
    ),
    Mutation(
        "nobody is expected to publish",
        "a slow process has its events published by others, too",
        "batchbus_service.journal.outbox:Outbox.expects",
        wrong.always(False),
        ("tests/journal/test_presence.py", SIMULATION),
    ),
    Mutation(
        "tasks are begun once",
        "a background task that breaks is not there any more",
        "batchbus_service.telemetry.background:Background.start",
        wrong.begun_once,
        ("tests/telemetry/test_background.py",),
    ),
    Mutation(
        "a clock is always sure",
        "leases are taken away when the database's clock is set",
        "batchbus_service.storage.clock:ServerClock.sure",
        wrong.asynchronously(True),
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "slow answers prove the time",
        "a clock that was set while its answer was on the way takes leases away",
        "batchbus_service.storage.clock:ServerClock.sure",
        wrong.however_exact,
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "replays are sent side by side",
        "an event that the broker refuses comes behind what follows it of the same job",
        "batchbus_service.operations.replay.replay_attempt:ReplayAttempt._send",
        wrong.all_at_once,
        ("tests/operations/replay/test_replayer.py holds_a_replay_up", SIMULATION),
    ),
    Mutation(
        "what a newer version wrote breaks triggers",
        "an older process has triggers parked that the newer ones beside it could carry out",
        "batchbus_service.engine.intake:Intake._hold",
        wrong.only_newer_triggers,
        ("tests/engine/test_intake.py", SIMULATION),
    ),
    Mutation(
        "the machine's own clock",
        "each process judges by a clock of its own",
        "batchbus_service.storage.clock:ServerClock.measure",
        wrong.asynchronously(None),
        ("tests/storage/test_clock.py", SIMULATION),
    ),
    Mutation(
        "every job is to blame",
        "jobs that end their process fail their neighbours",
        "batchbus_service.domain.lifecycle:Decider.worker_lost",
        wrong.blames_every_job,
        (LIFECYCLE, SIMULATION),
    ),
    Mutation(
        "suspects stay among others",
        "a job that ends its process takes worker after worker down",
        "batchbus_service.execution.isolation.isolated:Placement.open",
        wrong.in_this_process,
        ("tests/execution/test_isolation.py lost_one",),
    ),
    Mutation(
        "topology is not restored",
        "what is deleted from the broker stays away",
        "batchbus_events.rabbitmq.bus:RabbitBus.restore",
        wrong.asynchronously(None),
        ("tests/events/test_rabbitmq_topology.py declared",),
    ),
    Mutation(
        "writes are not fenced",
        "a run that was presumed dead writes over the next one",
        "batchbus_strategies.fenced:FencedWriter._updates",
        wrong.unfenced,
        ("tests/strategies/test_fenced.py",),
    ),
    Mutation(
        "nobody watches the loop",
        "a strategy that blocks all others is not named",
        "batchbus_service.execution.executor:StrategyExecutor._watch",
        wrong.sleeps,
        ("tests/execution/test_executor.py",),
    ),
    Mutation(
        "every line is written",
        "a flood of bad messages fills the log",
        "batchbus_service.telemetry.logs:Seldom.__call__",
        wrong.every_line,
        ("tests/telemetry/test_logs.py",),
    ),
    # -- what somebody might get wrong ---------------------------------------------------------------------------------
    Mutation(
        "a claim leaves the fence",
        "two runs of a job have the same fence",
        "batchbus_service.domain.lifecycle:Decider.claim",
        wrong.keeps("fence"),
        (SIMULATION, LIFECYCLE),
    ),
    Mutation(
        "a write over any version",
        "a write goes over what somebody else has written meanwhile",
        "batchbus_service.storage.mongo.jobs:MongoJobStore.update",
        wrong.any_version,
        (CONTRACT,),
    ),
    Mutation(
        "a heartbeat with any fence",
        "a run that was presumed dead renews the lease of the next one",
        "batchbus_service.storage.mongo.jobs:MongoJobStore.renew",
        wrong.any_fence,
        (CONTRACT,),
    ),
    Mutation(
        "a cancellation takes the lease",
        "the run of a canceled job goes on beside the next one",
        "batchbus_service.domain.lifecycle:Decider.cancel",
        wrong.without_lease,
        ("tests/engine/test_cancel.py", SIMULATION),
    ),
    Mutation(
        "no alarm for events",
        "events that their writer did not publish are never published",
        "batchbus_service.domain.lifecycle:due_at",
        wrong.for_unpublished_only_if_leased,
        (SIMULATION,),
    ),
    Mutation(
        "only the last event",
        "of several events of one write only the last is published",
        "batchbus_service.journal.outbox:Outbox.hand_over",
        wrong.only_the_last,
        (SIMULATION,),
    ),
    Mutation(
        "every trigger is new",
        "a confirmation that is delivered twice is rejected the second time",
        "batchbus_service.domain.lifecycle:Decider.confirm",
        wrong.twice,
        (LIFECYCLE, SIMULATION),
    ),
    Mutation(
        "placeholders are forgotten first",
        "triggers whose job never comes are not answered",
        "batchbus_service.engine.rescuer:Rescuer._end",
        wrong.forgets_first,
        ("tests/engine/test_early.py", SIMULATION),
    ),
    Mutation(
        "row errors without parts",
        "row errors behind a checkpoint are lost when the run goes on",
        "batchbus_service.execution.row_errors:RowErrorLog.cut",
        wrong.no_part,
        ("tests/execution/test_row_errors.py",),
    ),
    Mutation(
        "nobody learns of a free slot",
        "a job that waits for a slot is not taken when one comes free",
        "batchbus_service.execution.slots:Slots.give_back",
        wrong.slot_for_nobody,
        ("tests/execution/test_slots.py",),
    ),
    Mutation(
        "early confirmations are dropped",
        "a job that was confirmed during its preview waits for a confirmation",
        "batchbus_service.domain.lifecycle:Decider.pre_processed",
        wrong.not_confirmed,
        ("tests/engine/test_triggers.py during_the_preview", SIMULATION),
    ),
    Mutation(
        "everybody is dead",
        "events of living processes are published by others, too",
        "batchbus_service.journal.presence:Presence.lives",
        wrong.always(False),
        ("tests/journal/test_presence.py", SIMULATION),
    ),
    Mutation(
        "leases are for ever",
        "a run that lost its lease writes on",
        "batchbus_service.execution.job_run:EngineJobRun.ensure_lease",
        wrong.always(None),
        (SIMULATION, "tests/engine/test_crashes.py frozen"),
    ),
    Mutation(
        "a released job waits for its old time",
        "a job that a stopping worker gives back is never taken again",
        "batchbus_service.domain.lifecycle:Decider.released",
        wrong.keeps("ready_at"),
        ("tests/domain/test_lifecycle.py", SIMULATION),
    ),
    Mutation(
        "permits over any version",
        "two workers are given the same permits",
        "batchbus_service.storage.mongo.permits:MongoPermitStore.write",
        wrong.any_version_of_a_limit,
        ("tests/storage/test_permits_contract.py",),
    ),
    Mutation(
        "permits from end to end of a second",
        "a worker whose clock differs a little counts calls to the wrong second",
        "batchbus_service.domain.permits:_moment",
        wrong.from_end_to_end,
        ("tests/execution/test_limiter.py",),
    ),
    Mutation(
        "servers are not left alone",
        "a server that asks to be left alone is called again at once",
        "batchbus_strategies.retrying:retry_after",
        wrong.always(None),
        ("tests/strategies/test_retry.py",),
    ),
    Mutation(
        "waits last",
        "a canceled run sleeps on",
        "batchbus_strategies.waiting:Interruption.set",
        wrong.always(None),
        ("tests/strategies/test_waiting.py", "tests/engine/test_kit.py ends_what_a_run_waits_for"),
    ),
    Mutation(
        "anyone's job",
        "a service confirms and cancels the jobs of others",
        "batchbus_service.domain.bus_rules:BusRules.check_change",
        wrong.always(None),
        ("tests/engine/test_principals.py", "tests/engine/test_bus_matrix.py"),
    ),
    Mutation(
        "anyone's file",
        "a service reads any file by naming it",
        "batchbus_service.access.files:FileGrants.refusal",
        wrong.asynchronously(None),
        ("tests/http/test_file_doors.py on_the_bus",),
    ),
    Mutation(
        "anyone's key",
        "a job of another is taken for the one that was asked for",
        "batchbus_service.domain.requests:is_of_another",
        wrong.always(False),
        ("tests/engine/test_principals.py",),
    ),
    Mutation(
        "any id is new",
        "an id that comes of somebody's key is taken before they use it",
        "batchbus_service.domain.requests:is_fresh",
        wrong.always(True),
        ("tests/engine/test_principals.py", "tests/engine/test_bus_matrix.py"),
    ),
    Mutation(
        "a group is answered as a whole",
        "of writes that went together, those that were refused are taken for written",
        "batchbus_service.storage.mongo.jobs:MongoJobStore._ask_for",
        wrong.all_written,
        ("tests/storage/test_groups_contract.py",),
    ),
    Mutation(
        "a group has a job twice",
        "two writes of a job go together, and the second meets the job as it was before the first",
        "batchbus_service.storage.grouped:GroupedJobStore._taken",
        wrong.all_that_waits,
        ("tests/storage/test_grouped.py",),
    ),
    Mutation(
        "one event of several is passed over",
        "an event that the broker did not confirm is lost if one behind it got through",
        "batchbus_service.journal.outbox:Outbox._offer",
        wrong.to_the_last,
        (SIMULATION,),
    ),
)

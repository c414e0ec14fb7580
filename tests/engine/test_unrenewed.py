"""A process that cannot trust the clock judges leases by what it has seen itself."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import structlog

from batchbus_service.domain.job import Job, Lease, Status
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.engine.unrenewed import EndedLeases, UnrenewedLeases

NOW = datetime(2030, 1, 1, tzinfo=UTC)
JOB = Job(
    id="batch_1",
    type="any",
    status=Status.PROCESSING,
    created_by="",
    context={},
    request_digest="",
    dry_run=False,
    created_at=NOW,
    updated_at=NOW,
)


def leased(until: float) -> Job:
    ends = NOW + timedelta(seconds=until)
    return replace(JOB, lease=Lease("worker-1", ends), wake_at=ends)


def test_a_lease_has_run_out_when_it_was_seen_unrenewed_for_longer_than_it_lasts() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([leased(10)], 100.0)
    assert not leases.has_run_out(leased(10), 130.0)
    assert leases.has_run_out(leased(10), 130.5)
    leases.look_at([leased(10)], 120.0)
    assert leases.has_run_out(leased(10), 130.5), "a second look changes nothing"


def test_a_lease_that_was_renewed_begins_anew() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([leased(10)], 100.0)
    assert not leases.has_run_out(leased(20), 200.0)
    leases.look_at([leased(20)], 125.0)
    assert not leases.has_run_out(leased(20), 150.0)


def test_what_was_never_seen_or_has_no_lease_has_not_run_out() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([JOB], 0.0)
    assert not leases.has_run_out(JOB, 100.0)
    assert not leases.has_run_out(leased(1), 100.0)
    leases.look_at([leased(1)], 0.0)
    leases.forget()
    assert not leases.has_run_out(leased(1), 100.0)


class SlowEngine:
    """What a rescuer uses, with a clock that is never trusted, a database that takes its time, and one leased job."""

    def __init__(self, answers_after: float) -> None:
        self.at = 0.0
        self.taken_over = False
        self.can_be_trusted = False
        self.answers_after = answers_after
        self.clock = self.store = self.outbox = self.decider = self.bus = self.meter = self
        self.policy = SimpleNamespace(lease=timedelta(seconds=30))
        self.failure = None
        self.connected = True

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def trusted(self) -> bool:
        return self.can_be_trusted

    async def sure(self) -> bool:
        return False

    def expects(self, job: Job) -> bool:
        return False

    def overdue(self, job: Job, now: datetime) -> Job:
        return replace(job)

    async def due(self, *, until: datetime, want: int) -> list[Job]:
        if until - self.now() >= self.policy.lease:  # the look at all leases
            self.at += self.answers_after
            return [leased(10)]
        return [leased(10)] if self.at > 30 else []

    async def try_change(self, job: Job, *_: object, **__: object) -> None:
        self.taken_over = True


async def test_a_lease_is_unrenewed_since_it_was_seen_and_not_since_it_was_asked_for() -> None:
    engine: Any = SlowEngine(answers_after=20)
    rescuer = Rescuer(engine, engine, structlog.get_logger())
    await rescuer.round()  # its answer of 20 s may have been read just after the holder renewed the lease
    engine.at, engine.answers_after = 32.0, 0.0
    await rescuer.round()
    assert not engine.taken_over
    engine.at = 55.0
    await rescuer.round()
    assert engine.taken_over


async def test_what_was_seen_of_leases_is_forgotten_once_the_clock_can_be_trusted() -> None:
    engine: Any = SlowEngine(answers_after=0)
    rescuer = Rescuer(engine, engine, structlog.get_logger())
    await rescuer.round()
    engine.at, engine.can_be_trusted = 5.0, True
    await rescuer.round()
    engine.at, engine.can_be_trusted = 32.0, False
    await rescuer.round()
    assert not engine.taken_over
    engine.at = 62.5
    await rescuer.round()
    assert engine.taken_over


def test_the_next_end_is_that_of_the_lease_that_was_seen_unrenewed_for_longest() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    assert leases.next_end(0.0) == math.inf
    leases.look_at([leased(1)], 100.0)
    leases.look_at([replace(leased(1), id="batch_2")], 110.0)
    assert leases.next_end(112.0) == 18.0
    assert leases.next_end(131.0) == 9.0, "the first has run out"
    assert leases.next_end(150.0) == math.inf


def test_a_lease_that_is_over_when_it_comes_was_written_by_a_clock_that_is_behind() -> None:
    leases, later = EndedLeases(), NOW + timedelta(seconds=100)
    leases.note([], later, all_of_them=True)
    leases.note([leased(10)], later + timedelta(seconds=1), all_of_them=True)
    assert leases.came_ended(leased(10))
    leases.note([leased(10)], later + timedelta(seconds=2), all_of_them=True)
    assert leases.came_ended(leased(10)), "it is the same one"
    leases.note([leased(100.5)], later + timedelta(seconds=3), all_of_them=True)
    assert leases.came_ended(leased(100.5)), "it should have been found a look before"
    leases.note([leased(103.5)], later + timedelta(seconds=4), all_of_them=True)
    assert not leases.came_ended(leased(103.5)), "it ended since the last look"


def test_a_lease_that_ended_before_the_first_look_or_could_not_be_found_earlier_did_not_come_like_that() -> None:
    leases, later = EndedLeases(), NOW + timedelta(seconds=100)
    leases.note([leased(10)], later, all_of_them=True)
    assert not leases.came_ended(leased(10)), "nothing is known of the time before"
    leases.note([leased(10)], later + timedelta(seconds=1), all_of_them=True)
    assert not leases.came_ended(leased(10)), "it was there at the last look"
    leases.note([JOB], later + timedelta(seconds=2), all_of_them=False)
    leases.note([leased(20)], later + timedelta(seconds=3), all_of_them=True)
    assert not leases.came_ended(leased(20)), "the last look did not find all"

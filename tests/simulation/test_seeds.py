"""Some of the simulated runs; `make simulate` has as many as are wanted."""

from __future__ import annotations

import pytest

from tests.long import LONG
from tests.simulation.checks import Violation
from tests.simulation.draws import planned
from tests.simulation.minimising import failure, minimised, story
from tests.simulation.plan import Ask, Crash, Plan, Script

AT_ONCE = 25
SMALL = range(0, 2000 if LONG else 100, AT_ONCE)
BURSTS = range(10 if LONG else 2)
LONG_ONES = range(5 if LONG else 1)

FOUND = {
    "small:22": "a job that waited in memory for more than ten seconds was published again when it was claimed",
    "small:63": "a write whose answer was lost twice was decided again",
    "small:144": "two processes each waited for the other to publish what it had written of one job",
    "small:1534": "what somebody else wrote counted as a write of one's own, and the next write went over it",
    "small:1560": "a confirmation that had not arrived counted as written",
    "small:3050": "a process waited for itself to publish what it did not know to have written",
    "small:4231": "a process that was frozen while it asked for the time took the database's clock for set",
    "small:8653": "a process that began just after the database's clock was set took healthy leases away",
    "small:22956": "two slow answers of the database, one after the other, passed for a clock that was set",
    "small:23841~57": "a trigger that waited since a time before the clock was set back was answered at once",
    "small:44106": "a process that lost a job forgot to publish what it had written of it by a command of somebody",
    "small:3103": "a worker claimed a job twice at the same time, and ran it twice",
    "small:88": "an event that the broker refused to a replay came behind what followed it of the same job",
    "small:114": "an older process had triggers parked for jobs that only the newer ones beside it could read",
    "small:330": "a slow answer passed for a proof that nobody had set the database's clock, and a lease was taken away",
    "small:45154": "the simulation ended while a slow database was still keeping a trigger, and took it for lost",
    "small:46279": "a clock was set back and right again, and only one process had asked for the time in between",
    "small:48735": "the simulation ended while a trigger was held for a process that could read its job",
}
"""Runs that failed once, and why."""


def _must_hold(name: str) -> None:
    plan = planned(name)
    if violation := failure(plan):
        pytest.fail(story(*minimised(plan, violation)), pytrace=False)


@pytest.mark.parametrize("first", SMALL)
def test_a_few_jobs_come_to_their_end_whatever_happens(first: int) -> None:
    for number in range(first, first + AT_ONCE):
        _must_hold(f"small:{number}")


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_stays_mended(name: str) -> None:
    _must_hold(name)


@pytest.mark.parametrize("number", BURSTS)
def test_a_burst_of_jobs_and_what_is_asked_of_them_loses_nothing(number: int) -> None:
    _must_hold(f"burst:{number}")


@pytest.mark.parametrize("number", LONG_ONES)
def test_after_an_outage_of_hours_everything_goes_on_by_itself(number: int) -> None:
    _must_hold(f"long:{number}")


def _plan(*actions: Ask | Crash) -> Plan:
    return Plan("made up", 1, 0.0, 0.001, [Script(), Script()], list(actions))


def test_a_plan_is_the_same_each_time_and_so_is_what_comes_of_it() -> None:
    from tests.simulation.running import carry_out

    assert planned("small:7") == planned("small:7")
    assert [line[:2] for line in carry_out(planned("small:7"))] == [line[:2] for line in carry_out(planned("small:7"))]


def test_a_plan_that_fails_is_made_small_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine that forgets what a cancellation is."""
    from batchbus_service.domain.lifecycle import Decider

    real = Decider.cancel

    def forgets(self: Decider, *arguments: object, **more: object) -> object:
        canceled = real(self, *arguments, **more)  # type: ignore[arg-type]
        return arguments[0] if canceled.id == plan.job_id(1) else canceled

    monkeypatch.setattr(Decider, "cancel", forgets)
    plan = _plan(
        Ask(0.0, 0, "created", dry_run=True),
        Ask(1.0, 0, "confirmed"),
        Ask(1.0, 1, "created", dry_run=True),
        Crash(2.0, 0, 1.0),
        Ask(5.0, 1, "canceled"),
    )
    violation = failure(plan)
    assert isinstance(violation, Violation)
    smaller, still = minimised(plan, violation)
    assert [type(action) for action in smaller.actions] == [Ask, Ask]
    told = story(smaller, still)
    assert "was neither carried out nor rejected" in told
    assert "batch.pre_processed" in told

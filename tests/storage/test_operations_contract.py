"""What every store of replays and parked messages must do, and every reader of histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from batchbus_service.domain.errors import UnknownParked, UnknownReplay
from batchbus_service.domain.parked import Filter, ParkedMessage, State
from batchbus_service.domain.ports import Stores
from batchbus_service.domain.replay import Claim, Plan, Position, Replay
from batchbus_service.domain.replay import State as ReplayState
from batchbus_service.domain.selection import Destination, Selection
from batchbus_service.storage.clock import SystemClock
from tests.operations.replay.histories import BEGIN, finished_job

NOW = SystemClock().now()
OLGA = "olga@example.com"


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def replay(number: int = 1) -> Replay:
    return Replay(
        id=f"replay_{number}",
        selection=Selection(since=NOW, types=("batch.completed",)),
        destination=Destination(queue="billing"),
        reason="it lost its database",
        created_by=OLGA,
        created_at=NOW,
    )


PLAN = Plan(
    events=2,
    jobs=1,
    by_type={"batch.completed": 2},
    first=NOW,
    last=NOW,
    sample=({"type": "batch.completed", "job_id": "batch_1", "sequence": 5, "time": NOW},),
    destination_exists=True,
    waiting=0,
    consumers=1,
)


async def test_a_replay_comes_back_as_it_was_stored(stores: Stores) -> None:
    await stores.replays.insert(replay().noted(OLGA, "plan", NOW, {"reason": "because"}))
    assert await stores.replays.get("replay_1") == replay().noted(OLGA, "plan", NOW, {"reason": "because"})
    with pytest.raises(UnknownReplay):
        await stores.replays.get("replay_2")


async def test_replays_are_listed_the_newest_first(stores: Stores) -> None:
    for number in (1, 3, 2):
        await stores.replays.insert(replay(number))
    assert await stores.replays.newest(offset=1, limit=1) == ([replay(2)], 3)


async def test_a_change_of_state_is_written_only_over_the_version_that_was_read(stores: Stores) -> None:
    await stores.replays.insert(replay())
    planned = replay().planned(PLAN, "one", NOW)
    assert await stores.replays.change(replay(), planned)
    assert not await stores.replays.change(replay(), replay().failed("too late", "two", NOW))
    assert await stores.replays.get("replay_1") == planned
    running = planned.run(OLGA, seconds(1), confirm=True)
    assert await stores.replays.change(planned, running)
    assert await stores.replays.get("replay_1") == running


async def test_a_replay_is_claimed_by_one_process_until_the_claim_expires(stores: Stores) -> None:
    await stores.replays.insert(replay(1))
    await stores.replays.insert(replay(2).failed("no", "one", NOW))
    claimed = await stores.replays.claim("one", NOW, seconds(15))
    assert claimed and (claimed.id, claimed.claim, claimed.fence) == ("replay_1", Claim("one", seconds(15)), 1)
    assert await stores.replays.claim("two", seconds(14), seconds(30)) is None
    taken_over = await stores.replays.claim("two", seconds(15), seconds(30))
    assert taken_over and (taken_over.claim, taken_over.fence) == (Claim("two", seconds(30)), 2)
    assert await stores.replays.get("replay_1") == taken_over


async def test_whose_claim_was_taken_over_writes_nothing_any_more(stores: Stores) -> None:
    await stores.replays.insert(replay())
    first = await stores.replays.claim("one", NOW, seconds(15))
    second = await stores.replays.claim("two", seconds(20), seconds(35))
    assert first and second
    assert not await stores.replays.carry_on(replace(first, published=99), seconds(40))
    await stores.replays.release(first)
    assert await stores.replays.get("replay_1") == second
    further = replace(second, position=Position(NOW, "batch_1", 5), published=7, repeated=1, trouble="slow")
    assert await stores.replays.carry_on(further, seconds(50))
    assert await stores.replays.get("replay_1") == replace(further, claim=Claim("two", seconds(50)))
    await stores.replays.release(second)
    assert (await stores.replays.get("replay_1")).claim is None


async def test_a_claim_and_a_change_of_state_do_not_undo_each_other(stores: Stores) -> None:
    await stores.replays.insert(replay())
    claimed = await stores.replays.claim("one", NOW, seconds(15))
    assert claimed and await stores.replays.change(replay(), replay().abort(OLGA, NOW))
    stored = await stores.replays.get("replay_1")
    assert (stored.state, stored.claim, stored.fence) == (ReplayState.ABORTED, claimed.claim, 1)
    assert await stores.replays.claim("two", seconds(99), seconds(120)) is None


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), "abc"),
        (Selection(batch_types=("import",)), "c"),
        (Selection(created_by=("usr_2", "usr_3")), "b"),
        (Selection(since=BEGIN + timedelta(days=1)), "bc"),
        (Selection(until=BEGIN + timedelta(days=1)), "a"),
        (Selection(job_ids=(finished_job("a", [BEGIN]).id, finished_job("none", [BEGIN]).id)), "a"),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value.model_fields_set),
)
async def test_histories_are_read_of_the_jobs_that_may_have_such_events(
    stores: Stores, selection: Selection, expected: str
) -> None:
    jobs = {
        "a": finished_job("a", [BEGIN, BEGIN + timedelta(seconds=3)]),
        "b": finished_job("b", [BEGIN + timedelta(days=1)], created_by="usr_2"),
        "c": finished_job("c", [BEGIN + timedelta(days=40)], batch_type="import"),
    }
    for job in jobs.values():
        await stores.jobs.insert(job)
    found = {each.job_id: (each.batch_type, each.entries) for each in stores.histories.read(selection)}
    assert found == {jobs[name].id: (jobs[name].type, jobs[name].history) for name in expected}


def parked(number: int = 1, *, failed_at: datetime = NOW, reason: str = "No JSON.") -> ParkedMessage:
    return ParkedMessage(
        id=f"parked_{number}",
        routing_key="batch.created",
        message_id=None,
        content_type="application/json",
        headers={"x.with.dots": "1", "$dollar": 2},
        user_id="shop",
        size=3,
        reason=reason,
        first_failed_at=failed_at,
        last_failed_at=failed_at,
    )


async def test_a_parked_message_comes_back_as_it_was_kept(stores: Stores) -> None:
    await stores.parked.keep(parked())
    assert await stores.parked.get("parked_1") == parked()
    with pytest.raises(UnknownParked):
        await stores.parked.get("parked_2")


async def test_a_message_that_fails_again_is_the_same_record_and_waits_again(stores: Stores) -> None:
    await stores.parked.keep(parked())
    known = await stores.parked.get("parked_1")
    assert await stores.parked.change(known, known.requeued(OLGA, NOW, "mended"))
    await stores.parked.keep(parked(failed_at=seconds(5), reason="Still none."))
    stored = await stores.parked.get("parked_1")
    assert (stored.state, stored.times, stored.reason) == (State.PARKED, 2, "Still none.")
    assert (stored.first_failed_at, stored.last_failed_at) == (NOW, seconds(5))
    assert [entry.what for entry in stored.audit] == ["requeue"]


async def test_what_was_done_is_written_only_over_the_version_that_was_read(stores: Stores) -> None:
    await stores.parked.keep(parked())
    discarded = parked().discarded(OLGA, NOW, "a test")
    assert await stores.parked.change(parked(), discarded)
    assert not await stores.parked.change(parked(), parked().requeued("bob@example.com", NOW, "no"))
    assert await stores.parked.get("parked_1") == discarded


async def test_parked_messages_are_found_by_what_is_known_of_them_those_that_failed_last_first(stores: Stores) -> None:
    for number in range(4):
        await stores.parked.keep(parked(number, failed_at=seconds(number // 2), reason=f"Reason (of {number % 2})."))
    everything, count = await stores.parked.find(Filter(), offset=0, limit=3)
    assert ([each.id for each in everything], count) == (["parked_2", "parked_3", "parked_0"], 4)
    for wanted, number in (
        (Filter(state=State.DISCARDED), 0),
        (Filter(routing_key="batch.created"), 4),
        (Filter(routing_key="batch"), 0),
        (Filter(reason="REASON (OF 1"), 2),
        (Filter(since=seconds(1)), 2),
        (Filter(until=seconds(1)), 2),
    ):
        assert await stores.parked.count(wanted) == number, wanted

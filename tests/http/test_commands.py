"""The same commands through the bus, through HTTP and on the command line: the same jobs, the same refusals.

They differ in what the table of doors says; the command line goes through the door of HTTP.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from batchbus_events.catalog import TRIGGERS
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.access import Role
from batchbus_service.domain.job import Job, Status
from tests.cli.command import Command
from tests.http.conftest import Person, Site
from tests.http.doors import Caller, OnTheBus, OnTheCommandLine, OverHttp
from tests.patience import PATIENCE


@pytest.fixture(params=["bus", "http", "cli"])
async def caller(request: pytest.FixtureRequest, site: Site, olga: Person, tmp_path: Path) -> Caller:
    match request.param:
        case "http":
            return OverHttp(olga)
        case "cli":
            return OnTheCommandLine(Command(tmp_path, {"BATCHBUS_URL": site.url, "BATCHBUS_TOKEN": olga.token}))
        case _:
            bus = OnTheBus(site)
            await bus.listen()
            return bus


async def _stored(site: Site, job_id: str) -> Job | None:
    return await site.service.transitions.store.get(job_id)


async def _until(site: Site, job_id: str, status: Status) -> Job:
    """The job, once it has that status. A status is written before its event is published."""
    olga = await site.person(f"reader-{new_ulid().lower()}", Role.ADMIN)
    async with asyncio.timeout(PATIENCE), olga.stream(f"/admin/batch-jobs/{job_id}/events") as events:
        async for _ in events:
            if (job := await _stored(site, job_id)) and job.status is status:
                return job
    raise AssertionError(f"the events of {job_id} ended before it was {status}")


def _history(job: Job | None) -> list[str]:
    assert job is not None
    return [entry.type.removeprefix("batch.") for entry in job.history]


async def _rested(site: Site, caller: Caller) -> str:
    """A dry run that waits for a confirmation."""
    site.strategy("previewed").preview.set()
    job_id, refusal = await caller.create("previewed")
    assert refusal is None
    await _until(site, job_id, Status.PRE_PROCESSED)
    return job_id


async def test_a_dry_run_is_confirmed_once(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    assert await caller.confirm(job_id) is None
    job = await _until(site, job_id, Status.COMPLETED)
    history = ["created", "pre_processed", "confirmed", "processing", "completed"]
    assert _history(job) == history
    assert await caller.confirm(job_id) == "not_allowed"
    assert _history(await _stored(site, job_id)) == history


async def test_a_confirmation_that_comes_twice_is_known_by_its_id_where_it_has_one(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    if isinstance(caller, OnTheBus):
        trigger = caller.trigger("confirmed", job_id)
        answers = [await caller.ask(trigger), await caller.ask(trigger)]
    else:
        answers = [await caller.confirm(job_id), await caller.confirm(job_id)]
    assert answers == [None, None if caller.door.repeated == "known" else "not_allowed"]


async def test_a_confirmation_before_the_preview_has_ended(site: Site, caller: Caller) -> None:
    job_id, _ = await caller.create("previewed")
    early = caller.door.early_confirmation
    assert await caller.confirm(job_id) == (None if early == "remembered" else "not_allowed")
    site.strategy("previewed").preview.set()
    await _until(site, job_id, Status.COMPLETED if early == "remembered" else Status.PRE_PROCESSED)


async def test_a_confirmation_may_name_the_plan_and_is_refused_for_another(site: Site, caller: Caller) -> None:
    site.strategy("previewed").digests = ["first"]
    job_id = await _rested(site, caller)
    assert await caller.confirm(job_id, "another") == "not_allowed"
    job = await _stored(site, job_id)
    assert job is not None and job.status is Status.PRE_PROCESSED
    assert await caller.confirm(job_id, "first") is None
    job = await _until(site, job_id, Status.COMPLETED)
    assert [entry.data.get("plan_digest") for entry in job.history] == [None, *["first"] * 4]


async def test_a_plan_without_a_digest_can_be_confirmed_as_it_is_and_not_as_another(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    assert await caller.confirm(job_id, "first") == "not_allowed"
    assert await caller.confirm(job_id) is None


async def test_a_confirmation_without_a_digest_is_accepted_unless_one_is_required(site: Site, caller: Caller) -> None:
    site.strategy("previewed").digests = ["first"]
    accepted, refused = [await _rested(site, caller) for _ in range(2)]
    assert await caller.confirm(accepted) is None
    transitions = site.service.transitions
    policy = replace(transitions.decider.policy, require_plan_digest=True)
    transitions.decider = replace(transitions.decider, policy=policy)
    # The command sends the digest of the plan that it shows, whether somebody has given it one or not.
    sends_one = isinstance(caller, OnTheCommandLine)
    assert await caller.confirm(refused) == (None if sends_one else "not_allowed")
    if not sends_one:
        assert await caller.confirm(refused, "first") is None


async def test_an_early_confirmation_of_another_plan_is_answered_when_the_plan_is_there(
    site: Site, caller: Caller
) -> None:
    site.strategy("previewed").digests = ["first"]
    seen, other = [(await caller.create("previewed"))[0] for _ in range(2)]
    if not isinstance(caller, OnTheBus):
        assert await caller.confirm(other, "another") == "not_allowed"
        return
    trigger = caller.trigger("confirmed", other, "another")
    assert [await caller.ask(trigger), await caller.confirm(seen, "first")] == [None, None]
    site.strategy("previewed").preview.set()
    await _until(site, seen, Status.COMPLETED)
    job = await _until(site, other, Status.PRE_PROCESSED)
    told = job.history[-1].data["refused_confirmation"]
    assert isinstance(told, dict) and told["causationid"] == trigger.id
    assert "another" in str(told["message"]) and "first" in str(told["message"])
    assert await caller.rejected(trigger) == "not_allowed"
    assert await caller.confirm(other, "first") is None


async def test_a_cancellation_is_accepted_twice_and_not_after_the_end(site: Site, caller: Caller) -> None:
    canceled = await _rested(site, caller)
    assert [await caller.cancel(canceled), await caller.cancel(canceled)] == [None, None]
    await _until(site, canceled, Status.CANCELED)
    assert await caller.confirm(canceled) == "not_allowed"
    assert _history(await _stored(site, canceled)) == ["created", "pre_processed", "canceled"]
    completed, _ = await caller.create("previewed", dry_run=False)
    await _until(site, completed, Status.COMPLETED)
    assert await caller.cancel(completed) == "not_allowed"


@pytest.mark.parametrize("word", ["confirm", "cancel"])
async def test_a_command_for_a_job_that_is_not_there(site: Site, caller: Caller, word: str) -> None:
    job_id = new_job_id()
    answer = await getattr(caller, word)(job_id)
    kept = await site.service.transitions.store.placeholder(job_id)
    if caller.door.unknown_job == "kept":
        assert answer is None and kept is not None and len(kept.triggers) == 1
    else:
        assert (answer, kept) == ("unknown_job", None)


async def test_a_job_of_a_type_that_nobody_here_serves(site: Site, caller: Caller) -> None:
    job_id, answer = await caller.create("unheard-of")
    if caller.door.unknown_type == "waits":
        job = await _stored(site, job_id)
        assert answer is None and job is not None and job.status is Status.CREATED
    else:
        assert (job_id, answer) == ("", "unknown_job")
        assert await site.database["jobs"].count_documents({}) == 0


async def test_a_job_that_its_preparation_refuses(site: Site, caller: Caller) -> None:
    job_id, answer = await caller.create("previewed", context={"refused": True})
    if caller.door.prepare == "before the job exists":
        assert (job_id, answer) == ("", "invalid_data")
        assert await site.database["jobs"].count_documents({}) == 0
    else:
        assert answer is None
        job = await _until(site, job_id, Status.FAILED)
        assert job.result is not None and job.result.errors == ("Not today",)


async def test_a_job_is_prepared_once(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    await caller.confirm(job_id)
    job = await _until(site, job_id, Status.COMPLETED)
    assert site.strategy("previewed").prepared == [job.created_by]


async def test_the_same_request_makes_one_job_and_another_with_its_key_is_refused(site: Site, caller: Caller) -> None:
    first, second = [await caller.create("previewed", key="monday") for _ in range(2)]
    assert first == second and first[1] is None
    assert (await caller.create("previewed", key="monday", context={"other": 1}))[1] == "conflict"
    assert await site.database["jobs"].count_documents({}) == 1


async def test_a_new_job_while_the_database_is_behind(
    site: Site, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep_up() -> bool:
        return False

    monkeypatch.setattr(site.service.transitions.outbox, "keep_up", keep_up)
    job_id, answer = await caller.create("previewed")
    if caller.door.behind == "waits":
        assert answer is None and await _stored(site, job_id) is not None
    else:
        assert (job_id, answer) == ("", "unavailable")


async def test_what_becomes_ready_is_offered_to_the_worker_of_this_process(
    site: Site, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = site.service.worker
    assert worker is not None
    offered: asyncio.Queue[tuple[str, Status]] = asyncio.Queue()
    monkeypatch.setattr(worker, "offer", lambda job: offered.put_nowait((job.id, job.status)))
    job_id = await _rested(site, caller)
    async with asyncio.timeout(PATIENCE):
        assert await offered.get() == (job_id, Status.PRE_PROCESSED)  # by the end of its preview
        await caller.confirm(job_id)
        assert await offered.get() == (job_id, Status.CONFIRMED)


async def test_a_retry_is_for_operators_alone(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    assert await caller.cancel(job_id) is None
    assert set(TRIGGERS) == {"batch.created", "batch.confirmed", "batch.canceled"}, "no service can ask for it"
    assert caller.door.retry is not isinstance(caller, OnTheBus)
    if isinstance(caller, OverHttp | OnTheCommandLine):
        assert await caller.retry(job_id) is None
        job = await _until(site, job_id, Status.PRE_PROCESSED)
        assert _history(job) == ["created", "pre_processed", "canceled", "created", "pre_processed"]
        assert await caller.retry(job_id) == "not_allowed"


async def test_a_job_is_checked_again_by_people_alone_and_an_old_plan_is_confirmed_no_more(
    site: Site, caller: Caller
) -> None:
    site.strategy("previewed").digests = ["first", "second"]
    job_id = await _rested(site, caller)
    assert caller.door.check_again is not isinstance(caller, OnTheBus)
    if isinstance(caller, OverHttp | OnTheCommandLine):
        assert await caller.check_again(job_id) is None
        reader = await site.person("reader", Role.ADMIN)
        await reader.until(job_id, "batch.pre_processed", times=2)
        job = await _stored(site, job_id)
        assert _history(job) == ["created", "pre_processed", "updated", "pre_processed"]
        assert await caller.confirm(job_id, "first") == "not_allowed"
        assert await caller.confirm(job_id, "second") is None
        await _until(site, job_id, Status.COMPLETED)
        assert await caller.check_again(job_id) == "not_allowed"

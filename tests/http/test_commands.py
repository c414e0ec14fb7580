"""The same commands through the bus and through HTTP: the same answers, but for what the table of doors says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import Event, decode, encode
from batchbus_events.ids import derived_job_id, new_job_id, new_ulid
from batchbus_events.topics import Binding, Queue
from batchbus_service.domain.job import Job, Status
from batchbus_service.engine.commands import BUS, HTTP, Door
from batchbus_strategies import Json
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

MARKER = "marker"
_HTTP_WORDS = {"not_found": "unknown_job"}
"""What HTTP calls differently from the bus."""


class Caller(Protocol):
    """Sends commands through one door. The answer is None, or the code of the refusal."""

    door: Door

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]: ...
    async def confirm(self, job_id: str) -> str | None: ...
    async def cancel(self, job_id: str) -> str | None: ...


class OnTheBus:
    door = BUS

    def __init__(self, site: Site) -> None:
        self._bus = site.service.bus
        self._refusals: dict[str | None, str] = {}
        self._seen: dict[str, asyncio.Event] = {}

    async def listen(self) -> None:
        async def note(delivery: Delivery) -> None:
            if (mark := delivery.message.message_id) in self._seen:
                self._seen[str(mark)].set()
            else:
                event = decode(delivery.message.body)
                self._refusals[event.causationid] = str(event.data["reason"])
            await delivery.ack()

        bindings = (Binding(topics.EVENTS, "batch.rejected.#"), Binding(topics.EVENTS, MARKER))
        await self._bus.consume(Queue(name="tests.refusals", bindings=bindings), note, prefetch=1)

    async def ask(self, trigger: Event) -> str | None:
        """Triggers are handled when `publish` returns; their rejections have arrived when a later message has."""
        await self._bus.publish(topics.TRIGGERS, Message(body=encode(trigger), routing_key=trigger.type))
        mark = new_ulid()
        seen = self._seen[mark] = asyncio.Event()
        await self._bus.publish(topics.EVENTS, Message(body=b"", routing_key=MARKER, message_id=mark))
        async with asyncio.timeout(PATIENCE):
            await seen.wait()
        return self._refusals.get(trigger.id)

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]:
        data: dict[str, Json] = {"type": type, "dry_run": dry_run, "context": context or {}}
        data |= {"idempotency_key": key} if key else {}
        trigger = Event(type="batch.created", source="/tests", id=new_ulid(), data=data)
        refusal = await self.ask(trigger)
        job_id = derived_job_id("bus-key", "/tests", key) if key else derived_job_id("event", "/tests", trigger.id)
        return job_id, refusal

    async def confirm(self, job_id: str) -> str | None:
        return await self.ask(self.trigger("confirmed", job_id))

    async def cancel(self, job_id: str) -> str | None:
        return await self.ask(self.trigger("canceled", job_id))

    def trigger(self, word: str, job_id: str) -> Event:
        return Event(type=f"batch.{word}", source="/tests", id=new_ulid(), subject=job_id, data={})


class OverHttp:
    door = HTTP

    def __init__(self, person: Person) -> None:
        self._http = person.http

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]:
        body = {"type": type, "dry_run": dry_run, "context": context or {}}
        headers = {"idempotency-key": key} if key else {}
        response = await self._http.post("/admin/batch-jobs", json=body, headers=headers)
        if response.status_code == 201:
            return response.json()["batch_job"]["id"], None
        said = response.json()["type"]
        return "", _HTTP_WORDS.get(said, said)

    async def confirm(self, job_id: str) -> str | None:
        return await self._changed(job_id, "confirm")

    async def cancel(self, job_id: str) -> str | None:
        return await self._changed(job_id, "cancel")

    async def retry(self, job_id: str) -> str | None:
        return await self._changed(job_id, "retry")

    async def _changed(self, job_id: str, word: str) -> str | None:
        response = await self._http.post(f"/admin/batch-jobs/{job_id}/{word}")
        if response.status_code == 200:
            return None
        said = response.json()["type"]
        return str(_HTTP_WORDS.get(said, said))


@pytest.fixture(params=["bus", "http"])
async def caller(request: pytest.FixtureRequest, site: Site, olga: Person) -> AsyncIterator[Caller]:
    if request.param == "http":
        yield OverHttp(olga)
        return
    bus = OnTheBus(site)
    await bus.listen()
    yield bus


async def _stored(site: Site, job_id: str) -> Job | None:
    return await site.service.transitions.store.get(job_id)


async def _until(site: Site, job_id: str, status: Status) -> Job:
    async with asyncio.timeout(PATIENCE):
        while (job := await _stored(site, job_id)) is None or job.status is not status:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    return job


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
    await _until(site, job_id, Status.COMPLETED)
    assert await caller.confirm(job_id) == "not_allowed"


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


async def test_a_cancellation_is_accepted_twice_and_not_after_the_end(site: Site, caller: Caller) -> None:
    canceled = await _rested(site, caller)
    assert [await caller.cancel(canceled), await caller.cancel(canceled)] == [None, None]
    await _until(site, canceled, Status.CANCELED)
    assert await caller.confirm(canceled) == "not_allowed"
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
    job_id = await _rested(site, caller)
    worker = site.service.worker
    assert worker is not None
    async with asyncio.timeout(PATIENCE):
        while worker.running:  # noqa: ASYNC110 - nothing tells of it; a preview that ends is offered, too
            await asyncio.sleep(0.01)
    offered: list[tuple[str, Any]] = []
    monkeypatch.setattr(worker, "offer", lambda job: offered.append((job.id, job.status)))
    await caller.confirm(job_id)
    assert offered[0] == (job_id, Status.CONFIRMED)


async def test_a_retry_is_for_operators_alone(site: Site, caller: Caller) -> None:
    job_id = await _rested(site, caller)
    assert await caller.cancel(job_id) is None
    assert caller.door.retry == isinstance(caller, OverHttp)
    assert set(TRIGGERS) == {"batch.created", "batch.confirmed", "batch.canceled"}, "no service can ask for it"
    if isinstance(caller, OverHttp):
        assert await caller.retry(job_id) is None
        await _until(site, job_id, Status.PRE_PROCESSED)

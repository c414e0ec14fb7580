"""What arrives on `batch.triggers` and is no good: each kind is parked or rejected in words, and harms nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import MAX_BYTES
from batchbus_events.ids import new_job_id
from batchbus_events.malformed import legible_event
from batchbus_service.app.bootstrap import Service, Timeouts
from batchbus_service.domain.explanation import Served, explain
from batchbus_service.domain.lifecycle import Policy
from tests.engine.installation import Installation
from tests.patience import PATIENCE


class Parked:
    """What operators find in the queue of parked messages."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()

    async def __call__(self, delivery: Delivery) -> None:
        self._messages.put_nowait(delivery.message)
        await delivery.ack()

    async def reason(self, body: bytes) -> str:
        """Why the next message was parked, which has to be this one, as it came."""
        async with asyncio.timeout(PATIENCE):
            message = await self._messages.get()
        assert message.body == body
        assert message.headers["x-batchbus-routing-key"] == "batch.created"
        return str(message.headers["x-batchbus-reason"])


@pytest.fixture
async def worker(installation: Installation) -> AsyncIterator[Service]:
    # No other process has a clock here that would have to learn first that the database's was set.
    async with installation.worker(timeouts=Timeouts(clock_measured=0.0), early_trigger_seconds=1) as service:
        yield service


@pytest.fixture
async def parked(installation: Installation, worker: Service) -> Parked:
    messages = Parked()
    await installation.bus.consume(topics.PARKED_QUEUE, messages, prefetch=10)
    return messages


def envelope(**changes: Any) -> dict[str, Any]:
    attributes = {"specversion": "1.0", "type": "batch.created", "source": "/shop", "id": "1", "data": {"type": "noop"}}
    return {**attributes, **changes}


def with_context(context: str) -> bytes:
    """A good trigger but for its context, which is JSON as text."""
    return json.dumps(envelope(data={"type": "noop", "context": "CONTEXT"})).replace('"CONTEXT"', context).encode()


NOT_USABLE: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"create a job, please", "not JSON"),
    "nothing at all": (b"", "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "JSON but no object": (b"[1, 2]", "not a CloudEvent"),
    "an object but no envelope": (b'{"job": "noop"}', "specversion: is missing"),
    "a type with a dot": (json.dumps(envelope(data={"type": "a.b"})).encode(), "data.type: "),
    "a misspelt key": (json.dumps(envelope(data={"type": "noop", "dryrun": True})).encode(), "data.dryrun: "),
    "a trigger of another kind": (json.dumps(envelope(type="batch.completed")).encode(), "type: is batch.completed"),
    "one byte too many": (json.dumps(envelope()).encode().ljust(MAX_BYTES + 1), "1,048,577 bytes"),
    "65 levels deep": (with_context('{"a":' * 63 + "1" + "}" * 63), "nested deeper than 64"),
    "a million levels deep": (with_context("[" * 500_000 + "]" * 500_000), "not JSON that batchbus can read"),
    "NUL in a key": (with_context('{"a\\u0000b": 1}'), "NUL in its key"),
    "an integer of 70 bits": (with_context(f'{{"n": {2**70}}}'), "integer beyond 64 bits"),
    "half a surrogate pair": (with_context('{"text": "\\ud800"}'), "not JSON"),
    "a subject that is no job id": (json.dumps(envelope(subject="job-1")).encode(), "subject: is no job id"),
    "a newer major version": (
        json.dumps(envelope(dataschema="urn:batchbus:schema:trigger:batch.created:2.0")).encode(),
        "2.0 is no schema that this process can read",
    ),
}


async def test_what_cannot_be_used_is_parked_as_it_came_with_the_reason(
    installation: Installation, parked: Parked, subtests: pytest.Subtests
) -> None:
    told = 0
    for kind, (body, reason) in NOT_USABLE.items():
        with subtests.test(kind):
            await installation.publish_raw(body)
            assert reason in await parked.reason(body)
            # Its sender is told, if it can be read who that is.
            if legible_event(body) is not None:
                told += 1
                rejected = await installation.followed.event("batch.rejected", nth=told)
                assert (rejected.causationid, rejected.data["reason"]) == ("1", "malformed")
                assert reason in str(rejected.data["message"])
            # And nothing is wrong with the worker, or with the queue.
            await installation.followed.event("batch.completed", await installation.create("noop"))


async def test_64_levels_are_not_too_deep_and_a_mebibyte_is_not_too_large(
    installation: Installation, worker: Service
) -> None:
    deep = envelope(id="deep", data={"type": "noop", "context": {}})
    for body in (
        with_context('{"a":' * 62 + "1" + "}" * 62),
        json.dumps(deep).encode().ljust(MAX_BYTES),
    ):
        await installation.publish_raw(body)
    await installation.followed.event("batch.completed", nth=2)


async def test_ten_faults_are_all_named(installation: Installation, parked: Parked) -> None:
    body = json.dumps(
        {
            "specversion": "0.3",
            "type": "",
            "source": "not a uri",
            "id": 7,
            "time": "yesterday",
            "subject": "\u0007",
            "sequence": 0,
            "datacontenttype": "text/xml",
            "Bad-Name": 1,
            "data": ["a list"],
        }
    ).encode()
    await installation.publish_raw(body)
    reason = await parked.reason(body)
    for name in (
        *("specversion", "type", "source", "id", "time"),
        *("subject", "sequence", "datacontenttype", "Bad-Name", "data"),
    ):
        assert f"{name}: " in reason
    assert reason.count("; ") >= 9


async def test_a_newer_minor_version_is_held_for_a_newer_worker(installation: Installation, worker: Service) -> None:
    known = TRIGGERS["batch.created"].dataschema
    newer = known.rpartition(".")[0] + ".9"
    await installation.publish_raw(json.dumps(envelope(dataschema=newer)).encode())
    await installation.queued(topics.HELD_QUEUE.name, messages=1)
    assert not installation.followed.events


async def test_a_type_that_no_strategy_serves_waits_and_says_so(installation: Installation) -> None:
    async with installation.worker_process(worker_types="chunks") as worker:
        job_id = await installation.create("noop")
        await installation.followed.event("batch.created", job_id)
        job = await installation.until(job_id, lambda job: job.published == 1)
        (line,) = worker.logged("job_waits_for_another_worker")
        assert (line["job_id"], line["job_type"]) == (job_id, "noop")
        told = explain(job, job.updated_at, Policy(), Served.ELSEWHERE)
        assert "for a worker that serves the type noop" in told.why
        async with installation.worker(worker_types="noop"):
            await installation.followed.event("batch.completed", job_id)


async def test_a_type_that_nobody_serves_is_said_once_and_one_that_somebody_serves_never(
    installation: Installation,
) -> None:
    soon = Timeouts(clock_measured=0.0, worker_within=0.5)
    async with installation.worker(worker_types="noop", timeouts=soon) as service:
        lost = await installation.create("nobody-serves-this")
        served = [await installation.create("noop") for _ in range(3)]
        said = await installation.followed.event("batch.updated", lost)
        assert (said.data["unserved"], said.data["status"]) == (True, "created")
        assert "No process serves the batch type nobody-serves-this" in str(said.data["reason"])
        for job_id in served:
            await installation.followed.event("batch.completed", job_id)
        job = await installation.job(lost)
        assert (job.worker_by, job.wake_at) == (None, None) or job.published < len(job.history)
        again = await service.transitions.change(
            job, lambda job, now: service.transitions.decider.expected(job, now, served=False)
        )
        assert again is job, "it is said once"
    assert [event.subject for event in installation.followed.all("batch.updated")] == [lost]


async def test_a_type_that_another_process_serves_is_said_to_be_served(installation: Installation) -> None:
    soon = Timeouts(clock_measured=0.0, worker_within=0.5)
    async with (
        installation.worker(worker_types="chunks", timeouts=soon) as service,
        installation.worker_process(worker_types="noop"),
    ):
        assert await service.commands.serves("noop")
        job_id = await installation.create("noop")
        await installation.followed.event("batch.completed", job_id)
    assert installation.followed.all("batch.updated") == []


async def test_a_trigger_may_require_that_its_type_is_served(installation: Installation, worker: Service) -> None:
    refused = installation.trigger("created", new_job_id(), type="nobody-serves-this", require_type=True)
    await installation.publish(refused)
    rejected = await installation.followed.event("batch.rejected")
    assert (rejected.causationid, rejected.data["reason"]) == (refused.id, "unknown_type")
    assert await worker.stores.jobs.get(str(refused.subject)) is None
    taken = installation.trigger("created", new_job_id(), type="noop", require_type=True)
    await installation.publish(taken)
    await installation.followed.event("batch.completed", taken.subject)


async def test_a_job_id_that_another_request_has_is_rejected(installation: Installation, worker: Service) -> None:
    job_id = await installation.create("noop", color="red")
    await installation.followed.event("batch.completed", job_id)
    same = installation.trigger("created", job_id, type="noop", context={"color": "red"})
    other = installation.trigger("created", job_id, type="noop", context={"color": "blue"})
    await installation.publish(same)
    await installation.publish(other)
    rejected = await installation.followed.event("batch.rejected")
    assert (rejected.causationid, rejected.subject, rejected.data["reason"]) == (other.id, job_id, "conflict")
    await installation.followed.event("batch.completed", await installation.create("noop"))
    assert len(installation.followed.all("batch.rejected")) == 1
    assert (await installation.job(job_id)).context == {"color": "red"}


@pytest.mark.parametrize("word", ["confirmed", "canceled"])
async def test_a_trigger_for_a_job_that_never_appears_is_rejected(
    installation: Installation, worker: Service, word: str
) -> None:
    trigger = installation.trigger(word, new_job_id())
    await installation.publish(trigger)
    rejected = await installation.followed.event("batch.rejected")
    assert (rejected.causationid, rejected.subject) == (trigger.id, trigger.subject)
    assert (rejected.data["reason"], rejected.data["trigger"]) == ("unknown_job", f"batch.{word}")

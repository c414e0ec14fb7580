"""Triggers as they come: from anyone, twice, in any order, all at once."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from collections import Counter
from dataclasses import replace

import pytest

from batchbus_events import topics
from batchbus_events.ids import derived_job_id, new_job_id
from batchbus_service.domain.job import Status
from tests.engine.installation import Installation
from tests.long import LONG
from tests.patience import PATIENCE

JOBS = 500 if LONG else 120
BURST = 500 if LONG else 150
"""More than a worker takes from the broker at once, and more than it has slots for, many times over."""


@pytest.mark.usefixtures("amqp_tools")
async def test_a_job_is_run_and_followed_with_nothing_but_amqp_publish_and_amqp_consume(
    installation: Installation,
) -> None:
    url = f"--url={installation.amqp_url}"
    body = """{
        "specversion": "1.0", "type": "batch.created", "source": "/by/hand", "id": "1",
        "data": {"type": "chunks", "context": {"chunks": 2}}
    }"""
    async with installation.worker():
        consume = await asyncio.create_subprocess_exec(
            *("amqp-consume", url, "--queue=mine", f"--exchange={topics.EVENTS}", "--routing-key=batch.progress.#"),
            *("--count=1", "cat"),
            stdout=subprocess.PIPE,
        )
        await installation.queued("mine", consumers=1)
        await asyncio.to_thread(
            subprocess.run,
            ["amqp-publish", url, f"--exchange={topics.TRIGGERS}", "--routing-key=batch.created", f"--body={body}"],
            check=True,
        )
        async with asyncio.timeout(PATIENCE):
            received, _ = await consume.communicate()
        job_id = derived_job_id("event", "/by/hand", "1")
        await installation.followed.event("batch.completed", job_id)
    progress = json.loads(received)
    assert (progress["type"], progress["subject"]) == ("batch.progress", job_id)
    assert progress["data"]["type"] == "chunks"


async def test_a_trigger_delivered_twice_makes_one_job(installation: Installation) -> None:
    trigger = installation.trigger("created", None, type="noop")
    async with installation.worker():
        await installation.publish(trigger)
        job_id = derived_job_id("event", trigger.source, trigger.id)
        await installation.followed.event("batch.completed", job_id)
        await installation.publish(trigger)
        await installation.followed.event("batch.completed", await installation.create("noop"))
    assert len(installation.followed.all("batch.created")) == 2
    assert not installation.followed.all("batch.rejected")


async def test_requests_with_the_same_idempotency_key_make_one_job(installation: Installation) -> None:
    async with installation.worker():
        for _ in range(2):
            await installation.publish(installation.trigger("created", None, type="noop", idempotency_key="monday"))
        other = installation.trigger("created", None, type="chunks", idempotency_key="monday")
        await installation.publish(other)
        rejected = await installation.followed.event("batch.rejected")
        await installation.followed.event("batch.completed")
    assert (rejected.causationid, rejected.data["reason"]) == (other.id, "conflict")
    assert len(installation.followed.all("batch.created")) == 1


async def test_two_workers_complete_every_job_once_however_often_and_in_whatever_order_it_is_asked_for(
    installation: Installation,
) -> None:
    triggers = [installation.trigger("created", new_job_id(), type="noop") for _ in range(JOBS)]
    twice = triggers * 2
    random.Random(JOBS).shuffle(twice)
    async with installation.worker_process(), installation.worker_process():
        await asyncio.gather(*(installation.publish(trigger) for trigger in twice))
        jobs = [str(trigger.subject) for trigger in triggers]
        await installation.followed.every("batch.completed", jobs)
        await installation.all_published()
    assert Counter(event.type for event in installation.followed.events) == {
        f"batch.{word}": JOBS for word in ("created", "pre_processed", "confirmed", "processing", "completed")
    }
    assert installation.followed.repeated == []


async def test_of_ten_confirmations_at_the_same_moment_one_is_carried_out(installation: Installation) -> None:
    async with installation.worker(), installation.worker():
        job_id = await installation.create("gated", dry_run=True, gate=str(installation.gate()))
        await installation.followed.event("batch.pre_processed", job_id)
        triggers = await asyncio.gather(*(installation.confirm(job_id) for _ in range(10)))
        await installation.followed.until(lambda: len(installation.followed.all("batch.rejected")) == 9)
        installation.gate().touch()
        completed = await installation.followed.event("batch.completed", job_id)
    rejected = installation.followed.all("batch.rejected", job_id)
    confirmed = installation.followed.all("batch.confirmed", job_id)
    assert {event.data["reason"] for event in rejected} == {"not_allowed"}
    assert {event.causationid for event in (*confirmed, *rejected)} == set(triggers)
    assert installation.followed.types(job_id) == ["created", "pre_processed", "confirmed", "processing", "completed"]
    assert completed.data["run"] == 2, "one claim for the preview, one for the run"


async def test_a_confirmation_that_overtakes_its_job_is_carried_out(installation: Installation) -> None:
    job_id = new_job_id()
    async with installation.worker():
        trigger = await installation.confirm(job_id)
        await installation.queued(topics.TRIGGERS_QUEUE.name, messages=0)
        await installation.create("noop", dry_run=True, job_id=job_id)
        await installation.followed.event("batch.completed", job_id)
    assert installation.followed.all("batch.confirmed", job_id)[0].causationid == trigger
    assert not installation.followed.all("batch.rejected")


async def test_what_was_asked_of_a_job_before_it_was_there_is_carried_out_in_order_and_the_rest_rejected(
    installation: Installation,
) -> None:
    job_id = new_job_id()
    async with installation.worker(), installation.worker():
        first = await installation.confirm(job_id)
        await installation.early(job_id, 1)
        cancel = await installation.cancel(job_id)
        await installation.early(job_id, 2)
        late = await installation.confirm(job_id)
        await installation.early(job_id, 3)
        await installation.create("noop", dry_run=True, job_id=job_id)
        await installation.followed.event("batch.canceled", job_id)
        rejected = await installation.followed.event("batch.rejected", job_id)
        await installation.all_published()
    job = await installation.job(job_id)
    assert installation.followed.types(job_id) == ["created", "canceled"]
    assert installation.followed.all("batch.canceled", job_id)[0].causationid == cancel
    assert (rejected.causationid, rejected.data["reason"]) == (late, "not_allowed")
    assert {key.rpartition(" ")[2] for key in job.triggers} >= {first, cancel}
    assert job.fence == 0, "nobody has run it"


async def test_triggers_that_wait_for_jobs_keep_nothing_else_waiting(installation: Installation) -> None:
    async with installation.worker():
        await asyncio.gather(*(installation.cancel(new_job_id()) for _ in range(200)))
        job_id = await installation.create("noop")
        await installation.followed.event("batch.completed", job_id)
    assert not installation.followed.all("batch.rejected")


async def test_a_burst_of_jobs_and_their_confirmations_by_one_publisher_loses_and_repeats_nothing(
    installation: Installation,
) -> None:
    jobs = [new_job_id() for _ in range(BURST)]
    async with installation.worker_process(), installation.worker_process():
        for job_id in jobs:
            await installation.create("noop", dry_run=True, job_id=job_id)
            await installation.confirm(job_id)
        await installation.followed.every("batch.completed", jobs)
        await installation.all_published()
    assert not installation.followed.all("batch.rejected")
    assert installation.followed.repeated == []


async def test_a_confirmation_during_the_preview_is_honoured_when_that_ends_and_a_second_one_rejected(
    installation: Installation,
) -> None:
    async with installation.worker():
        job_id = await installation.create("gated", dry_run=True, gate=str(installation.gate()), phase="pre_process")
        await installation.followed.message(job_id, "at the gate")
        first = await installation.confirm(job_id)
        await installation.until(job_id, lambda job: job.confirmed_early is not None)
        second = await installation.confirm(job_id)
        rejected = await installation.followed.event("batch.rejected")
        installation.gate().touch()
        await installation.followed.event("batch.completed", job_id)
    assert rejected.causationid == second
    assert installation.followed.all("batch.confirmed", job_id)[0].causationid == first


async def test_a_job_canceled_and_retried_is_a_dry_run_again(installation: Installation) -> None:
    """A confirmation belongs to what was previewed, not to what a retry will preview."""
    async with installation.worker() as service:
        job_id = await installation.create("gated", dry_run=True, gate=str(installation.gate()), phase="pre_process")
        await installation.followed.message(job_id, "at the gate")
        await installation.confirm(job_id)
        await installation.until(job_id, lambda job: job.confirmed_early is not None)
        await installation.cancel(job_id)
        await installation.followed.event("batch.updated", job_id)
        installation.gate().touch()
        await installation.retry(service, job_id)
        await installation.followed.event("batch.pre_processed", job_id)
    assert (await installation.job(job_id)).status is Status.PRE_PROCESSED


async def test_a_cause_can_be_followed_through_every_event(installation: Installation) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    job_id = new_job_id()
    created = installation.trigger("created", job_id, type="noop")
    async with installation.worker():
        await installation.publish(replace(created, traceparent=traceparent))
        await installation.followed.event("batch.completed", job_id)
    events = installation.followed.lifecycle(job_id)
    assert events[0].causationid == created.id
    assert {event.traceparent for event in events} == {traceparent}

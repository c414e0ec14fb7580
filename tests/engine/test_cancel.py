"""Cancellation: accepted and published first, then the run stops, cleans up and says how far it got."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import encode
from batchbus_service.app.bootstrap import Service, Timeouts
from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause
from tests.engine.installation import Installation

IMPATIENT = Timeouts(cancel_grace=0.3)


async def at_the_gate(installation: Installation, batch_type: str, **context: Any) -> str:
    job_id = await installation.create(batch_type, gate=str(installation.gate()), **context)
    await installation.followed.message(job_id, "at the gate")
    return job_id


async def stopped(installation: Installation, job_id: str) -> Job:
    """The job once the run of it has written its last."""
    await installation.followed.event("batch.canceled", job_id)
    await installation.followed.event("batch.updated", job_id)
    return await installation.job(job_id)


async def cancel_unheard(installation: Installation, service: Service, job_id: str) -> None:
    """As a process does that dies before it can publish the event."""
    job = await installation.job(job_id)
    canceled = service.transitions.decider.cancel(job, service.transitions.clock.now(), Cause())
    assert await installation.store.update(job, canceled)


async def lease_is_renewed_for(installation: Installation, job_id: str, *, seconds: float) -> None:
    lease = (await installation.job(job_id)).lease
    assert lease is not None
    later = lease.expires_at + timedelta(seconds=seconds)
    await installation.until(job_id, lambda job: job.lease is not None and job.lease.expires_at > later)


@pytest.mark.parametrize(
    ("batch_type", "phase"), [("gated", "process"), ("gated", "pre_process"), ("gated-thread", "process")]
)
async def test_a_run_that_is_canceled_stops_cleans_up_and_says_what_it_had_done(
    installation: Installation, batch_type: str, phase: str
) -> None:
    async with installation.worker():
        job_id = await at_the_gate(installation, batch_type, phase=phase)
        trigger = await installation.cancel(job_id)
        job = await stopped(installation, job_id)
    canceled, last = installation.followed.lifecycle(job_id)[-2:]
    assert (canceled.type, canceled.causationid, last.type) == ("batch.canceled", trigger, "batch.updated")
    assert job.status is Status.CANCELED and job.lease is None and job.ready_at is None
    assert job.result is not None and job.result.added["cleaned_up_in"] == phase
    if phase == "process":
        assert last.data["advancement_count"] == 1
    assert not any(event.data.get("message") == "behind the gate" for event in installation.followed.events)


async def test_a_run_that_never_asks_is_cancelled_at_its_next_await_after_a_grace_period(
    installation: Installation,
) -> None:
    async with installation.worker(timeouts=IMPATIENT):
        job_id = await at_the_gate(installation, "deaf")
        await installation.cancel(job_id)
        job = await stopped(installation, job_id)
    assert job.result is not None and job.result.added["cleaned_up_in"] == "process"


async def test_a_thread_that_never_asks_keeps_slot_and_lease_until_it_ends(installation: Installation) -> None:
    async with installation.worker(timeouts=IMPATIENT, worker_slots=1, lease_seconds=1) as service:
        job_id = await at_the_gate(installation, "deaf-thread")
        await installation.cancel(job_id)
        await installation.followed.event("batch.canceled", job_id)
        next_job = await installation.create("noop")
        await installation.followed.event("batch.confirmed", next_job)
        await lease_is_renewed_for(installation, job_id, seconds=2.0)

        with pytest.raises(NotAllowed, match="still stopping"):
            await installation.retry(service, job_id)
        assert not installation.followed.all("batch.completed", next_job), "there is one slot, and it is taken"

        installation.gate().touch()
        job = await stopped(installation, job_id)
        await installation.followed.event("batch.completed", next_job)
    assert job.status is Status.CANCELED and job.lease is None
    assert job.result is not None
    assert job.result.added["done_behind_the_gate"] and job.result.added["cleaned_up_in"] == "process"


async def test_a_waiting_job_is_canceled_at_once(installation: Installation) -> None:
    async with installation.worker(worker_slots=1):
        await at_the_gate(installation, "gated")
        job_id = await installation.create("noop")
        await installation.followed.event("batch.confirmed", job_id)
        await installation.cancel(job_id)
        await installation.followed.event("batch.canceled", job_id)
        installation.gate().touch()
    job = await installation.job(job_id)
    assert (job.status, job.lease, job.ready_at) == (Status.CANCELED, None, None)
    assert installation.followed.types(job_id)[-1] == "canceled"


async def test_a_dry_run_at_rest_can_be_canceled(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("noop", dry_run=True)
        await installation.followed.event("batch.pre_processed", job_id)
        await installation.cancel(job_id)
        await installation.followed.event("batch.canceled", job_id)
        refused = await installation.confirm(job_id)
        rejected = await installation.followed.event("batch.rejected")
    assert (rejected.causationid, rejected.data["reason"]) == (refused, "not_allowed")


async def test_a_second_cancellation_changes_nothing_and_is_not_rejected(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("noop", dry_run=True)
        await installation.followed.event("batch.pre_processed", job_id)
        await installation.cancel(job_id)
        await installation.followed.event("batch.canceled", job_id)
        version = (await installation.job(job_id)).version
        await installation.cancel(job_id)
        # Triggers are dealt with side by side: by the end of a job this one has been, too.
        await installation.followed.event("batch.completed", await installation.create("noop"))
    assert (await installation.job(job_id)).version == version
    assert not installation.followed.all("batch.rejected")


async def test_a_completed_job_cannot_be_canceled(installation: Installation) -> None:
    async with installation.worker():
        job_id = await installation.create("noop")
        await installation.followed.event("batch.completed", job_id)
        trigger = await installation.cancel(job_id)
        rejected = await installation.followed.event("batch.rejected")
    assert (rejected.causationid, rejected.data["reason"]) == (trigger, "not_allowed")


async def test_a_cancellation_whose_event_never_arrives_is_noticed_at_the_next_heartbeat(
    installation: Installation,
) -> None:
    async with installation.worker(lease_seconds=1, timeouts=Timeouts(publish_grace=0.5)) as service:
        job_id = await at_the_gate(installation, "gated")
        await cancel_unheard(installation, service, job_id)
        job = await stopped(installation, job_id)
    assert job.result is not None and job.result.added["cleaned_up_in"] == "process"


async def test_a_job_canceled_in_the_moment_its_run_ends_is_cleaned_up(installation: Installation) -> None:
    """The strategy comes to its end before it hears of the cancellation."""
    async with installation.worker(lease_seconds=30, timeouts=Timeouts(publish_grace=0.5)) as service:
        job_id = await at_the_gate(installation, "gated")
        await cancel_unheard(installation, service, job_id)
        installation.gate().touch()
        await installation.followed.message(job_id, "behind the gate")
        job = await stopped(installation, job_id)
    assert (job.status, job.lease) == (Status.CANCELED, None)
    assert job.result is not None and job.result.added["cleaned_up_in"] == "process"


async def test_a_worker_stops_although_a_canceled_run_is_not_done_with_cleaning_up(installation: Installation) -> None:
    async with installation.worker(timeouts=IMPATIENT):
        job_id = await at_the_gate(installation, "slow-to-clean-up")
        await installation.cancel(job_id)
        await installation.followed.message(job_id, "cleaning up")
    job = await stopped(installation, job_id)
    assert (job.status, job.lease) == (Status.CANCELED, None)


async def test_an_old_cancellation_that_is_published_again_stops_nothing(installation: Installation) -> None:
    async with installation.worker(lease_seconds=30) as service:
        job_id = await at_the_gate(installation, "gated")
        await installation.cancel(job_id)
        await stopped(installation, job_id)
        canceled = installation.followed.all("batch.canceled", job_id)[0]
        await installation.retry(service, job_id)
        await installation.followed.message(job_id, "at the gate", nth=2)

        key = topics.routing_key(canceled.type, "gated", job_id)
        again = Message(body=encode(canceled), routing_key=key, message_id=canceled.id)
        await installation.bus.publish(topics.EVENTS, again)
        await installation.followed.event("batch.canceled", job_id, nth=2)
        # Who heard it first has looked by the time that a whole job is done.
        await installation.followed.event("batch.completed", await installation.create("noop"))
        installation.gate().touch()
        await installation.followed.event("batch.completed", job_id)

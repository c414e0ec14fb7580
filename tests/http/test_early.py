"""Triggers that wait for a job that is not there make no job: no door shows one, and the job finds them when it comes."""

from __future__ import annotations

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id
from batchbus_strategies import Json
from tests.http.conftest import Person, Site


async def _ask(site: Site, word: str, job_id: str) -> None:
    """The trigger has been handled when this returns: on the bus in memory, `publish` waits for that."""
    data: dict[str, Json] = {"type": "steps"} if word == "created" else {}
    event = Event(type=f"batch.{word}", source="/shop", id=f"{word}-1", subject=job_id, data=data)
    await site.service.bus.publish(topics.TRIGGERS, Message(body=encode(event), routing_key=event.type))


async def test_a_placeholder_is_in_no_list_no_count_and_no_replay(site: Site, olga: Person) -> None:
    job_id, store = new_job_id(), site.service.transitions.store
    await _ask(site, "canceled", job_id)
    assert await store.placeholder(job_id) is not None
    for query in ("", f"?id[]={job_id}", "?order=-updated_at", "?status[]=canceled", "?order=created_by"):
        listed = (await olga.http.get(f"/admin/batch-jobs{query}")).json()
        assert (listed["batch_jobs"], listed["count"]) == ([], 0), query
    for path in ("", "/events", "/plan", "/errors"):
        assert (await olga.http.get(f"/admin/batch-jobs/{job_id}{path}")).status_code == 404, path
    assert (await olga.http.post(f"/admin/batch-jobs/{job_id}/confirm")).status_code == 404
    body = {"destination": {"queue": "tests.early"}, "reason": "a test", "selection": {"job_ids": [job_id]}}
    planned = await olga.http.post("/admin/replays", json=body)
    assert (planned.status_code, planned.json()["replay"]["plan"]["jobs"]) == (201, 0)
    assert (await olga.http.get("/health/ready")).status_code == 200

    await _ask(site, "created", job_id)
    job = await store.get(job_id)
    assert job is not None and job.status == "canceled"
    assert (await olga.http.get(f"/admin/batch-jobs?id[]={job_id}")).json()["count"] == 1

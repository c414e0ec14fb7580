"""Checking a job again: on the same file or another, by whom, and what becomes of what was found out before."""

from __future__ import annotations

from typing import Any

from batchbus_service.app.bootstrap import open_service
from tests.http.conftest import Person, Site


async def planned(person: Person, **context: Any) -> str:
    job = await person.create("planned", {"rows": 2, **context}, dry_run=True)
    await person.until(job["id"], "batch.pre_processed")
    return str(job["id"])


async def check_again(person: Person, job_id: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    answer = await person.http.post(f"/admin/batch-jobs/{job_id}/check-again", json=body)
    return answer.status_code, answer.json()


async def test_the_plan_is_made_anew_and_the_old_one_is_kept(ann: Person, site: Site) -> None:
    job_id = await planned(ann)
    before = await ann.job(job_id)
    status, answer = await check_again(ann, job_id)
    checked = answer["batch_job"]
    assert (status, checked["status"], checked["result"], checked["pre_processed_at"]) == (200, "created", None, None)
    await ann.until(job_id, "batch.pre_processed", times=2)
    after = await ann.job(job_id)
    assert after["result"]["steps"] != before["result"]["steps"]
    assert await site.service.files.size(before["result"]["steps"]) == await site.service.files.size(
        after["result"]["steps"]
    )
    stored = await site.service.transitions.get(job_id)
    assert stored.confirm_by is not None
    assert [entry.type for entry in stored.history].count("batch.created") == 1


async def test_another_file_is_taken_that_the_caller_may_read(ann: Person, bob: Person) -> None:
    job_id = await planned(ann, source=await ann.upload(b"first"))
    mended = await ann.upload(b"second")
    status, answer = await check_again(ann, job_id, {"fileKey": mended})
    assert (status, answer["batch_job"]["context"]) == (200, {"rows": 2, "source": mended})
    await ann.until(job_id, "batch.pre_processed", times=2)
    strange = await bob.upload(b"third")
    status, answer = await check_again(ann, job_id, {"fileKey": strange})
    assert (status, answer["message"]) == (400, f"source: There is no file with the key {strange}")
    assert (await ann.job(job_id))["status"] == "pre_processed"


async def test_a_file_that_its_strategy_refuses_changes_nothing(ann: Person) -> None:
    key = await ann.upload(b"Product Handle,Product Title,Variant Title,Variant SKU\nbowl,Bowl,One,B-1\n", "p.csv")
    job = await ann.create("product-import", {"fileKey": key}, dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    status, answer = await check_again(ann, job["id"], {"fileKey": "gone.csv"})
    assert (status, answer["type"]) == (400, "invalid_data")
    assert (await ann.job(job["id"]))["status"] == "pre_processed"


async def test_a_request_of_another_form_is_refused(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    for body, message in (
        ({"fileKey": 5}, "fileKey must be a string"),
        ({"file": "a"}, "property file should not exist"),
    ):
        assert await check_again(ann, job["id"], body) == (400, {"type": "invalid_data", "message": message})


async def test_a_service_asks_for_the_digest_of_a_plan_if_it_is_set_to(site: Site) -> None:
    settings = site.service.settings.model_copy(update={"require_plan_digest": True})
    async with open_service(settings, bus=site.service.bus, work=False) as strict:
        assert strict.transitions.decider.policy.require_plan_digest
    assert not site.service.transitions.decider.policy.require_plan_digest


async def test_others_jobs_are_not_checked_again(ann: Person, bob: Person, olga: Person) -> None:
    job_id = await planned(ann)
    status, answer = await check_again(bob, job_id)
    assert (status, answer["message"]) == (400, "Cannot access a batch job that does not belong to the logged in user")
    assert (await check_again(olga, job_id))[0] == 200

"""A job's files are forgotten when its owner asks for it, and the job stays."""

from __future__ import annotations

from tests.http.conftest import Person

CSV = "Email;Country Code\nforgotten@example.com;gb\nwrong@example.com;Britain\n"


async def test_plan_and_row_errors_are_gone_and_the_job_stays(ann: Person) -> None:
    key = await ann.upload(CSV.encode(), "customers.csv")
    job = await ann.create("customer-import", {"fileKey": key, "on_error": "skip"})
    await ann.until(job["id"], "batch.completed")
    path = f"/admin/batch-jobs/{job['id']}"
    assert (await ann.http.get(f"{path}/plan")).status_code == 200
    answer = await ann.http.post(f"{path}/forget")
    assert (answer.status_code, answer.json()) == (200, {"id": job["id"], "files_removed": 4})
    assert (await ann.http.get(path)).json()["batch_job"]["status"] == "completed"
    for gone in ("plan", "errors"):
        refused = await ann.http.get(f"{path}/{gone}")
        assert refused.status_code == 404
        assert "not in the file store any more" in refused.json()["message"]
    assert (await ann.http.post(f"{path}/forget")).json()["files_removed"] == 0


async def test_a_job_that_goes_on_needs_its_files(ann: Person) -> None:
    key = await ann.upload(CSV.encode(), "customers.csv")
    job = await ann.create("customer-import", {"fileKey": key, "on_error": "skip"}, dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    refused = await ann.http.post(f"/admin/batch-jobs/{job['id']}/forget")
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")
    assert "pre_processed" in refused.json()["message"]


async def test_nobody_forgets_files_of_somebody_elses_job(ann: Person, bob: Person) -> None:
    job = await ann.create("planned", {"rows": 1}, dry_run=True)
    refused = await bob.http.post(f"/admin/batch-jobs/{job['id']}/forget")
    assert refused.json() == (await bob.http.post(f"/admin/batch-jobs/{job['id']}/cancel")).json()
    assert refused.status_code == 400

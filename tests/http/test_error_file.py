"""What could not be used of an uploaded file comes back, to be mended and sent again."""

from __future__ import annotations

from tests.http.conftest import Person

CSV = "Email;First Name;Country Code\nada@example.com;Ada;gb\nbob@example.com;Bob;Britain\n"


async def test_mending_the_error_file_imports_exactly_what_was_missing(ann: Person) -> None:
    key = await ann.upload(CSV.encode(), "customers.csv")
    job = await ann.create("customer-import", {"fileKey": key, "on_error": "skip"})
    await ann.until(job["id"], "batch.completed")
    answer = await ann.http.get(f"/admin/batch-jobs/{job['id']}/error-file")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{job["id"]}-errors.csv"'
    known = (await ann.http.get(f"/admin/batch-jobs/{job['id']}/history")).json()
    assert (known["error_file"], known["outcome"]) == (f"{job['id']}-errors.csv", True)
    head, row = answer.text.splitlines()
    assert head == "_errors;Email;First Name;Country Code"
    assert row.endswith(";bob@example.com;Bob;Britain")
    again = await ann.create(
        "customer-import", {"fileKey": await ann.upload(answer.text.replace("Britain", "gb").encode(), "mended.csv")}
    )
    await ann.until(again["id"], "batch.completed")
    result = (await ann.http.get(f"/admin/batch-jobs/{again['id']}")).json()["batch_job"]["result"]
    assert result["outcome"] == {"created": 1}
    assert (await ann.http.get(f"/admin/batch-jobs/{again['id']}/history")).json()["error_file"] is None
    none = await ann.http.get(f"/admin/batch-jobs/{again['id']}/error-file")
    assert (none.status_code, none.json()["type"]) == (404, "not_found")


async def test_nobody_gets_the_error_file_of_somebody_elses_job(ann: Person, bob: Person) -> None:
    key = await ann.upload(CSV.encode(), "customers.csv")
    job = await ann.create("customer-import", {"fileKey": key, "on_error": "skip"})
    await ann.until(job["id"], "batch.completed")
    refused = await bob.http.get(f"/admin/batch-jobs/{job['id']}/error-file")
    assert refused.json() == (await bob.http.get(f"/admin/batch-jobs/{job['id']}/errors")).json()
    assert refused.is_error

"""Row errors: every record that a job could not use, over all of its runs, each of them once."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from batchbus_service.storage.files import FileStore
from tests.http.conftest import Person, Site, read_until

HEADER = ["line", "column", "code", "message", "value"]


async def rows_of(person: Person, job_id: str) -> list[list[str]]:
    answer = await person.http.get(f"/admin/batch-jobs/{job_id}/errors")
    assert answer.status_code == 200
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == HEADER
    return rows


async def test_row_errors_come_as_csv_without_formulas(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b'fine\n=bad("x")\n')})
    await ann.until(job["id"], "batch.completed")
    assert "error_parts" not in (await ann.job(job["id"]))["result"]
    answer = await ann.http.get(f"/admin/batch-jobs/{job['id']}/errors")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job["id"]}-errors.csv"'
    assert answer.text.splitlines() == ["line,column,code,message,value", '2,text,bad,it is bad,"\'=bad(""x"")"']


async def test_a_job_without_row_errors_has_an_empty_list_of_them(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    assert await rows_of(ann, job["id"]) == []


async def test_the_rows_of_both_phases_and_of_every_chunk_are_there(ann: Person) -> None:
    job = await ann.create("careless", {"chunks": 4, "preview_errors": 3})
    await ann.until(job["id"], "batch.completed")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [2, 3, 4, 100, 101, 102, 103]
    assert (await ann.job(job["id"]))["result"]["errors"][:1] == ["Line 2: seen in the preview"]


async def test_runs_that_fail_lose_no_row_and_repeat_none(ann: Person) -> None:
    context = {"chunks": 9, "checkpoint_every": 2, "preview_errors": 2, "fail_at": [3, 8]}
    job = await ann.create("careless", context)
    await ann.until(job["id"], "batch.completed")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [2, 3, *range(100, 109)]


async def test_between_two_runs_the_rows_so_far_are_there(ann: Person) -> None:
    job = await ann.create("careless", {"chunks": 4, "checkpoint_every": 3, "fail_at": [1]})
    await ann.until(job["id"], "batch.updated")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [100, 101]
    await ann.until(job["id"], "batch.completed")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [100, 101, 102, 103]


async def test_a_job_that_fails_for_good_keeps_its_rows_and_a_retry_repeats_none(ann: Person) -> None:
    job = await ann.create("careless", {"chunks": 3, "checkpoint_every": 2, "preview_errors": 1, "hopeless": True})
    seen = await ann.until(job["id"], "batch.failed")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [2, 100, 101, 102]
    await ann.http.post(f"/admin/batch-jobs/{job['id']}/retry")
    async with ann.stream(f"/admin/batch-jobs/{job['id']}/events", **{"last-event-id": seen[-1].id}) as events:
        await read_until(events, "batch.failed")
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [2, 100, 101, 102]


async def test_more_rows_than_a_job_lists_are_all_in_the_file(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"bad\n" * 5_000)})
    await ann.until(job["id"], "batch.completed")
    result = (await ann.job(job["id"]))["result"]
    assert (len(result["errors"]), result["error_count"]) == (100, 5_000)
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == list(range(1, 5_001))


async def test_a_phase_whose_row_errors_cannot_be_kept_is_tried_again(
    ann: Person, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FileStore.write
    refused: list[str] = []

    def full_at_first(self: FileStore, key: str, *, max_bytes: int | None = None) -> Any:
        if key.startswith("errors/") and not refused:
            refused.append(key)
            raise OSError("the disk is full")
        return write(self, key, max_bytes=max_bytes)

    monkeypatch.setattr(FileStore, "write", full_at_first)
    job = await ann.create("careless", {"chunks": 3, "checkpoint_every": 2})
    seen = await ann.until(job["id"], "batch.completed")
    assert refused
    (told,) = [event.json()["data"]["error"] for event in seen if event.event == "batch.updated"]
    assert told.startswith("OSError in ") and "the disk is full" not in told
    assert [int(row[0]) for row in await rows_of(ann, job["id"])] == [100, 101, 102]


async def test_row_errors_whose_file_has_gone_are_not_found(ann: Person, site: Site) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"bad\n")})
    await ann.until(job["id"], "batch.completed")
    for key in (f"errors/{job['id']}/process-{run}-1.jsonl" for run in range(5)):
        await site.service.files.delete(key)
    answer = await ann.http.get(f"/admin/batch-jobs/{job['id']}/errors")
    assert answer.status_code == 404
    assert answer.json()["message"] == f"The row errors of {job['id']} are not in the file store any more"


async def test_the_row_errors_of_an_unknown_job_are_not_found(ann: Person) -> None:
    answer = await ann.http.get("/admin/batch-jobs/batch_unknown/errors")
    assert (answer.status_code, answer.json()["type"]) == (404, "not_found")

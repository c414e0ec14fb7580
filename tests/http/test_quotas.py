"""What one user may have in all: unfinished jobs, and bytes of uploads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchbus_service.domain.settings import Settings
from batchbus_service.http.medusa.file_access import FILE_COUNTS
from tests.engine.commands import Commands
from tests.http.conftest import Person, Site

JOBS = 3
ROOM = 3 * FILE_COUNTS
_COMMANDS = Commands()


@pytest.fixture
async def site(settings: Settings, open_site: Callable[..., Any]) -> Site:
    limits = {"max_unfinished_jobs": JOBS, "max_user_upload_bytes": ROOM}
    opened: Site = await open_site(settings.model_copy(update=limits))
    return opened


# -- jobs --------------------------------------------------------------------------------------------------------------


async def test_a_user_may_have_so_many_jobs_that_have_not_ended_and_is_told_the_way_out(
    ann: Person, bob: Person
) -> None:
    made = [await ann.create("steps", {"steps": 1}, dry_run=True) for _ in range(JOBS)]
    refused = await ann.http.post("/admin/batch-jobs", json={"type": "steps", "context": {"steps": 1}, "dry_run": True})
    assert (refused.status_code, refused.json()["type"]) == (429, "too_many_requests")
    assert "3 batch jobs" in refused.json()["message"] and "BATCHBUS_MAX_UNFINISHED_JOBS" in refused.json()["message"]
    assert int(refused.headers["retry-after"]) >= 1
    await bob.create("steps", {"steps": 1}, dry_run=True)
    await ann.until(made[0]["id"], "batch.pre_processed")
    assert (await ann.http.post(f"/admin/batch-jobs/{made[0]['id']}/cancel")).status_code == 200
    await ann.create("steps", {"steps": 1}, dry_run=True)


async def test_a_retry_is_one_more_job_that_has_not_ended(ann: Person) -> None:
    ended = (await ann.create("steps", {"steps": 1}, dry_run=True))["id"]
    await ann.until(ended, "batch.pre_processed")
    await ann.http.post(f"/admin/batch-jobs/{ended}/cancel")
    for _ in range(JOBS):
        await ann.create("steps", {"steps": 1}, dry_run=True)
    refused = await ann.http.post(f"/admin/batch-jobs/{ended}/retry")
    assert (refused.status_code, refused.json()["type"]) == (429, "too_many_requests")


async def test_the_same_request_again_is_answered_with_its_job_at_the_limit_too(ann: Person) -> None:
    body = {"type": "steps", "context": {"steps": 1}, "dry_run": True}
    answers = [
        await ann.http.post("/admin/batch-jobs", json=body, headers={"idempotency-key": key})
        for key in ("a", "b", "c", "d", "a")
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 201]
    assert answers[-1].json()["batch_job"]["id"] == answers[0].json()["batch_job"]["id"]


async def test_work_for_a_job_is_not_begun_for_a_user_who_may_have_no_more(
    site: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(JOBS):
        await ann.create("steps", {"steps": 1}, dry_run=True)

    async def never(*_: object) -> None:
        raise AssertionError("it was prepared")

    monkeypatch.setattr(site.service.commands, "prepare", never)
    refused = await ann.http.post("/admin/batch-jobs", json={"type": "steps", "context": {"steps": 1}})
    assert refused.status_code == 429


# -- bytes -------------------------------------------------------------------------------------------------------------


async def test_a_user_may_keep_so_many_bytes_and_is_told_the_way_out(ann: Person, bob: Person) -> None:
    key = await ann.upload(b"x" * FILE_COUNTS)  # as large as what every file counts besides
    refused = await _upload(ann, b"x" * FILE_COUNTS)
    assert (refused.status_code, refused.json()["type"]) == (413, "not_allowed")
    message = refused.json()["message"]
    assert f"{ROOM:,} bytes" in message and "BATCHBUS_MAX_USER_UPLOAD_BYTES" in message and "delete" in message
    assert (await _upload(bob, b"x")).status_code == 200
    await ann.http.request("DELETE", "/admin/uploads", json={"file_key": key})
    assert (await _upload(ann, b"x" * FILE_COUNTS)).status_code == 200


async def test_empty_files_count_too(ann: Person) -> None:
    assert [(await _upload(ann, b"")).status_code for _ in range(4)] == [200, 200, 200, 413]


async def test_what_was_refused_leaves_nothing_and_counts_nothing(site: Site, ann: Person) -> None:
    files = [("files", (f"{number}.csv", b"x" * 100)) for number in range(9)]
    assert (await ann.http.post("/admin/uploads", files=files)).status_code == 413
    folder = site.service.settings.data_dir / "files"
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert await site.service.stores.uploads.bytes_of(ann.user.id) == 0
    assert (await _upload(ann, b"x" * (ROOM - FILE_COUNTS))).status_code == 200


# -- what it costs -----------------------------------------------------------------------------------------------------


async def test_jobs_and_uploads_far_from_the_limits_are_not_counted_each_time(
    settings: Settings, open_site: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _COMMANDS.listening(settings.mongodb_database) as commands:
        site: Site = await open_site(settings)
        ann = await site.person("ann")

        async def never(_user_id: str) -> int:
            raise AssertionError("bytes were added up")

        monkeypatch.setattr(site.service.stores.uploads, "bytes_of", never)
        for _ in range(20):
            await ann.create("steps", {"steps": 1}, dry_run=True)
            await ann.upload(b"x")
        assert len(commands.inserts) == 20
        assert "aggregate" not in commands.names


async def _upload(person: Person, content: bytes) -> Any:
    return await person.http.post("/admin/uploads/protected", files={"files": ("a.csv", content)})

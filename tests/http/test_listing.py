"""Lists of jobs: whose, which, in which order, and how much of them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import nan
from typing import Any

import pytest

from tests.http.conftest import Person, Site


async def _listed(person: Person, query: str = "") -> dict[str, Any]:
    answer = await person.http.get(f"/admin/batch-jobs{query}")
    assert answer.status_code == 200, answer.text
    listed: dict[str, Any] = answer.json()
    return listed


async def test_an_empty_list_has_the_form_of_a_full_one(ann: Person) -> None:
    assert await _listed(ann) == {"batch_jobs": [], "count": 0, "offset": 0, "limit": 10}


async def test_the_newest_come_first_and_only_ones_own(ann: Person, bob: Person, olga: Person) -> None:
    made = [(await ann.create("gated", dry_run=True))["id"] for _ in range(3)]
    await bob.create("gated", dry_run=True)
    assert [job["id"] for job in (await _listed(ann))["batch_jobs"]] == made[::-1]
    assert (await _listed(olga))["count"] == 4


async def test_a_page_is_cut_out_of_the_list(ann: Person) -> None:
    made = [(await ann.create("gated", dry_run=True))["id"] for _ in range(3)]
    page = await _listed(ann, "?limit=1&offset=1")
    assert ([job["id"] for job in page["batch_jobs"]], page["count"]) == ([made[1]], 3)
    assert (page["limit"], page["offset"]) == (1, 1)
    assert (await _listed(ann, "?offset=1000"))["batch_jobs"] == []


@pytest.mark.parametrize("spelling", ["type={0}&type={1}", "type[]={0}&type[]={1}", "type[0]={0}&type[1]={1}"])
async def test_types_can_be_chosen_in_every_spelling(ann: Person, spelling: str) -> None:
    await ann.create("gated", dry_run=True)
    await ann.create("rows", {"fileKey": await ann.upload(b"x\n")}, dry_run=True)
    assert (await _listed(ann, "?" + spelling.format("gated", "rows")))["count"] == 2
    assert (await _listed(ann, "?" + spelling.format("gated", "other")))["count"] == 1
    assert (await _listed(ann, "?type[]="))["count"] == 0


async def test_jobs_can_be_chosen_by_where_they_are(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    assert (await _listed(ann, "?status[]=pre_processed&status[]=failed"))["count"] == 1
    assert (await _listed(ann, "?status=completed"))["count"] == 0


async def test_jobs_can_be_chosen_by_when_they_were_made(ann: Person) -> None:
    first = await ann.create("gated", dry_run=True)
    second = await ann.create("gated", dry_run=True)
    time = second["created_at"]
    for operator, expected in (("lt", [first]), ("lte", [second, first]), ("gt", []), ("gte", [second])):
        listed = await _listed(ann, f"?created_at[{operator}]={time}")
        assert [job["id"] for job in listed["batch_jobs"]] == [job["id"] for job in expected], operator


async def test_jobs_can_be_chosen_by_their_ids(ann: Person, bob: Person) -> None:
    made = [(await ann.create("gated", dry_run=True))["id"] for _ in range(3)]
    foreign = (await bob.create("gated", dry_run=True))["id"]
    listed = await _listed(ann, f"?id[]={made[0]}&id[]={made[2]}&id[]={foreign}")
    assert ([job["id"] for job in listed["batch_jobs"]], listed["count"]) == ([made[2], made[0]], 2)


async def test_jobs_can_be_chosen_by_when_they_reached_a_status_or_that_they_never_did(ann: Person) -> None:
    waiting, canceled = [await ann.create("gated", dry_run=True) for _ in range(2)]
    answer = await ann.http.post(f"/admin/batch-jobs/{canceled['id']}/cancel")
    time = answer.json()["batch_job"]["canceled_at"]
    for condition, expected in (
        ("=null", waiting),
        (f"[lte]={time}", canceled),
        (f"[gte]={time}&canceled_at[lte]={time}", canceled),
    ):
        listed = await _listed(ann, f"?canceled_at{condition}")
        assert [job["id"] for job in listed["batch_jobs"]] == [expected["id"]], condition
    assert (await _listed(ann, f"?canceled_at[lt]={time}"))["count"] == 0


async def test_the_order_is_that_of_a_field_and_of_age_where_it_is_equal(ann: Person) -> None:
    first, second = [(await ann.create("gated", dry_run=True))["id"] for _ in range(2)]
    rows = (await ann.create("rows", {"fileKey": await ann.upload(b"x\n")}, dry_run=True))["id"]
    for order, expected in (
        ("created_at", [first, second, rows]),
        ("-created_at", [rows, second, first]),
        ("id", sorted([first, second, rows])),
        ("type", [second, first, rows]),
        ("-type", [rows, second, first]),
    ):
        listed = await _listed(ann, f"?order={order}")
        assert [job["id"] for job in listed["batch_jobs"]] == expected, order


async def test_jobs_without_a_time_come_last_by_it_and_first_the_other_way_round(ann: Person) -> None:
    made = [(await ann.create("gated", dry_run=True))["id"] for _ in range(4)]
    for job_id in (made[2], made[0]):
        await ann.http.post(f"/admin/batch-jobs/{job_id}/cancel")
    upwards, downwards = [made[2], made[0], made[3], made[1]], [made[3], made[1], made[0], made[2]]
    for order, expected in (("canceled_at", upwards), ("-canceled_at", downwards)):
        for offset in range(4):
            listed = await _listed(ann, f"?order={order}&offset={offset}&limit=2")
            assert [job["id"] for job in listed["batch_jobs"]] == expected[offset : offset + 2], (order, offset)
            assert listed["count"] == 4


async def test_who_made_a_job_is_shown_when_asked_for(ann: Person) -> None:
    await ann.create("gated", dry_run=True)
    listed = await _listed(ann, "?expand=created_by_user&fields=id")
    assert listed["batch_jobs"][0]["created_by_user"]["email"] == "ann@example.com"


async def test_a_list_that_the_client_has_already_is_not_sent_again(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    tag = (await ann.http.get("/admin/batch-jobs?fields=id")).headers["etag"]
    for headers, status in (
        ({"if-none-match": tag}, 304),
        ({"if-none-match": f'"other", {tag}'}, 304),
        ({"if-none-match": tag, "cache-control": "no-cache"}, 200),
        ({"if-none-match": 'W/"other"'}, 200),
    ):
        answer = await ann.http.get("/admin/batch-jobs?fields=id", headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (status, tag)
        assert bool(answer.content) == (status == 200)


async def test_fields_can_be_chosen(ann: Person) -> None:
    await ann.create("gated", dry_run=True)
    listed = await _listed(ann, "?fields=id,dry_run")
    assert listed["batch_jobs"][0].keys() == {"id", "dry_run", "created_at", "status"}
    assert listed["batch_jobs"][0]["dry_run"] is True


async def test_what_cannot_be_asked_for_is_named(ann: Person) -> None:
    answer = await ann.http.get("/admin/batch-jobs?shade=blue&limit=many")
    message = "property shade should not exist, limit must be a number conforming to the specified constraints"
    assert (answer.status_code, answer.json()) == (400, {"type": "invalid_data", "message": message})


async def test_a_job_that_cannot_be_shown_is_shown_as_such_and_hides_no_other(site: Site, olga: Person) -> None:
    jobs = site.database["jobs"]
    ids = [(await olga.create("gated", dry_run=True))["id"] for _ in range(5)]
    for job_id in ids:
        await olga.until(job_id, "batch.pre_processed")
    strange = {"at": datetime(2026, 1, 2, tzinfo=UTC), "rate": nan, "raw": b"\xff", "fine": [1, "two"]}
    await jobs.update_one({"_id": ids[0]}, {"$set": {"result": strange, "context": {"at": strange}}})
    await jobs.update_one({"_id": ids[1]}, {"$set": {"status": "no such status"}})
    await jobs.update_one({"_id": ids[2]}, {"$unset": {"history": ""}})
    await jobs.update_one({"_id": ids[3]}, {"$set": {"schema": 99}})

    listed = {job["id"]: job for job in (await _listed(olga))["batch_jobs"]}

    assert set(listed) == set(ids)
    shown = {"at": "2026-01-02T00:00:00+00:00", "rate": "(float) nan", "raw": "(bytes) b'\\xff'", "fine": [1, "two"]}
    assert listed[ids[0]]["result"] == shown
    assert (await olga.job(ids[0]))["context"] == {"at": shown}
    for job_id, reason in (ids[1], "no such status"), (ids[2], "history"), (ids[3], "newer batchbus"):
        assert reason in listed[job_id]["result"]["errors"][0]
        alone = await olga.http.get(f"/admin/batch-jobs/{job_id}")
        assert (alone.status_code, reason in alone.json()["message"]) == (503, True), alone.text
    assert (await olga.job(ids[4]))["status"] == "pre_processed"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", ""),
        ("GET", "/history"),
        ("GET", "/plan"),
        ("GET", "/errors.csv"),
        ("GET", "/events"),
        ("GET", "/nothing-there"),
        ("POST", "/confirm"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
    ],
)
async def test_whatever_is_asked_of_a_job_that_cannot_be_read_is_answered_with_its_name_and_the_reason(
    site: Site, ann: Person, verb: str, path: str
) -> None:
    job_id = (await ann.create("gated", dry_run=True))["id"]
    await ann.until(job_id, "batch.pre_processed")
    await site.database["jobs"].update_one({"_id": job_id}, {"$set": {"created_at": "yesterday"}})
    answer = await ann.http.request(verb, f"/admin/batch-jobs/{job_id}{path}")
    assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")
    assert job_id in answer.json()["message"]
    assert "created_at is of the kind str" in answer.json()["message"]


async def test_a_user_who_cannot_be_read_hides_neither_jobs_nor_tokens(site: Site, ann: Person, olga: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    await site.database["users"].update_one({"_id": ann.user.id}, {"$set": {"role": "king"}})
    listed = await _listed(olga, "?expand=created_by_user&fields=id")
    assert [(each["id"], each["created_by_user"]) for each in listed["batch_jobs"]] == [(job["id"], None)]
    assert len((await olga.http.get("/admin/tokens")).json()["tokens"]) == 2
    alone = await ann.http.get("/admin/batch-jobs")
    assert (alone.status_code, alone.json()["type"]) == (503, "unavailable")
    assert f"user {ann.user.id} cannot be read" in alone.json()["message"]

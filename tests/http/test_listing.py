"""Lists of jobs: whose, which, in which order, and how much of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Person


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


async def test_fields_can_be_chosen(ann: Person) -> None:
    await ann.create("gated", dry_run=True)
    listed = await _listed(ann, "?fields=id,dry_run")
    assert listed["batch_jobs"][0].keys() == {"id", "dry_run", "created_at", "status"}
    assert listed["batch_jobs"][0]["dry_run"] is True


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=abc", "limit must be a number conforming to the specified constraints"),
        ("limit=1.5", "limit must be a number conforming to the specified constraints"),
        ("limit=-1", "limit must be from 1 to 1000"),
        ("limit=0", "limit must be from 1 to 1000"),
        ("limit=1001", "limit must be from 1 to 1000"),
        ("limit=1&limit=2", "limit must be given once"),
        ("offset=-1", "offset must be from 0 to 2147483647"),
        ("fields=bogus", "fields has no field bogus"),
        ("created_at[gt]=yesterday", "created_at takes [lt], [gt], [lte] or [gte] and an ISO 8601 time"),
        ("created_at=2026-01-01", "created_at takes [lt], [gt], [lte] or [gte] and an ISO 8601 time"),
        ("created_by=usr_x", "property created_by should not exist"),
        (
            "foo=bar&limit=x",
            "property foo should not exist, limit must be a number conforming to the specified constraints",
        ),
    ],
)
async def test_what_cannot_be_asked_for_is_named(ann: Person, query: str, message: str) -> None:
    answer = await ann.http.get(f"/admin/batch-jobs?{query}")
    assert (answer.status_code, answer.json()) == (400, {"type": "invalid_data", "message": message})

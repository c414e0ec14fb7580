"""The five calls of Medusa's batch-job API, with its answers and its refusals."""

from __future__ import annotations

import asyncio
from typing import Any

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_service.access import Scope
from tests.http.conftest import Person, Site


async def test_a_job_is_created_and_shown_as_medusa_shows_it(ann: Person) -> None:
    key = await ann.upload(b"one\ntwo\n")
    job = await ann.create("rows", {"fileKey": key}, dry_run=True)
    assert job.keys() == {
        *("id", "type", "status", "dry_run", "context", "result", "created_by", "created_at", "updated_at"),
        *(
            "deleted_at",
            "pre_processed_at",
            "confirmed_at",
            "processing_at",
            "completed_at",
            "canceled_at",
            "failed_at",
        ),
    }
    assert (job["status"], job["result"], job["pre_processed_at"]) == ("created", None, None)
    assert job["created_by"] == ann.user.id
    assert job["context"] == {"fileKey": key, "seen_by": ann.user.id}
    assert job["created_at"][-5] == "." and job["created_at"].endswith("Z")


async def test_a_dry_run_rests_until_it_is_confirmed_and_then_completes(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"one\ntwo\n")}, dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    planned = await ann.job(job["id"])
    assert planned["status"] == "pre_processed"
    assert planned["result"] == {
        "count": 2,
        "advancement_count": 0,
        "stat_descriptors": [{"key": "rows-count", "name": "Rows to read", "message": "There will be 2 rows read"}],
    }
    confirmed = await ann.http.post(f"/admin/batch-jobs/{job['id']}/confirm", json={})
    assert confirmed.status_code == 200
    assert confirmed.json()["batch_job"]["status"] == "confirmed"
    await ann.until(job["id"], "batch.completed")
    done = await ann.job(job["id"])
    assert (done["status"], done["result"]["advancement_count"]) == ("completed", 2)


async def test_of_ten_confirmations_at_the_same_moment_one_is_carried_out(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"one\n")}, dry_run=True)
    await ann.until(job["id"], "batch.pre_processed")
    path = f"/admin/batch-jobs/{job['id']}/confirm"
    answers = await asyncio.gather(*(ann.http.post(path) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9
    assert {answer.json()["type"] for answer in answers if answer.status_code == 400} == {"not_allowed"}
    await ann.until(job["id"], "batch.completed")


async def test_a_job_cannot_be_confirmed_before_its_preview(ann: Person, site: Site) -> None:
    job = await ann.create("gated", dry_run=False)
    await ann.until(job["id"], "batch.processing")
    refused = await ann.http.post(f"/admin/batch-jobs/{job['id']}/confirm")
    assert refused.status_code == 400
    assert refused.json() == {
        "type": "not_allowed",
        "message": "Cannot confirm processing for a batch job that is not pre processed",
    }
    site.strategy("gated").go(3)
    await ann.until(job["id"], "batch.completed")


async def test_a_running_job_is_canceled_at_once_and_stops(ann: Person, site: Site) -> None:
    gated = site.strategy("gated")
    job = await ann.create("gated")
    await asyncio.to_thread(gated.started.wait, 5)
    path = f"/admin/batch-jobs/{job['id']}/cancel"
    canceled = await ann.http.post(path, json={"ignored": 1})
    assert canceled.json()["batch_job"]["status"] == "canceled"
    await ann.until(job["id"], "batch.updated")
    assert (await ann.http.post(path)).status_code == 200


async def test_a_completed_job_cannot_be_canceled(ann: Person) -> None:
    job = await ann.create("rows", {"fileKey": await ann.upload(b"one\n")})
    await ann.until(job["id"], "batch.completed")
    refused = await ann.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
    assert refused.status_code == 400
    assert refused.json() == {"type": "not_allowed", "message": "Cannot cancel completed batch job"}


async def test_a_canceled_job_can_be_retried_and_a_completed_one_cannot(ann: Person, site: Site) -> None:
    gated = site.strategy("gated")
    job = await ann.create("gated")
    await asyncio.to_thread(gated.started.wait, 5)
    await ann.http.post(f"/admin/batch-jobs/{job['id']}/cancel")
    await ann.until(job["id"], "batch.updated")
    gated.go(3)
    retried = await ann.http.post(f"/admin/batch-jobs/{job['id']}/retry")
    assert (retried.status_code, retried.json()["batch_job"]["status"]) == (200, "confirmed")
    await ann.until(job["id"], "batch.completed")
    refused = await ann.http.post(f"/admin/batch-jobs/{job['id']}/retry")
    assert (refused.status_code, refused.json()["type"]) == (400, "not_allowed")


async def test_a_wrong_request_is_refused_in_medusas_words(ann: Person) -> None:
    nothing = "an unknown value was passed to the validate function"
    refusals: tuple[tuple[Any, str], ...] = (
        ({}, "type must be a string, context must be an object"),
        ({"type": "gated", "context": None}, "context must be an object"),
        ({"type": "gated", "context": 3}, "context must be an object"),
        ({"type": "gated", "context": []}, "context must be an object"),
        ({"type": 3, "context": {}}, "type must be a string"),
        ({"type": "gated", "context": {}, "dry_run": "true"}, "dry_run must be a boolean value"),
        ({"type": "gated", "context": {}, "dry_run": 1}, "dry_run must be a boolean value"),
        (
            {"type": "gated", "context": {}, "dry_run": None},
            "Can't insert null value in field dry_run on insert in table batch_job",
        ),
        (
            {"type": "gated", "context": {}, "id": "batch_mine", "foo": 1},
            "property id should not exist, property foo should not exist",
        ),
        ({"type": "gated", "context": {}, "created_by": "usr_x"}, "property created_by should not exist"),
        ({"type": "gated", "context": {"a": "x\0y"}}, "context.a has a NUL in it"),
        ({"type": "gated", "context": {"a": [1, 2**70]}}, "context.a.1 is an integer beyond 64 bits"),
        ([], nothing),
        ([{"type": "gated", "context": {}}], nothing),
    )
    for body, message in refusals:
        refused = await ann.http.post("/admin/batch-jobs", json=body)
        assert refused.status_code == 400
        assert refused.headers["content-type"] == "application/json; charset=utf-8"
        assert refused.json() == {"type": "invalid_data", "message": message}


async def test_a_type_that_nobody_serves_is_not_found(ann: Person) -> None:
    for unknown in ("unknown", "__proto__", ""):
        for more in ("", ',"dry_run":null'):
            body = f'{{"type":"{unknown}","context":{{}}{more}}}'
            headers = {"content-type": "application/json"}
            refused = await ann.http.post("/admin/batch-jobs", content=body, headers=headers)
            assert refused.status_code == 404
            assert refused.json() == {
                "type": "not_found",
                "message": f"Unable to find a BatchJob strategy with the type {unknown}",
            }


async def test_what_the_strategy_refuses_is_refused_naming_the_field(olga: Person) -> None:
    async def refusal(context: dict[str, Any]) -> str:
        refused = await olga.http.post("/admin/batch-jobs", json={"type": "rows", "context": context})
        assert (refused.status_code, refused.json()["type"]) == (400, "invalid_data")
        message: str = refused.json()["message"]
        return message

    assert await refusal({"fileKey": "nowhere.csv"}) == "fileKey: There is no such file"
    assert await refusal({}) == "The context is not what this batch type takes: fileKey: Field required"
    assert await refusal({"forbidden": True}) == "Forbidden rows are not read"


async def test_a_body_that_cannot_be_used_is_refused_in_the_same_form(ann: Person) -> None:
    for content, content_type, status in (
        (b"{", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"null", "application/json", 400),
        (b"", "application/json", 400),
        (b"  ", "application/json", 400),
        (b'{"type":"gated","context":{}}', "text/plain", 400),
        (b'{"type":"gated","context":{}}', "application/json; charset=latin1", 415),
        (b'{"type":"gated","context":{"pad":"' + b"x" * 110_000 + b'"}}', "application/json", 413),
        (b"[" * 3000, "application/json", 400),
        (b'{"type":"gated","context":' + b'{"a":' * 70 + b"1" + b"}" * 71, "application/json", 400),
        (b'{"type":"gated","context":{"a":"\\ud800"}}', "application/json", 400),
        (b'{"type":"gated","context":{"a":NaN}}', "application/json", 400),
        (b'{"type":"gated","context":{"a":"\xf6"}}', "application/json", 400),
    ):
        refused = await ann.http.post("/admin/batch-jobs", content=content, headers={"content-type": content_type})
        assert refused.status_code == status, content[:40]
        assert refused.json().keys() == {"type", "message"}


async def test_a_byte_order_mark_before_a_body_is_passed_over(ann: Person) -> None:
    body = b'\xef\xbb\xbf{"type":"unknown","context":{}}'
    answer = await ann.http.post("/admin/batch-jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 404


async def test_a_body_that_nobody_needs_may_be_any_object_or_list(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    for body in ([1], {"ignored": 1}):
        assert (await ann.http.post(f"/admin/batch-jobs/{job['id']}/cancel", json=body)).status_code == 200
    nothing = await ann.http.post(
        f"/admin/batch-jobs/{job['id']}/cancel", content=b"null", headers={"content-type": "application/json"}
    )
    assert nothing.status_code == 400


async def test_prototypes_are_left_out_of_a_context(ann: Person) -> None:
    job = await ann.create("gated", {"__proto__": {"a": 1}, "b": {"__proto__": 1, "c": 2}}, dry_run=True)
    assert job["context"] == {"b": {"c": 2}}


async def test_the_same_idempotency_key_answers_with_the_same_job(ann: Person, bob: Person) -> None:
    async def create(person: Person, context: dict[str, Any]) -> Any:
        return await person.http.post(
            "/admin/batch-jobs",
            json={"type": "gated", "context": context, "dry_run": True},
            headers={"idempotency-key": "same"},
        )

    first, second, other = await create(ann, {"a": 1}), await create(ann, {"a": 1}), await create(ann, {"a": 2})
    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 409)
    assert first.json()["batch_job"]["id"] == second.json()["batch_job"]["id"]
    assert other.json()["type"] == "conflict"
    assert (await create(bob, {"a": 1})).json()["batch_job"]["id"] != first.json()["batch_job"]["id"]


async def test_an_unknown_job_is_not_found(ann: Person) -> None:
    for path, shown in (("batch_unknown", "batch_unknown"), ("a%2Fb", "a/b"), ("100%25", "100%")):
        answer = await ann.http.get(f"/admin/batch-jobs/{path}")
        assert answer.status_code == 404
        assert answer.json() == {"type": "not_found", "message": f"Batch job with id {shown} was not found"}
    assert (await ann.http.get("/admin/batch-jobs/%00")).status_code == 400


async def test_a_member_cannot_touch_somebody_elses_job_and_an_operator_can(
    ann: Person, bob: Person, olga: Person
) -> None:
    job = await ann.create("gated", dry_run=True)
    path = f"/admin/batch-jobs/{job['id']}"
    foreign = {
        "type": "not_allowed",
        "message": "Cannot access a batch job that does not belong to the logged in user",
    }
    for method, below in (
        *(("GET", part) for part in ("", "/history", "/events", "/errors", "/plan")),
        *(("POST", part) for part in ("/confirm", "/cancel", "/retry")),
    ):
        answer = await bob.http.request(method, path + below)
        assert (answer.status_code, answer.json()) == (400, foreign), below
    assert (await olga.http.get(path)).status_code == 200
    assert (await olga.http.post(path + "/cancel")).status_code == 200


async def test_jobs_of_the_bus_are_for_operators(site: Site, ann: Person, olga: Person) -> None:
    trigger = Event(type="batch.created", source="/shop", id=new_ulid(), subject=new_job_id(), data={"type": "gated"})
    await site.service.bus.publish(topics.TRIGGERS, Message(body=encode(trigger), routing_key="batch.created"))
    assert (await ann.http.get(f"/admin/batch-jobs/{trigger.subject}")).status_code == 400
    shown = await olga.http.get(f"/admin/batch-jobs/{trigger.subject}")
    assert shown.json()["batch_job"]["created_by"] == "bus:/shop"
    site.strategy("gated").go(3)
    assert trigger.subject
    await olga.until(trigger.subject, "batch.completed")


async def test_a_token_without_the_scope_is_refused(site: Site) -> None:
    reader = await site.person("reader", scopes={Scope.JOBS_READ})
    assert (await reader.http.get("/admin/batch-jobs")).status_code == 200
    refused = await reader.http.post("/admin/batch-jobs", json={"type": "gated", "context": {}})
    assert refused.status_code == 403
    assert refused.json()["message"] == "This needs the scope jobs:write, which your credential does not have"


async def test_slashes_and_capitals_in_paths_do_not_matter(ann: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    for path in (f"/admin/batch-jobs/{job['id']}/", f"/Admin//BATCH-JOBS/{job['id']}", "/admin/Batch-Jobs", "/HEALTH"):
        assert (await ann.http.get(path)).status_code == 200, path
    assert (await ann.http.post(f"/admin/batch-jobs/{job['id']}/CANCEL")).status_code == 200
    assert (await ann.http.get(f"/admin/batch-jobs/{job['id'].lower()}")).status_code == 404


async def test_below_a_job_it_is_looked_for_before_the_path_is(ann: Person, bob: Person) -> None:
    job = await ann.create("gated", dry_run=True)
    for person, path, status, message in (
        (ann, f"{job['id']}/nope", 404, f"Cannot PUT /admin/batch-jobs/{job['id']}/nope"),
        (bob, f"{job['id']}/nope", 400, "Cannot access a batch job that does not belong to the logged in user"),
        (ann, "batch_x/nope", 404, "Batch job with id batch_x was not found"),
        (ann, "batch_x", 404, "Batch job with id batch_x was not found"),
    ):
        answer = await person.http.put(f"/admin/batch-jobs/{path}")
        assert (answer.status_code, answer.json()["message"]) == (status, message)


async def test_a_trace_goes_on_in_the_events(ann: Person) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await ann.http.post(
        "/admin/batch-jobs", json={"type": "gated", "context": {}, "dry_run": True}, headers={"traceparent": trace}
    )
    told = await ann.until(answer.json()["batch_job"]["id"], "batch.created")
    assert told[0].json()["traceparent"] == trace


async def test_whoever_creates_a_job_waits_for_no_strategy_of_others(site: Site, ann: Person, bob: Person) -> None:
    blocking = site.strategy("blocking")
    await ann.create("blocking")
    try:
        await asyncio.to_thread(blocking.blocks.wait)
        assert (await bob.create("asking"))["context"] == {"products": 0}
    finally:
        blocking.released.set()

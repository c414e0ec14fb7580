"""Operators see what could not be used, put it back, put an edited copy back, or discard it; nothing is ever lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import Event, encode
from batchbus_events.ids import new_job_id, new_ulid
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

REASON = "the publisher was mended"


async def parked(site: Site, person: Person, count: int = 1, **query: str) -> list[dict[str, Any]]:
    """What is parked, once it is so many: nothing tells us when a message has been kept."""
    async with asyncio.timeout(PATIENCE):
        while True:
            listed = (await person.http.get("/admin/parked", params=query)).json()
            found: list[dict[str, Any]] = listed["parked"]
            if listed["count"] == count and (found or not count):  # a page is read before it is counted
                return found
            await asyncio.sleep(0.02)  # asked again


async def publish(site: Site, body: bytes, routing_key: str = "batch.created", message_id: str | None = None) -> None:
    await site.service.bus.publish(
        topics.TRIGGERS, Message(body=body, routing_key=routing_key, message_id=message_id, headers={"team": "shop"})
    )


async def act(person: Person, message: dict[str, Any], what: str, **body: Any) -> httpx.Response:
    return await person.http.post(f"/admin/parked/{message['id']}/{what}", json={"reason": REASON, **body})


async def test_a_message_is_shown_with_its_reason_and_all_that_came_with_it(site: Site, olga: Person) -> None:
    await publish(site, b"no json", message_id="m1")

    (message,) = await parked(site, olga)

    assert message["reason"].startswith("not JSON that batchbus can read")
    assert (message["routing_key"], message["message_id"], message["headers"], message["size"]) == (
        *("batch.created", "m1"),
        {"team": "shop"},
        7,
    )
    assert (message["state"], message["times"], message["audit"]) == ("parked", 1, [])
    whole = (await olga.http.get(f"/admin/parked/{message['id']}")).json()["parked"]
    assert whole == message | {"body": "no json"}


async def test_a_body_that_is_no_text_is_shown_all_the_same(site: Site, olga: Person) -> None:
    await publish(site, b"\xff\x00")

    (message,) = await parked(site, olga)

    assert (await olga.http.get(f"/admin/parked/{message['id']}")).json()["parked"]["body_base64"] == "/wA="


async def test_a_message_that_fails_again_is_the_same_one(site: Site, olga: Person) -> None:
    await publish(site, b"no json")
    (first,) = await parked(site, olga)

    assert (await act(olga, first, "requeue")).json()["parked"]["state"] == "requeued"
    (again,) = await parked(site, olga)

    assert (again["id"], again["times"], again["first_failed_at"]) == (first["id"], 2, first["first_failed_at"])
    assert again["last_failed_at"] > first["last_failed_at"]
    assert again["headers"] == {"team": "shop"}
    assert [(entry["by"], entry["what"], entry["reason"]) for entry in again["audit"]] == [
        ("olga@example.com", "requeue", REASON)
    ]


async def test_an_edited_copy_becomes_a_job_and_the_original_is_kept(site: Site, olga: Person) -> None:
    job_id = new_job_id()
    trigger = encode(Event(type="batch.created", source="/shop", id=new_ulid(), subject=job_id, data={"type": "slow"}))
    broken = json.loads(trigger) | {"data": {"kind": "slow"}}
    await publish(site, json.dumps(broken).encode())
    (message,) = await parked(site, olga)

    answered = await act(olga, message, "requeue", body=json.loads(trigger))

    assert answered.json()["parked"]["state"] == "replaced"
    assert (await olga.job(job_id))["type"] == "slow"
    (kept,) = await parked(site, olga, state="replaced")
    assert (await olga.http.get(f"/admin/parked/{kept['id']}")).json()["parked"]["body"] == json.dumps(broken)
    assert json.loads(kept["audit"][0]["details"]["body"]) == json.loads(trigger)


async def test_many_are_dealt_with_at_once(site: Site, olga: Person) -> None:
    for number in range(5):
        await publish(site, f"no json {number}".encode())
    await publish(site, b"no json", routing_key="batch.confirmed")
    await parked(site, olga, 6)

    some = {"reason": REASON, "filter": {"routing_key": "batch.created", "reason": "NOT JSON"}}
    assert (await olga.http.post("/admin/parked/requeue", json=some)).json() == {"requeued": 5}
    failed_again = [message for message in await parked(site, olga, 6) if message["times"] == 2]
    assert len(failed_again) == 5

    assert (await olga.http.post("/admin/parked/discard", json={"reason": REASON})).json() == {"discarded": 6}
    assert await parked(site, olga, 0) == []
    assert len(await parked(site, olga, 6, state="discarded")) == 6


async def test_a_message_that_fails_again_before_that_it_was_put_back_is_written_stays_parked(
    site: Site, olga: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(site, b"no json")
    (message,) = await parked(site, olga)
    bus, real = site.service.bus, site.service.bus.publish

    async def publish_and_see_it_fail(exchange: str, what: Message, *, mandatory: bool = False) -> None:
        await real(exchange, what, mandatory=mandatory)
        async with asyncio.timeout(PATIENCE):
            while not exchange and (await parked(site, olga))[0]["times"] < 2:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)  # asked again

    monkeypatch.setattr(bus, "publish", publish_and_see_it_fail)
    assert (await act(olga, message, "requeue")).status_code == 200
    (again,) = await parked(site, olga)
    assert (again["state"], again["times"], [entry["what"] for entry in again["audit"]]) == ("parked", 2, ["requeue"])


async def test_what_is_dealt_with_is_not_dealt_with_again(site: Site, olga: Person) -> None:
    await publish(site, b"no json")
    (message,) = await parked(site, olga)
    await act(olga, message, "discard")

    refused = await act(olga, message, "requeue")

    assert (refused.status_code, refused.json()["message"]) == (
        400,
        f"{message['id']} is discarded already, by olga@example.com: {REASON}",
    )


async def test_a_reason_is_required_and_operators_alone_may(site: Site, ann: Person, olga: Person) -> None:
    await publish(site, b"no json")
    (message,) = await parked(site, olga)

    without = await olga.http.post(f"/admin/parked/{message['id']}/discard", json={})
    assert (without.status_code, without.json()["message"]) == (400, "reason: Field required")
    assert (await ann.http.get("/admin/parked")).status_code == 403
    assert (await act(ann, message, "discard")).status_code == 403
    assert (await olga.http.get("/admin/parked/parked_1")).status_code == 404


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_message_of_any_size_is_kept(site: Site, olga: Person, size: int) -> None:
    await publish(site, b"x" * size)

    (message,) = await parked(site, olga)

    assert message["size"] == size

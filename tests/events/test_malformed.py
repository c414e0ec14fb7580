"""What can be read of messages that are no events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.event import MAX_BYTES
from batchbus_events.ids import new_job_id
from batchbus_events.malformed import legible_event
from batchbus_events.memory import MemoryBus
from batchbus_events.testing import FakeBatchbus, recorded

_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _body(**attributes: Any) -> bytes:
    return json.dumps({"source": "/shop", "id": "order-1", **attributes}).encode()


def test_source_and_id_are_enough() -> None:
    event = legible_event(_body(data=[1], specversion="0.3"), "batch.created")
    assert event is not None
    assert (event.source, event.id, event.type, event.subject) == ("/shop", "order-1", "batch.created", None)


def test_what_is_right_besides_is_kept() -> None:
    job_id = new_job_id()
    event = legible_event(_body(type="batch.confirmed", subject=job_id, traceparent=_TRACE, time="yesterday"))
    assert event is not None
    assert (event.type, event.subject, event.traceparent) == ("batch.confirmed", job_id, _TRACE)


@pytest.mark.parametrize("attributes", [{"type": 7}, {"subject": "no job"}, {"subject": "\u0007"}, {"type": ""}])
def test_what_is_wrong_is_left_out(attributes: dict[str, Any]) -> None:
    event = legible_event(_body(**attributes), "batch.canceled")
    assert event is not None
    assert (event.type, event.subject) == ("batch.canceled", None)


@pytest.mark.parametrize(
    "body",
    [
        b"create a job, please",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        _body(id=None),
        _body(id=7),
        _body(id=""),
        _body(source="not a uri"),
        _body(source="\u0000"),
        _body(id="x" * 5000),
        _body().ljust(4 * MAX_BYTES + 1),
    ],
    ids=range(11),
)
def test_without_them_nobody_can_be_told(body: bytes) -> None:
    assert legible_event(body) is None


def test_a_message_that_is_a_little_too_large_is_read() -> None:
    assert legible_event(_body().ljust(MAX_BYTES + 1)) is not None


async def test_the_fake_rejects_what_is_malformed() -> None:
    async with MemoryBus() as bus, FakeBatchbus(bus), recorded(bus) as recording:
        await bus.publish(
            topics.TRIGGERS, Message(body=_body(type="batch.created", data={}), routing_key="batch.created")
        )
        rejected = await recording.until("batch.rejected")
        assert (rejected.causationid, rejected.data["reason"]) == ("order-1", "malformed")

"""The queues of a subscriber, and the messages in the one where what it could not handle waits for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.deduplication import Record
from batchbus_events.event import Event, encode
from batchbus_events.reading import key_of
from batchbus_events.topics import Binding, Exchange, Queue

__all__ = [
    "PARKED_AT",
    "PARKED_KEY",
    "PARKED_REASON",
    "parked",
    "parked_queue",
    "parking_exchange",
    "queue_of_earlier_versions",
    "reason_headers",
    "subscriber_queue",
]

PARKED_REASON: Final = "x-batchbus-reason"
PARKED_AT: Final = "x-batchbus-parked-at"
PARKED_KEY: Final = "x-batchbus-routing-key"
"""Headers of every parked message: why, when (ISO 8601), and the routing key that it had."""

_REASON_LENGTH: Final = 1000


def subscriber_queue(name: str, patterns: Sequence[str], *, crashes: int) -> Queue:
    """The queue that a subscriber reads. What was given to a consumer `crashes` times in vain, the broker parks."""
    queue = queue_of_earlier_versions(name, patterns, crashes=crashes)
    others = {key: value for key, value in queue.arguments.items() if not key.startswith("x-dead-letter-")}
    parking = {"x-dead-letter-exchange": parking_exchange(name), "x-dead-letter-strategy": "at-least-once"}
    return replace(queue, arguments={**others, **parking})


def queue_of_earlier_versions(name: str, patterns: Sequence[str], *, crashes: int) -> Queue:
    """The same, as it was declared before subscribers had exchanges of their own: it took a right to the default exchange."""
    return Queue(
        name=name,
        bindings=tuple(Binding(topics.EVENTS, pattern) for pattern in patterns),
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": crashes,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": parked_queue(name).name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def parked_queue(name: str) -> Queue:
    """Where what the subscriber of that name could not handle waits, with the exchange that leads there."""
    return Queue(
        name=f"{name}.parked",
        bindings=(Binding(parking_exchange(name)),),
        arguments={"x-queue-type": "quorum"},
        exchanges=(Exchange(parking_exchange(name), "fanout"),),
    )


def parking_exchange(name: str) -> str:
    """The exchange to which the subscriber of that name publishes what it parks. No other user needs a right to it."""
    return f"{name}.parking"


def reason_headers(message: Message, reason: str, now: datetime) -> dict[str, str | int | bool]:
    """The headers that the message came with, and those that every parked message has."""
    return {
        **message.headers,
        PARKED_REASON: reason[:_REASON_LENGTH],
        PARKED_AT: now.isoformat(),
        PARKED_KEY: message.routing_key,
    }


def parked(what: Delivery | Event, name: str, reason: str, record: Record, now: datetime) -> Message:
    """An event on its way to the parking queue of a subscriber, as it came, with the reason in its headers."""
    if isinstance(what, Event):
        message = Message(body=encode(what), routing_key=key_of(what), message_id=what.id)
    else:
        message = what.message
    headers = reason_headers(message, reason, now)
    headers |= {"x-batchbus-queue": name, "x-batchbus-failures": record.failures}
    if record.first_failure_at is not None:
        headers["x-batchbus-first-failure-at"] = record.first_failure_at.isoformat()
    return replace(message, headers=headers)

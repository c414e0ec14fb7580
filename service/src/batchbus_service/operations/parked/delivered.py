"""What is kept of a message that the broker delivers from `batchbus.parked`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from batchbus_events.bus import HELD_SINCE, Message
from batchbus_events.ids import derived_ulid
from batchbus_events.parking import PARKED_AT, PARKED_KEY, PARKED_REASON
from batchbus_service.domain.parked import ParkedMessage
from batchbus_service.journal.messages import PARKED_USER

__all__ = ["parked_as"]

_BROKERS_REASON: Final = "x-first-death-reason"
_BROKERS_QUEUE: Final = "x-first-death-queue"
_ADDED: Final = ("x-batchbus-", "x-first-death-", "x-last-death-", "x-death", "x-delivery-count", HELD_SINCE)
"""How headers begin that holding and parking have added to a message: put back, it has all its time again."""


def parked_as(delivered: Message, own_user: str | None, now: datetime) -> ParkedMessage:
    """What a message from `batchbus.parked` is to be kept as.

    `own_user`: whom the broker takes us for; only we are believed who else has published it.
    """
    headers = delivered.headers
    failed_at = min(_failed_at(headers) or now, now)
    user = delivered.user_id
    if user == own_user and PARKED_USER in headers:  # else the broker has parked what we published ourselves
        user = str(headers[PARKED_USER]) or None
    key, body = str(headers.get(PARKED_KEY, delivered.routing_key)), delivered.body
    return ParkedMessage(
        id="parked_" + derived_ulid("parked", sha256(body).hexdigest(), key, delivered.message_id or ""),
        routing_key=key,
        message_id=delivered.message_id,
        content_type=delivered.content_type,
        headers={name: value for name, value in headers.items() if not name.startswith(_ADDED)},
        user_id=user,
        size=len(body),
        reason=_reason(headers),
        first_failed_at=failed_at,
        last_failed_at=failed_at,
    )


def _failed_at(headers: Mapping[str, object]) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(headers.get(PARKED_AT)))
        return time if time.tzinfo else None
    except ValueError:
        return None


def _reason(headers: Mapping[str, object]) -> str:
    if PARKED_REASON in headers:
        return str(headers[PARKED_REASON])
    why, queue = headers.get(_BROKERS_REASON), headers.get(_BROKERS_QUEUE)
    if why == "delivery_limit":
        return f"every process that took it from {queue} gave it back, or ended, until the broker's limit was reached"
    return f"the broker took it out of {queue} ({why})" if why else "published to batch.parked without a reason"

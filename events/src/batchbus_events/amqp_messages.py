"""What RabbitMQ delivers, as a `Message`; and a message that is held, which keeps in headers where it came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiormq.abc import DeliveredMessage

from batchbus_events import topics
from batchbus_events.bus import ROUTING_KEY, Message

__all__ = ["held", "received"]

_HELD_USER: Final = "batchbus-user-id"


def held(message: Message) -> Message:
    """The message, to be published to `batchbus.held` by way of the default exchange."""
    addressed = message.addressed(topics.HELD_QUEUE.name)
    return replace(addressed, headers={**addressed.headers, _HELD_USER: message.user_id or ""})


def received(message: DeliveredMessage, own_user: str | None) -> Message:
    """`own_user` is whom the broker takes us for: only what it says that we published can be a held message."""
    properties = message.header.properties
    headers = {key: value for key, value in (properties.headers or {}).items() if isinstance(value, str | int | bool)}
    routing_key, user = message.routing_key or "", properties.user_id
    if not message.exchange and ROUTING_KEY in headers:
        routing_key = str(headers.pop(ROUTING_KEY))
        if own_user and user == own_user:
            # The broker vouches that we sent it: one that we held, and know the publisher of.
            user = str(headers.pop(_HELD_USER, user))
    return Message(
        body=message.body,
        routing_key=routing_key,
        message_id=properties.message_id,
        content_type=properties.content_type or "",
        headers=headers,
        user_id=user or None,
    )

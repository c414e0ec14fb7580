"""What RabbitMQ delivers, as a `Message`."""

from __future__ import annotations

from aiormq.abc import DeliveredMessage

from batchbus_events.bus import ROUTING_KEY, USER_ID, Message

__all__ = ["received"]


def received(message: DeliveredMessage, own_user: str | None) -> Message:
    """`own_user` is whom the broker takes us for: only what we published ourselves can tell of another publisher.

    What we have sent to one queue keeps its routing key and its publisher where the broker dead-letters it from there.
    """
    properties = message.header.properties
    headers = {key: value for key, value in (properties.headers or {}).items() if isinstance(value, str | int | bool)}
    routing_key, user = message.routing_key or "", properties.user_id
    ours = bool(own_user) and user == own_user
    if ROUTING_KEY in headers and (ours or not message.exchange):
        routing_key, named = str(headers.pop(ROUTING_KEY)), str(headers.pop(USER_ID, ""))
        if ours:
            user = named  # the broker vouches that it was us who said so
    return Message(
        body=message.body,
        routing_key=routing_key,
        message_id=properties.message_id,
        content_type=properties.content_type or "",
        headers=headers,
        user_id=user or None,
    )

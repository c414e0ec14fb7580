"""Reading what arrives on `batch.events`, as its clients do: leniently, and never failing over one message."""

from __future__ import annotations

import logging
from contextlib import suppress

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.catalog import EVENTS
from batchbus_events.event import Event, InvalidEvent, NewerSchema, check_schema_version, decode

__all__ = ["event_in", "key_of", "read_event"]

_logger = logging.getLogger(__name__)


def read_event(message: Message) -> Event | None:
    """The event, or None for one that this version cannot read, which is logged."""
    try:
        return event_in(message)
    except InvalidEvent as error:
        _logger.warning("skipped a message with the routing key %s: %s", message.routing_key, error)
        return None


def event_in(message: Message) -> Event:
    """Raises `InvalidEvent`, for one of a newer major version too."""
    event = decode(message.body)
    known = EVENTS.get(event.type)
    if known is not None:
        with suppress(NewerSchema):  # a newer minor version only adds keys
            check_schema_version(event, known.dataschema)
    return event


def key_of(event: Event) -> str:
    """The routing key that the event was first published with; a replay to one queue goes by the queue's name."""
    batch_type = event.data.get("type")
    return topics.routing_key(event.type, batch_type if isinstance(batch_type, str) else None, event.subject)

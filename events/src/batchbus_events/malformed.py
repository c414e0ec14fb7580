"""What can be read of a message that is no event: its sender can be answered if that is enough."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pydantic_core import from_json, to_json

from batchbus_events.event import MAX_BYTES, Event, InvalidEvent, Json, decode
from batchbus_events.ids import JOB_ID

__all__ = ["legible_event"]

_MOST_BYTES: Final = 4 * MAX_BYTES
"""A message that is larger is not looked at: reading it would hold up all others."""
_OPTIONAL: Final = ("type", "subject", "traceparent")
_UNKNOWN: Final = "unknown"


def legible_event(body: bytes, otherwise: str = "") -> Event | None:
    """The attributes that are right, without data; None unless `source` and `id` are among them.

    They are what names an event for its sender. `otherwise` is the type of one whose own cannot be read.
    """
    if len(body) > _MOST_BYTES:
        return None
    try:
        envelope = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(envelope, dict):
        return None
    kept: dict[str, Json] = {
        "specversion": "1.0",
        "type": otherwise or _UNKNOWN,
        "source": envelope.get("source"),
        "id": envelope.get("id"),
    }
    event = _read(kept)
    if event is None:
        return None
    for name in _OPTIONAL:
        if (value := envelope.get(name)) is not None and (more := _read({**kept, name: value})) is not None:
            kept[name], event = value, more
    return event


def _read(attributes: dict[str, Json]) -> Event | None:
    if (subject := attributes.get("subject")) is not None and not _is_job_id(subject):
        return None
    with suppress(InvalidEvent):
        return decode(to_json(attributes))
    return None


def _is_job_id(subject: Json) -> bool:
    return isinstance(subject, str) and JOB_ID.fullmatch(subject) is not None

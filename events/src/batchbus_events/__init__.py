"""The contract of batchbus: its events, the bus that carries them, and a client for other services."""

from batchbus_events.bus import (
    Bus,
    BusError,
    BusUnavailable,
    Consumer,
    Delivery,
    Message,
    PublishRefused,
    TopologyMismatch,
    Unroutable,
    VhostUnavailable,
)
from batchbus_events.client import Client
from batchbus_events.deduplication import MongoDeduplication
from batchbus_events.event import Event, EventError, FieldError, InvalidEvent, NewerSchema, decode, encode
from batchbus_events.following import JobCanceled, JobEnded, JobFailed, TriggerRejected
from batchbus_events.history import HttpHistory
from batchbus_events.memory import MemoryBus
from batchbus_events.subscriber import Retry, Subscriber

__all__ = [
    "Bus",
    "BusError",
    "BusUnavailable",
    "Client",
    "Consumer",
    "Delivery",
    "Event",
    "EventError",
    "FieldError",
    "HttpHistory",
    "InvalidEvent",
    "JobCanceled",
    "JobEnded",
    "JobFailed",
    "MemoryBus",
    "Message",
    "MongoDeduplication",
    "NewerSchema",
    "PublishRefused",
    "Retry",
    "Subscriber",
    "TopologyMismatch",
    "TriggerRejected",
    "Unroutable",
    "VhostUnavailable",
    "decode",
    "encode",
]

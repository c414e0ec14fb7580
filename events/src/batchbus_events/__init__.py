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
)
from batchbus_events.client import Client
from batchbus_events.event import Event, EventError, Fault, InvalidEvent, NewerSchema, decode, encode
from batchbus_events.memory import MemoryBus

__all__ = [
    "Bus",
    "BusError",
    "BusUnavailable",
    "Client",
    "Consumer",
    "Delivery",
    "Event",
    "EventError",
    "Fault",
    "InvalidEvent",
    "MemoryBus",
    "Message",
    "NewerSchema",
    "PublishRefused",
    "TopologyMismatch",
    "Unroutable",
    "decode",
    "encode",
]

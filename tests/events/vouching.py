"""A memory bus that says who published a message, as RabbitMQ does, for tests of what publishers may do."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from batchbus_events import topics
from batchbus_events.bus import ROUTING_KEY, USER_ID, Message
from batchbus_events.event import Event, decode
from batchbus_events.memory import MemoryBus

__all__ = ["SERVICE", "VouchingBus"]

SERVICE: Final = "batchbus"
"""The broker's user that the service itself has."""

_publisher: ContextVar[str | None] = ContextVar("publisher", default=SERVICE)


class VouchingBus(MemoryBus):
    """The service's connection; `publish_as` is that of any other user."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        """What the service has published for everyone, the oldest first."""
        self._more = asyncio.Event()

    @property
    def user(self) -> str:
        return SERVICE

    @property
    def vouches(self) -> bool:
        return True

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        if exchange == topics.EVENTS:
            self.events.append(decode(message.body))
            self._more.set()
        await super().publish(exchange, message, mandatory=mandatory)

    async def something_published(self) -> None:
        """Wait for one event more."""
        self._more.clear()
        await self._more.wait()

    async def publish_as(self, user: str | None, exchange: str, message: Message) -> None:
        """Publish as that user of the broker, or as someone who leaves `user_id` out."""
        reset = _publisher.set(user)
        try:
            await self.publish(exchange, message, mandatory=True)
        finally:
            _publisher.reset(reset)

    def _vouched(self, exchange: str, message: Message) -> Message:
        user = _publisher.get()
        if not exchange and user == SERVICE and ROUTING_KEY in message.headers:
            user = str(message.headers.get(USER_ID, "")) or None  # the service says so, and is believed
        return replace(message, user_id=user)

"""A handler for tests, which hands deliveries over one by one."""

from __future__ import annotations

import asyncio

from batchbus_events.bus import Delivery
from tests.patience import PATIENCE

__all__ = ["Inbox"]


class Inbox:
    """Puts deliveries where a test can wait for them; the test acknowledges them."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()

    async def __call__(self, delivery: Delivery) -> None:
        self._arrived.put_nowait(delivery)

    async def next(self) -> Delivery:
        async with asyncio.timeout(PATIENCE):
            return await self._arrived.get()

    async def bodies(self, count: int) -> list[bytes]:
        """The bodies of the next deliveries, each acknowledged."""
        bodies = []
        for _ in range(count):
            delivery = await self.next()
            await delivery.ack()
            bodies.append(delivery.message.body)
        return bodies

    @property
    def empty(self) -> bool:
        return self._arrived.empty()

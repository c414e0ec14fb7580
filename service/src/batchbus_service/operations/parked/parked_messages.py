"""Takes messages out of `batchbus.parked` and keeps them where operators can look at them and put them back.

A message is acknowledged once it is kept. While the database is away it stays with the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from math import nan
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Consumer, Delivery, Message
from batchbus_events.tasks import end
from batchbus_service.domain.errors import ParkedRefused, StoreUnavailable
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.parked import Filter, ParkedMessage, State
from batchbus_service.domain.ports import Clock, ParkedStore
from batchbus_service.operations.parked.delivered import parked_as
from batchbus_service.storage.changing import changed
from batchbus_service.storage.files import FileStore
from batchbus_service.telemetry.background import Background

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["ParkedMessages"]

_PREFETCH: Final = 20
_TRY_AGAIN: Final = 2.0
_AT_ONCE: Final = 100
_COUNT_EVERY: Final = 10.0


class ParkedMessages(Lifetime):
    """One in each process that serves operators."""

    def __init__(
        self,
        bus: Bus,
        messages: ParkedStore,
        files: FileStore,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        background: Background | None = None,
    ) -> None:
        self.messages = messages
        self._files = files
        self._bus = bus
        self._clock = clock
        self._log = log
        self._background = background or Background(log)
        self._consumer: Consumer | None = None
        self._counting: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.waiting = nan
        """How many wait for an operator, counted every few seconds; NaN as long as that is not known."""

    async def start(self) -> None:
        await self.messages.prepare()
        self._consumer = await self._bus.consume(topics.PARKED_QUEUE, self._keep, prefetch=_PREFETCH)
        self._counting = self._background.start("count of parked messages", self._count_for_ever)

    async def close(self) -> None:
        """Messages that could not be kept yet are given back."""
        self._closing.set()
        if self._counting:
            await end(self._counting)
        if self._consumer:
            await self._consumer.close()

    async def message(self, parked: ParkedMessage) -> Message:
        """The message that is parked, with its body. A broker takes larger ones than a database takes documents."""
        body = bytearray()
        async for piece in self._files.read(parked.body_key):
            body += piece
        return parked.message(bytes(body))

    # -- what operators do -----------------------------------------------------------------------------------------

    async def requeue(self, parked_id: str, by: str, reason: str) -> ParkedMessage:
        """Put it back where triggers come in, as it was. Raises: `UnknownParked`, `ParkedRefused`, `BusError`."""
        parked = await self.messages.get(parked_id)
        return await self._put_back(
            parked,
            await self.message(parked),
            lambda known, now: known.requeued(by, now, reason),
        )

    async def requeue_edited(
        self, parked_id: str, by: str, reason: str, *, body: bytes, routing_key: str | None = None
    ) -> ParkedMessage:
        """Put back a copy with another body, or another routing key too; the original is kept.

        Raises: `UnknownParked`, `ParkedRefused`, `BusError`.
        """
        parked = await self.messages.get(parked_id)
        copy = replace(parked.message(body), routing_key=routing_key or parked.routing_key)
        return await self._put_back(parked, copy, lambda known, now: known.replaced(by, now, reason, copy))

    async def discard(self, parked_id: str, by: str, reason: str) -> ParkedMessage:
        """It no longer waits for an operator, and is kept all the same. Raises: `UnknownParked`, `ParkedRefused`."""
        return await self._change(
            await self.messages.get(parked_id), lambda known, now: known.discarded(by, now, reason)
        )

    async def requeue_all(self, wanted: Filter, by: str, reason: str) -> int:
        """Put back every message that matches. Returns how many. Raises `BusError`; what was put back stays so."""
        return await self._each(wanted, lambda parked: self.requeue(parked.id, by, reason))

    async def discard_all(self, wanted: Filter, by: str, reason: str) -> int:
        """Returns how many."""
        return await self._each(wanted, lambda parked: self.discard(parked.id, by, reason))

    async def _put_back(
        self, parked: ParkedMessage, message: Message, decide: Callable[[ParkedMessage, datetime], ParkedMessage]
    ) -> ParkedMessage:
        decide(parked, self._clock.now())  # refused before anything is published
        # If the process ends in between, the message is put back and still parked: a trigger that comes twice does no harm.
        await self._bus.publish("", message.addressed(topics.TRIGGERS_QUEUE.name), mandatory=True)
        self._log.info("parked_message_requeued", parked_id=parked.id, routing_key=message.routing_key)

        def decide_unless_it_failed(known: ParkedMessage, now: datetime) -> ParkedMessage:
            decided = decide(known, now)
            # It may have failed and be parked again before this is written: then it waits for an operator again.
            return replace(decided, state=known.state) if known.times > parked.times else decided

        return await self._change(parked, decide_unless_it_failed)

    async def _change(
        self, parked: ParkedMessage, decide: Callable[[ParkedMessage, datetime], ParkedMessage]
    ) -> ParkedMessage:
        return await changed(
            lambda: self.messages.get(parked.id),
            lambda known: decide(known, self._clock.now()),
            self.messages.change,
            known=parked,
        )

    async def _each(self, wanted: Filter, deal_with: Callable[[ParkedMessage], Awaitable[ParkedMessage]]) -> int:
        # What fails again while this goes on is not dealt with again.
        now = self._clock.now()
        wanted = replace(wanted, state=State.PARKED, until=min(wanted.until or now, now))
        done = 0
        while page := (await self.messages.find(wanted, offset=0, limit=_AT_ONCE))[0]:
            for parked in page:
                with suppress(ParkedRefused):  # another operator was faster
                    await deal_with(parked)
                    done += 1
        return done

    # -- what comes from the queue ---------------------------------------------------------------------------------

    async def _keep(self, delivery: Delivery) -> None:
        while not self._closing.is_set():
            try:
                parked = parked_as(delivery.message, self._bus.user, self._clock.now())
                async with self._files.write(parked.body_key) as file:
                    await file.write(delivery.message.body)
                await self.messages.keep(parked)
            except StoreUnavailable as error:
                self._log.warning("parked_message_waits_for_the_database", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the operator gets to know; the message stays with the broker
                self._log.error("parked_message_not_kept", exc_info=error)
            else:
                await delivery.ack()
                self._log.warning("parked_message_kept", parked_id=parked.id, reason=parked.reason)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_TRY_AGAIN):
                    await self._closing.wait()

    async def _count_for_ever(self) -> None:
        while True:
            try:
                self.waiting = float(await self.messages.count(Filter()))
            except StoreUnavailable:
                self.waiting = nan  # what cannot be reached is said elsewhere
            await asyncio.sleep(_COUNT_EVERY)

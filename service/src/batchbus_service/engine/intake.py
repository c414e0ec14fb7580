"""Intake: takes triggers off the bus. Validate, one write, acknowledge; what cannot be used is parked or rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.backoff import pauses
from batchbus_events.bus import HELD_SINCE, PRINCIPAL, Bus, BusError, Consumer, Delivery, Message
from batchbus_events.catalog import CancelBatch, ConfirmBatch, CreateBatch, parse_trigger
from batchbus_events.event import Event, InvalidEvent, NewerSchema, decode
from batchbus_events.malformed import legible_event
from batchbus_service.domain.early import ChangeTrigger
from batchbus_service.domain.errors import (
    Conflict,
    NotAllowed,
    NotStorable,
    StoreUnavailable,
    TooManyJobs,
    UnknownJob,
    UnreadableJob,
    UnservedType,
)
from batchbus_service.domain.job import plain
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.requests import cause_of, from_bus
from batchbus_service.engine.commands import Commands
from batchbus_service.journal import messages
from batchbus_service.journal.transitions import Transitions

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = ["MALFORMED", "Intake"]

_PREFETCH: Final = 64
_TRY_AGAIN: Final = 1.0
"""Seconds until a trigger on which intake broke is put back; the broker counts how often."""
_HELD_SECONDS: Final = 24 * 3600
"""How long a trigger of a newer version, or of a job that such a one wrote, waits for a process that can read it, before
it is parked."""
MALFORMED: Final = "malformed"
"""The reason of `batch.rejected` for what is parked."""
_BACK_OFF: Final = (0.5, 10.0)


class _Closing(Exception):
    """The process shuts down: the delivery stays open, and goes back to the queue."""


class Intake(Lifetime):
    """One per process. `commands` are those of the bus.

    `last_answers`: seconds for which `close` waits for triggers that are being handled.
    """

    def __init__(
        self,
        bus: Bus,
        transitions: Transitions,
        commands: Commands,
        log: FilteringBoundLogger,
        *,
        last_answers: float = 5.0,
    ) -> None:
        self._bus = bus
        self._transitions = transitions
        self._commands = commands
        self._log = log
        self._last_answers = last_answers
        self._consumer: Consumer | None = None
        self._waits = asyncio.Lock()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        self._consumer = await self._bus.consume(topics.TRIGGERS_QUEUE, self.handle, prefetch=_PREFETCH)

    async def close(self) -> None:
        """Take no more triggers. Those being handled are finished, or given back if they have to wait for something."""
        self._closing.set()
        if self._consumer:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._last_answers):
                    await self._consumer.close()

    async def handle(self, delivery: Delivery) -> None:
        """One trigger, from the delivery to its acknowledgement."""
        with suppress(_Closing):
            try:
                await self._handle(delivery)
            except _Closing:
                raise
            except Exception as error:  # noqa: BLE001 - the operator gets to know, and the broker parks it in the end
                self._log.error("trigger_broke", routing_key=delivery.message.routing_key, exc_info=error)
                await self._rest(_TRY_AGAIN)
                await delivery.requeue()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            trigger = decode(delivery.message.body)
            request = parse_trigger(trigger)
        except InvalidEvent as error:
            await self._refuse(delivery, str(error))
            return
        except NewerSchema as error:
            await self._hold(delivery, str(error))
            return
        lag = (self._transitions.clock.now() - trigger.time).total_seconds() if trigger.time else None
        self._transitions.meter.took_trigger(trigger.type, lag)
        with self._transitions.tracer.span(
            f"{trigger.type} intake", trigger.traceparent, source=trigger.source
        ) as span:
            trigger = replace(trigger, traceparent=span.traceparent)
            try:
                refusal = await self._carried_out(trigger, request, delivery.message)
            except UnreadableJob as error:
                # Put back, it would come again at once, be counted, and be parked within a minute.
                await self._hold(delivery, str(error))
                return
            if refusal:
                span.ended_as(refusal[0], failed=True)
                await self._reject(trigger, *refusal)
            await delivery.ack()

    async def _carried_out(
        self, trigger: Event, request: CreateBatch | ConfirmBatch | CancelBatch, message: Message
    ) -> tuple[str, str] | None:
        """Do what the trigger asks, however long the database takes. Returns a code and a message if it cannot be done."""
        for pause in pauses(*_BACK_OFF):
            try:
                principal = self._principal_of(trigger, message)
                cause = cause_of(trigger, principal)
                if isinstance(request, CreateBatch):
                    await self._commands.create_asked(from_bus(trigger, request, message.user_id, principal), cause)
                else:
                    change = _change_of(trigger, request, cause, self._transitions.clock.now())
                    await self._commands.carry_out(request.job_id, change, pause=self._rest)
                break
            except (Conflict, UnknownJob, UnservedType, NotAllowed, NotStorable, TooManyJobs) as error:
                return error.code, str(error)
            except BusError as error:
                self._log.warning("intake_waits_for_the_broker", reason=str(error), seconds=pause)
                await self._rest(pause)
            except StoreUnavailable as error:
                self._log.warning("intake_waits_for_the_database", reason=str(error), seconds=pause)
                await self._hold_back(pause)
        return None

    def _principal_of(self, trigger: Event, message: Message) -> str | None:
        """Who has published it. Raises `NotAllowed` if it is not vouched for, and has to be."""
        ours = message.user_id is not None and message.user_id == self._bus.user
        named = message.headers.get(PRINCIPAL) if ours else None
        rules = self._transitions.decider.policy.bus
        return rules.principal(user=message.user_id, named=None if named is None else str(named), source=trigger.source)

    async def _hold_back(self, seconds: float) -> None:
        """The database is away: keep what we have, take nothing more, and let one wait at a time resume."""
        if self._waits.locked() or self._consumer is None:
            await self._rest(seconds)
            return
        async with self._waits:
            await self._consumer.pause()
            await self._rest(seconds)
            await self._consumer.resume()

    async def _hold(self, delivery: Delivery, reason: str) -> None:
        """For a newer process, which is expected within a day."""
        since, now = delivery.message.headers.get(HELD_SINCE), self._transitions.clock.now().timestamp()
        if isinstance(since, int) and now - since > _HELD_SECONDS:
            await self._refuse(delivery, f"{reason}. It was held for {_HELD_SECONDS // 3600} hours, and none has come")
            return
        self._log.warning("trigger_held", reason=reason)
        await self._until_taken(delivery.hold)

    async def _refuse(self, delivery: Delivery, reason: str) -> None:
        """It cannot be used: park it for an operator, and tell its sender, if it can be read who that is."""
        message = delivery.message
        await self._park(message, reason)
        if (legible := legible_event(message.body, message.routing_key)) is not None:
            await self._reject(legible, MALFORMED, reason)
        await delivery.ack()

    async def _park(self, message: Message, reason: str) -> None:
        self._transitions.meter.parked()
        self._log.warning("message_parked", routing_key=message.routing_key, reason=reason)
        await self._published(topics.PARKED, messages.parked(message, reason, self._transitions.clock.now()))

    async def _reject(self, trigger: Event, code: str, message: str) -> None:
        self._transitions.meter.rejected(code)
        self._log.warning("trigger_rejected", trigger=trigger.type, job_id=trigger.subject, code=code, reason=message)
        await self._published(topics.EVENTS, messages.rejected(trigger, code, message, self._transitions.clock.now()))

    async def _published(self, exchange: str, message: Message) -> None:
        """Until the broker has confirmed it: only then may the trigger be acknowledged."""
        await self._until_taken(lambda: self._bus.publish(exchange, message))

    async def _until_taken(self, publish: Callable[[], Awaitable[None]]) -> None:
        for pause in pauses(*_BACK_OFF):
            try:
                await publish()
                return
            except BusError as error:
                self._log.warning("intake_waits_for_the_broker", reason=str(error), seconds=pause)
                await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        """Raises `_Closing` if the process shuts down meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        if self._closing.is_set():
            raise _Closing


def _change_of(trigger: Event, request: ConfirmBatch | CancelBatch, cause: Cause, now: datetime) -> ChangeTrigger:
    return ChangeTrigger(
        type="batch.confirmed" if isinstance(request, ConfirmBatch) else "batch.canceled",
        cause=cause,
        sender=cause.principal or trigger.source,
        received_at=now,
        reason=plain(request.reason) if request.reason is not None else None,
        plan_digest=request.plan_digest if isinstance(request, ConfirmBatch) else None,
    )

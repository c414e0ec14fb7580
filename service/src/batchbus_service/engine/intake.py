"""Intake: takes triggers off the bus. Validate, one write, acknowledge; what cannot be used is parked or rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import HELD_SINCE, Bus, BusError, Consumer, Delivery, Message
from batchbus_events.catalog import CancelBatch, ConfirmBatch, CreateBatch, parse_trigger
from batchbus_events.event import Event, InvalidEvent, NewerSchema, decode
from batchbus_service.domain.early import MAX_EARLY, ChangeTrigger
from batchbus_service.domain.job import Job, plain
from batchbus_service.domain.moves import NotAllowed
from batchbus_service.domain.ports import NotStorable, StoreUnavailable
from batchbus_service.domain.requests import cause_of, from_bus
from batchbus_service.engine.dispatcher import Dispatcher
from batchbus_service.engine.submission import submit
from batchbus_service.journal import messages
from batchbus_service.journal.transitions import Conflict, Transitions, UnknownJob

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = ["Intake"]

_PREFETCH: Final = 64
_TRY_AGAIN: Final = 1.0
"""Seconds until a trigger on which intake broke is put back; the broker counts how often."""
_HELD_SECONDS: Final = 24 * 3600
"""How long a trigger of a newer version waits for a process that can read it, before it is parked."""
_ASK_AGAIN: Final = (0.05, 1.0)
_BACK_OFF: Final = (0.5, 10.0)


class _Closing(Exception):
    """The process shuts down: the delivery stays open, and goes back to the queue."""


class Intake:
    """One per process. Without a worker, jobs are persisted and wait for the workers of other processes.

    `early_seconds`: how long a confirmation or cancellation waits for its job to appear, as it may have overtaken it.
    `last_answers`: seconds for which `close` waits for triggers that are being handled.
    """

    def __init__(
        self,
        bus: Bus,
        transitions: Transitions,
        worker: Dispatcher | None,
        log: FilteringBoundLogger,
        *,
        early_seconds: float = 600.0,
        last_answers: float = 5.0,
    ) -> None:
        self._bus = bus
        self._transitions = transitions
        self._worker = worker
        self._log = log
        self._early_seconds = early_seconds
        self._last_answers = last_answers
        self._consumer: Consumer | None = None
        self._creating: dict[str, asyncio.Event] = {}
        """Jobs that are being made here: what follows close behind waits for that."""
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
            await self._park(delivery, str(error))
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
            refusal = await self._carried_out(trigger, request, delivery.message)
            if refusal:
                span.ended_as(refusal[0], failed=True)
                await self._reject(trigger, *refusal)
            await delivery.ack()

    async def _carried_out(
        self, trigger: Event, request: CreateBatch | ConfirmBatch | CancelBatch, message: Message
    ) -> tuple[str, str] | None:
        """Do what the trigger asks, however long the database takes. Returns a reason code and words if it cannot be."""
        pause, longest = _BACK_OFF
        while True:
            try:
                if isinstance(request, CreateBatch):
                    await self._create(trigger, request, message.user_id)
                else:
                    await self._change(
                        request.job_id, _change_of(trigger, request, message, self._transitions.clock.now())
                    )
                return None
            except Conflict as error:
                return "conflict", str(error)
            except UnknownJob as error:
                return "unknown_job", str(error)
            except NotAllowed as error:
                return "not_allowed", str(error)
            except NotStorable as error:
                return "not_allowed", str(error)
            except BusError as error:
                self._log.warning("intake_waits_for_the_broker", reason=str(error), seconds=pause)
                await self._rest(pause)
                pause = min(pause * 2, longest)
            except StoreUnavailable as error:
                self._log.warning("intake_waits_for_the_database", reason=str(error), seconds=pause)
                await self._hold_back(pause)
                pause = min(pause * 2, longest)

    async def _create(self, trigger: Event, request: CreateBatch, user_id: str | None) -> None:
        new = from_bus(trigger, request, user_id)
        made = self._creating.setdefault(new.id, asyncio.Event())
        try:
            await self._transitions.outbox.keep_up()
            await submit(self._transitions, self._worker, new, cause_of(trigger))
        finally:
            made.set()
            if self._creating.get(new.id) is made:
                del self._creating[new.id]

    async def _change(self, job_id: str, trigger: ChangeTrigger) -> None:
        def decide(job: Job, now: datetime) -> Job:
            return trigger.decide(self._transitions.decider, job, now)

        pause, longest = _ASK_AGAIN
        while True:
            if made := self._creating.get(job_id):
                await made.wait()
            try:
                job = await self._transitions.change_by_id(job_id, decide)
                if self._worker:
                    self._worker.offer(job)
                return
            except UnknownJob:
                kept = await self._transitions.keep_early(job_id, trigger, seconds=self._early_seconds)
            match kept:
                case "kept":
                    self._log.info("trigger_waits_for_its_job", trigger=trigger.type, job_id=job_id)
                    return
                case "full":
                    raise NotAllowed(f"{MAX_EARLY} triggers wait already for the batch job, which is not there")
                case "ended":
                    # Those that waited are being answered; nothing signals when that is done.
                    await self._rest(pause)
                    pause = min(pause * 2, longest)

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
            await self._park(delivery, f"{reason}. It was held for {_HELD_SECONDS // 3600} hours, and none has come")
            return
        self._log.warning("trigger_held", reason=reason)
        await self._until_taken(delivery.hold)

    async def _park(self, delivery: Delivery, reason: str) -> None:
        self._transitions.meter.parked()
        self._log.warning("message_parked", routing_key=delivery.message.routing_key, reason=reason)
        await self._published(topics.PARKED, messages.parked(delivery.message, reason, self._transitions.clock.now()))
        await delivery.ack()

    async def _reject(self, trigger: Event, code: str, words: str) -> None:
        self._transitions.meter.rejected(code)
        self._log.warning("trigger_rejected", trigger=trigger.type, job_id=trigger.subject, code=code, reason=words)
        await self._published(topics.EVENTS, messages.rejected(trigger, code, words, self._transitions.clock.now()))

    async def _published(self, exchange: str, message: Message) -> None:
        """Until the broker has confirmed it: only then may the trigger be acknowledged."""
        await self._until_taken(lambda: self._bus.publish(exchange, message))

    async def _until_taken(self, publish: Callable[[], Awaitable[None]]) -> None:
        pause, longest = _BACK_OFF
        while True:
            try:
                return await publish()
            except BusError as error:
                self._log.warning("intake_waits_for_the_broker", reason=str(error), seconds=pause)
                await self._rest(pause)
                pause = min(pause * 2, longest)

    async def _rest(self, seconds: float) -> None:
        """Raises `_Closing` if the process shuts down meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        if self._closing.is_set():
            raise _Closing


def _change_of(trigger: Event, request: ConfirmBatch | CancelBatch, message: Message, now: datetime) -> ChangeTrigger:
    return ChangeTrigger(
        type="batch.confirmed" if isinstance(request, ConfirmBatch) else "batch.canceled",
        cause=cause_of(trigger),
        sender=message.user_id or trigger.source,
        received_at=now,
        reason=plain(request.reason) if request.reason is not None else None,
    )

"""The one way a job changes: read, decide, write, hand the new events to the outbox.

Intake, the HTTP API, workers and the rescuer all change jobs through here, so that a version that moved, a
write whose answer was lost and a caller that was cancelled are dealt with in one place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from batchbus_service.domain.carried import carries
from batchbus_service.domain.early import MAX_OF_ONE_SENDER, ChangeTrigger, Kept, Placeholder, carried_out
from batchbus_service.domain.errors import Conflict, JobExists, NotAllowed, StoreUnavailable, UnknownJob
from batchbus_service.domain.job import Job, Writer, evolve
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob
from batchbus_service.domain.plans import REFUSED
from batchbus_service.domain.ports import Clock, JobStore
from batchbus_service.domain.requests import is_of_another
from batchbus_service.journal import messages
from batchbus_service.journal.outbox import Outbox
from batchbus_service.telemetry.meter import MEASURES_NOTHING, Meter
from batchbus_service.telemetry.tracing import TRACES_NOTHING, Tracer

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = ["Transitions", "Unsure"]

_WRITE_TRIES = 3
_COUNT_EVERY: Final = 5.0
_SENDERS: Final = 1000
"""The most senders that are kept in mind."""

T = TypeVar("T")
Decision = Callable[[Job, "datetime"], Job]
Unsure = tuple[Job, Job]
"""A write whose answer was lost, so that it may have arrived or not: the job before, and the job that was written."""


class Transitions:
    """One per process."""

    def __init__(
        self,
        store: JobStore,
        outbox: Outbox,
        clock: Clock,
        decider: Decider,
        log: FilteringBoundLogger,
        meter: Meter = MEASURES_NOTHING,
        tracer: Tracer = TRACES_NOTHING,
    ) -> None:
        self.store = store
        self.clock = clock
        self.decider = decider
        self.outbox = outbox
        self.meter = meter
        self.tracer = tracer
        self._log = log
        self._early: dict[str, tuple[float, int]] = {}
        """Of each sender: when the jobs were counted for which triggers wait, and how many there are."""

    async def create(self, request: NewJob, cause: Cause, *, claim_for: str | None = None) -> tuple[Job, bool]:
        """Persist a new job; for the worker `claim_for`, if one is named, in the same write.

        What was asked of the job before it was there is carried out with the same write, in the order of its arrival.
        Returns the job and whether it is new. The same request under the same id changes nothing.
        Raises: `Conflict`, `StoreUnavailable`, `NotStorable`; `BusError` if a refusal of an early trigger cannot be published.
        """
        job = self.decider.create(request, self.clock.now(), cause)
        written = self._claimed(job, claim_for)
        found = await _unbroken(self._insert(written))
        answered: set[str | None] = set()
        while isinstance(found, Placeholder):
            written = self._claimed(await self._after_early(job, found, answered), claim_for)
            filled = await _unbroken(self._answered(self.store.fill_placeholder(found, written), None, written))
            if filled:
                found = None
            else:  # other triggers have come, or those that waited were answered meanwhile
                written = self._claimed(job, claim_for)
                found = await _unbroken(self._insert(written))
        if found is None:
            self._wrote(None, written)
            return written, True
        if found.request_digest != request.request_digest or is_of_another(found, request):
            raise Conflict(job.id)
        return found, False

    async def keep_early(self, job_id: str, trigger: ChangeTrigger, *, seconds: float) -> Kept:
        """Have a trigger wait for its job for so long. Raises: `NotAllowed` if the sender has too many, `StoreUnavailable`."""
        wake_at = self.clock.now() + timedelta(seconds=seconds)
        full = await self._waiting_of(trigger.sender, wake_at) >= MAX_OF_ONE_SENDER
        # One more for a job that is waited for already may be a trigger that is delivered again, and is kept already.
        if full and await self.store.placeholder(job_id) is None:
            message = f"Triggers of {trigger.sender} for {MAX_OF_ONE_SENDER:,} jobs that are not there wait already"
            raise NotAllowed(message)
        return await self.store.keep_early(job_id, trigger, wake_at)

    async def change(
        self, job: Job, decide: Decision, *, by_owner: bool = False, unsure: list[Unsure] | None = None
    ) -> Job:
        """Write what `decide` makes of the job; of a newer version of it if `job` turns out to be old.

        `decide` may be called several times; what it raises passes through. It returns the same object for no change.
        `by_owner`: the caller holds the lease (see `JobStore.update`). `unsure`: writes of earlier tries whose answers were
        lost, and then that of this one. A caller that tries again passes them in, so that no write is decided twice.
        Raises: `UnknownJob`, `StoreUnavailable` (the change may or may not have been written), `NotStorable`.
        """
        unsure = [] if unsure is None else unsure
        # Not `storage.changing`: what is read again may carry a write of ours already, and is then not decided again.
        while (changed := await self.try_change(job, decide, by_owner=by_owner, unsure=unsure)) is None:
            job = await self.get(job.id)
            for known, decided in unsure:
                if carries(job, known, decided):
                    self._wrote(known, decided)
                    return decided
        return changed

    async def try_change(
        self,
        job: Job,
        decide: Decision,
        *,
        same_lease: bool = False,
        by_owner: bool = False,
        unsure: list[Unsure] | None = None,
    ) -> Job | None:
        """As `change`, but None if the job has moved on since it was read, or its lease was renewed (`same_lease`)."""
        known = evolve(job, published=self.outbox.published(job))
        decided = decide(known, self.clock.now())
        if decided is known:
            return job
        if len(decided.history) > len(known.history):
            decided = self._signed(decided)
        write = self.store.update(job, decided, same_lease=same_lease, by_owner=by_owner)
        try:
            if not await _unbroken(self._answered(write, job, decided)):
                return None
        except StoreUnavailable:
            if unsure is not None:
                unsure.append((known, decided))
            raise
        self._wrote(known, decided)
        return decided

    async def change_by_id(self, job_id: str, decide: Decision) -> Job:
        """As `change`, reading the job first."""
        return await self.change(await self.get(job_id), decide)

    async def get(self, job_id: str) -> Job:
        """Raises: `UnknownJob`, `StoreUnavailable`."""
        job = await self.store.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        return job

    async def _waiting_of(self, sender: str, until: datetime) -> int:
        """For how many jobs triggers of the sender wait: counted now and then, and counted on in between."""
        counted_at, number = self._early.get(sender, (float("-inf"), 0))
        if self.clock.monotonic() - counted_at > _COUNT_EVERY:
            if len(self._early) >= _SENDERS:
                self._early.clear()
            counted_at = self.clock.monotonic()
            since, up_to = self.clock.now(), MAX_OF_ONE_SENDER
            number = await self.store.early_of(sender, since=since, until=until, up_to=up_to)
        self._early[sender] = (counted_at, number + 1)
        return number

    def _claimed(self, job: Job, worker: str | None) -> Job:
        if worker and job.ready_at:
            job = self.decider.claim(job, worker, self.clock.now())
        return self._signed(job)

    async def _after_early(self, job: Job, placeholder: Placeholder, answered: set[str | None]) -> Job:
        """The new job after the triggers that wait for it. What cannot be carried out is refused, with an event, before it is forgotten.

        `answered` has those whose refusal is published already, and is added to: where more triggers come meanwhile, this is done
        again for all of them.
        """
        if placeholder.ended:
            await self.tell_unknown(placeholder, answered)
            return job
        job, refused = carried_out(self.decider, job, placeholder, self.clock.now())
        for trigger, message in refused:
            await self._publish_refusal_once(job.id, trigger, "not_allowed", message, answered)
        return job

    async def tell_unknown(self, placeholder: Placeholder, answered: set[str | None] | None = None) -> None:
        """Answer every trigger that waited in vain, but those that are `answered`. Raises `BusError`."""
        answered = set() if answered is None else answered
        message = str(UnknownJob(placeholder.id))
        for trigger in placeholder.triggers:
            await self._publish_refusal_once(placeholder.id, trigger, "unknown_job", message, answered)

    async def _publish_refusal_once(
        self, job_id: str, trigger: ChangeTrigger, code: str, message: str, answered: set[str | None]
    ) -> None:
        if trigger.cause.key not in answered:
            await self._publish_rejected(job_id, trigger, code, message)
            answered.add(trigger.cause.key)

    async def _publish_rejected(self, job_id: str, trigger: ChangeTrigger, code: str, message: str) -> None:
        self._note_rejected(trigger.type, job_id, code, message)
        await self.outbox.tell(messages.rejected(trigger.event(job_id), code, message, self.clock.now()))

    def _note_rejected(self, trigger: str, job_id: str, code: str, message: str) -> None:
        self.meter.rejected(code)
        self._log.warning("trigger_rejected", trigger=trigger, job_id=job_id, code=code, reason=message)

    def _signed(self, job: Job) -> Job:
        """Others leave it to this process to publish what it has written."""
        return evolve(job, writer=Writer(self.outbox.process, len(job.history)))

    async def _insert(self, job: Job) -> Job | Placeholder | None:
        """None once the job is there as written here; else what has its id."""
        unanswered = 0
        while True:
            try:
                await self.store.insert(job)
            except JobExists:
                existing = await self.store.get(job.id)
                if existing is None:
                    if (placeholder := await self.store.placeholder(job.id)) is not None:
                        return placeholder
                    continue  # a placeholder that has just been dropped: the id is free again
                if existing.history[0].id != job.history[0].id:
                    return existing
            except StoreUnavailable:
                unanswered += 1
                if unanswered == _WRITE_TRIES:
                    raise
                continue
            return None

    async def _answered(self, write: Coroutine[None, None, bool], old: Job | None, new: Job) -> bool:
        try:
            return await write
        except StoreUnavailable:
            # The answer was lost; the write may have happened all the same. The history knows.
            stored = await self.store.get(new.id)
            if stored is None:
                raise
            return stored.version >= new.version and carries(stored, old, new)

    def _wrote(self, old: Job | None, new: Job) -> None:
        written = len(new.history) - (len(old.history) if old else 0)
        self.outbox.hand_over(new, written=written, other=old.written_by if old else None)
        self.meter.wrote(old, new)
        for entry in new.history[len(new.history) - written :]:
            if isinstance(refused := entry.data.get(REFUSED), dict):
                self._note_rejected("batch.confirmed", new.id, NotAllowed.code, str(refused.get("message")))
            self._log.info(
                entry.type,
                job_id=new.id,
                job_type=new.type,
                attempt=new.bad_ends + 1,
                worker=new.lease.worker if new.lease else None,
                trace_id=entry.trace_id,
                sequence=entry.seq,
            )


async def _unbroken(write: Coroutine[None, None, T]) -> T:
    """Wait for a write to its end even if the caller is cancelled: the driver carries it out all the same."""
    task = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the caller has gone
        raise

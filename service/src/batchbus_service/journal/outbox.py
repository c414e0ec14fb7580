"""The outbox: publishes what a job's history has not published yet, and marks what the broker has confirmed.

It works beside the writes: the writer of a transition hands the job over and goes on. One job's
events go out one after the other, each with its confirm; different jobs side by side. The marks ride along with the
job's next write, or are flushed for many jobs in one bulk write. If this process dies, the job is due at its `wake_at`, and
the rescuer of any process hands the job to an outbox again; while it lives, the job is left to it, however slow it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.backoff import pauses
from batchbus_events.bus import BusError
from batchbus_events.tasks import end
from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.domain.job import HistoryEntry, Job, evolve
from batchbus_service.domain.lifecycle import Policy, due_at
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.ports import Clock, JobStore
from batchbus_service.domain.signal import Signal
from batchbus_service.journal import messages
from batchbus_service.journal.pending import Pending
from batchbus_service.journal.presence import Presence
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.meter import MEASURES_NOTHING, Meter

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from batchbus_events.bus import Bus, Message

__all__ = ["Outbox"]

_RIDE_ALONG: Final = 0.25
"""Seconds that the mark of a running job waits for a write of the run to ride along with."""
_ASK_AGAIN: Final = 0.02
_MARKING: Final = "marks of published events"
_MARKS_AT_A_TIME: Final = 50
"""In one bulk write, which is to be short beside the writes of the jobs that run."""
_MARKS_IN_TIME: Final = 100
"""So many marks may wait before new jobs do."""
_KEEP_UP_SECONDS: Final = 5.0
"""How long a new job waits for that at most."""
_WRITER_LIMIT: Final = timedelta(minutes=10)
"""How long a process that lives is trusted to publish what it wrote."""
_BACK_OFF: Final = (0.1, 30.0)
"""Seconds: the first and the longest pause after the broker refused."""


class Outbox(Lifetime):
    """One per process. `presence` has the name under which this process holds leases."""

    def __init__(
        self,
        bus: Bus,
        store: JobStore,
        clock: Clock,
        policy: Policy,
        presence: Presence,
        log: FilteringBoundLogger,
        meter: Meter = MEASURES_NOTHING,
        *,
        kept_for: Callable[[Job], float] = lambda job: 0.0,
        last_answers: float = 5.0,
        background: Background | None = None,
    ) -> None:
        """`kept_for`: seconds for which a job that waits for a slot is left to this process before others see it.

        `last_answers`: seconds for which `close` publishes and marks what is left.
        """
        self._last_answers = last_answers
        self._bus = bus
        self._store = store
        self._clock = clock
        self._policy = policy
        self._presence = presence
        self._log = log
        self._meter = meter
        self._background = background or Background(log)
        self._pending: dict[str, Pending] = {}
        self._marks: dict[str, Pending] = {}
        self._due = asyncio.Event()
        self._in_time = asyncio.Event()
        self._in_time.set()
        self._flusher: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._resume_at = 0.0
        self._refused: set[str] = set()
        """Jobs with an event that the broker has not taken when it was offered."""
        self.failure: str | None = None
        """Why nothing can be published at the moment, for `doctor`; None when all is well."""
        self._kept_for = kept_for
        self.settled: Signal[Sequence[Job]] = Signal()
        """Jobs whose events are all published and marked."""

    @property
    def process(self) -> str:
        """The name of this process."""
        return self._presence.name

    def hand_over(self, job: Job, *, written: int, other: str | None = None) -> None:
        """Publish what `job` has not published.

        The last `written` entries of its history were written here. Those before them that are new to the outbox were
        written by the process `other`, if it is known.
        """
        pending = self._pending.get(job.id)
        if pending is None:
            pending = self._pending[job.id] = Pending(job, job.published)
        if job.version >= pending.job.version:  # the rescuer may have read it before the last write
            pending.job = job
        pending.done = max(pending.done, job.published)
        own_from = len(job.history) - written + 1
        pending.own.update(range(own_from, len(job.history) + 1))
        for seq in range(pending.done + 1, own_from):
            # The process that is waited for stays the same when this one writes more of the job meanwhile.
            pending.others.setdefault(seq, other)
        if pending.publishing is None:
            pending.publishing = asyncio.create_task(self._publish_all(pending))

    def forget(self, job_id: str) -> None:
        """The job runs elsewhere now: what others wrote of it is for them to publish, and they learn what is out.

        What this process wrote stays with it: the others wait for that as long as it lives.
        """
        pending = self._pending.get(job_id)
        if pending is not None and pending.owes:
            pending.lost = pending.job
            return
        self._marks.pop(job_id, None)
        if pending is None:
            return
        del self._pending[job_id]
        if pending.publishing:
            pending.publishing.cancel()
            pending.publishing = None
        if pending.done > pending.job.published:
            self._mark(pending, pending.job)

    def published(self, job: Job) -> int:
        """How far the job's events are known to be confirmed: the mark that a write can take along."""
        pending = self._pending.get(job.id)
        return max(job.published, pending.done) if pending else job.published

    async def keep_up(self) -> bool:
        """Wait a little while so many marks wait for the database that new jobs would only make it worse.

        Returns whether they are down to few; a broker that is away is no reason to wait.
        """
        try:
            async with asyncio.timeout(_KEEP_UP_SECONDS):
                await self._in_time.wait()
        except TimeoutError:
            return False
        return True

    async def tell(self, message: Message) -> None:
        """Publish an event that stands in no history. Raises `BusError` unless the broker has confirmed it."""
        await self._bus.publish(topics.EVENTS, message)

    def expects(self, job: Job) -> bool:
        """Whether the process that wrote the job's unpublished events lives, and has time left to publish them."""
        if not job.unpublished or job.written_by is None:
            return False
        if job.written_by == self.process:
            # A write of this process whose answer was lost is in the database, and not here.
            pending = self._pending.get(job.id)
            return pending is not None and len(pending.job.history) >= len(job.history)
        return self._awaits(job.written_by, job.unpublished[0])

    @property
    def backlog(self) -> int:
        """Events that wait for the broker."""
        return sum(len(pending.job.history) - pending.done for pending in self._pending.values())

    async def start(self) -> None:
        self._flusher = self._background.start(_MARKING, self._flush_for_ever)

    async def close(self) -> None:
        """Publish and mark what is left, for a while; the rescuer finds the rest."""
        try:
            async with asyncio.timeout(self._last_answers):
                while tasks := [pending.publishing for pending in self._pending.values() if pending.publishing]:
                    await asyncio.wait(tasks)
                self._marks |= self._pending
                await self._flush()
        except (TimeoutError, StoreUnavailable):
            self._log.warning("events_left_for_the_rescuer", events=self.backlog)
        tasks = [pending.publishing for pending in self._pending.values() if pending.publishing]
        await end(*tasks, *([self._flusher] if self._flusher else []))

    # -- publishing ------------------------------------------------------------------------------------------------

    async def _publish_all(self, pending: Pending) -> None:
        try:
            while pending.done < len(pending.job.history):
                entry = pending.job.history[pending.done]
                if pending.may_be_out(entry) and await self._is_out(pending, entry):
                    continue
                if entry.seq in pending.own or await self._ours_to_publish(pending, entry):
                    await self._offer(pending, pending.ready_from(entry))
        except Exception as error:  # noqa: BLE001 - the operator gets to know, and the rescuer tries again
            self._log.error("events_not_published", job_id=pending.job.id, exc_info=error)
            self._pending.pop(pending.job.id, None)
            return
        finally:
            self._over(pending.job)
        pending.publishing = None
        if self._runs_here(pending):
            self._mark_later(_RIDE_ALONG, pending)
        elif pending.job.ready_at and (seconds := self._kept_for(pending.job)):
            self._mark_later(seconds, pending)
        else:
            self._mark(pending, pending.job)

    async def _offer(self, pending: Pending, entries: Sequence[HistoryEntry]) -> None:
        """Publish the entries back to back. Those that the broker does not confirm are left for another try, after a pause."""
        job = pending.job
        if (wait := self._resume_at - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait)
        offered: list[tuple[Message, HistoryEntry | None]] = []
        for entry in entries:
            if refusal := messages.refusal(job, entry):
                offered.append((refusal, None))
            offered.append((messages.lifecycle(job, entry), entry))
        confirmed, error = await self._bus.publish_all(topics.EVENTS, [message for message, _ in offered])
        now = self._clock.now()
        for _, published in offered[:confirmed]:
            if published is not None:
                self._meter.published((now - published.time).total_seconds())
                pending.done = max(pending.done, published.seq)
        if error is None:
            self._over(job)
        else:
            self._refused.add(job.id)
            self._back_off(error)

    def _over(self, job: Job) -> None:
        """What was refused of the job is out. Other events may get through all the while, so that says nothing."""
        self._refused.discard(job.id)
        if not self._refused:
            self._pause, self.failure = 0.0, None

    def _back_off(self, error: BusError) -> None:
        """The broker's trouble is everyone's: the whole outbox pauses, not one job."""
        now = asyncio.get_running_loop().time()
        if now < self._resume_at:
            return
        shortest, longest = _BACK_OFF
        self._pause = min(max(self._pause * 2, shortest), longest)
        self._resume_at = now + self._pause
        self.failure = str(error)
        self._log.warning("outbox_backs_off", seconds=self._pause, reason=str(error), events=self.backlog)

    async def _is_out(self, pending: Pending, entry: HistoryEntry) -> bool:
        """Whether another process has published the entry already, as far as the database knows."""
        with suppress(StoreUnavailable):
            if (stored := await self._store.get(pending.job.id)) is not None:
                pending.done = max(pending.done, stored.published)
        return pending.done >= entry.seq

    async def _ours_to_publish(self, pending: Pending, entry: HistoryEntry) -> bool:
        """Whether the process that wrote the entry has let its time pass; False once it has published it."""
        overdue = entry.time + self._policy.publish_grace
        waits = pauses(_ASK_AGAIN, 1.0)
        while entry.seq not in pending.own:
            try:
                stored = await self._store.get(pending.job.id)
                if stored and stored.published < pending.done:
                    # The writer of this entry may itself wait for the mark of those before it.
                    await self._store.settle([self._marked(pending)])
            except StoreUnavailable:
                stored = None
            if stored and stored.published >= entry.seq:
                pending.done = max(pending.done, stored.published)
                return False
            # Not before it is asked once: what is known here of a job that waited long is old.
            if self._clock.now() >= overdue and not self._awaits(pending.others.get(entry.seq), entry):
                return True
            # Nothing signals another process's mark but the database: ask again, less and less often.
            await asyncio.sleep(next(waits))
        return True

    def _awaits(self, writer: str | None, entry: HistoryEntry) -> bool:
        """Whether that other process is still trusted to publish the entry."""
        if writer is None or writer == self.process:
            return False
        return self._clock.now() < entry.time + _WRITER_LIMIT and self._presence.lives(writer)

    # -- marking ---------------------------------------------------------------------------------------------------

    def _mark_later(self, seconds: float, pending: Pending) -> None:
        asyncio.get_running_loop().call_later(seconds, self._mark, pending, pending.job)

    def _mark(self, pending: Pending, job: Job) -> None:
        """Have the mark of `job` written, unless a newer write of the job has taken it along."""
        if pending.job is job and pending.publishing is None:
            self._marks[job.id] = pending
            self._due.set()
            if len(self._marks) > _MARKS_IN_TIME:
                self._in_time.clear()

    def _runs_here(self, pending: Pending) -> bool:
        lease = pending.job.lease
        return pending.job is not pending.lost and lease is not None and lease.worker == self.process

    async def _flush_for_ever(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._flush()
            except StoreUnavailable as error:
                self._log.warning("marks_wait_for_the_database", reason=str(error))
                await asyncio.sleep(1.0)
                self._due.set()
            except Exception as error:  # noqa: BLE001 - the operator gets to know; other marks have to be written
                self._background.broke(_MARKING, error)

    async def _flush(self) -> None:
        """Bulk writes, until no mark is due any more."""
        while self._marks:
            due = {job_id: self._marks.pop(job_id) for job_id in list(islice(self._marks, _MARKS_AT_A_TIME))}
            # One that publishes again is marked when it has done that.
            ready = [pending for pending in due.values() if pending.publishing is None]
            try:
                await self._settle_all(ready)
            except StoreUnavailable:
                self._marks = due | self._marks
                raise
            if len(self._marks) <= _MARKS_IN_TIME:
                self._in_time.set()

    def _marked(self, pending: Pending) -> Job:
        """The job with its mark, and the `wake_at` that goes with that."""
        job = evolve(pending.job, published=pending.done)
        return evolve(job, wake_at=due_at(job, self._clock.now(), self._policy))

    async def _settle_all(self, marked: Sequence[Pending]) -> None:
        """In one write. If that cannot be encoded, in one for each: a bad job is dropped, and left to the rescuer."""
        try:
            await self._settle(marked)
            return
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the bad job is named below
            self._log.debug("marks_written_one_by_one", reason=str(error))
        for pending in marked:
            try:
                await self._settle([pending])
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the operator gets to know
                self._log.error("mark_not_written", job_id=pending.job.id, exc_info=error)
                self._drop(pending)

    def _drop(self, pending: Pending) -> None:
        """Unless the job has been handed over anew meanwhile."""
        if self._pending.get(pending.job.id) is pending:
            del self._pending[pending.job.id]

    async def _settle(self, marked: Sequence[Pending]) -> None:
        if not marked:
            return
        jobs = [self._marked(pending) for pending in marked]
        await self._store.settle(jobs)
        for pending, job in zip(marked, jobs, strict=True):
            if not self._runs_here(pending) and pending.job.version == job.version:
                self._drop(pending)
        self.settled.send(jobs)

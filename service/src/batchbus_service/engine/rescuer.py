"""The rescuer looks after jobs whose `wake_at` has passed, whichever process should have done that before.

Such jobs have a lease that ended, or events that their writer did not publish, or wait too long for a confirmation.
Every process may run a rescuer: `wake_at` is moved, or the change made, by compare-and-set, so that only one acts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from batchbus_events.bus import Bus, BusError
from batchbus_service.domain.due import waits_in_vain
from batchbus_service.domain.early import Placeholder
from batchbus_service.domain.errors import NotAllowed, StoreUnavailable
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import due_at
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.signal import Signal
from batchbus_service.engine.unrenewed import EndedLeases, UnrenewedLeases
from batchbus_service.journal.transitions import Transitions
from batchbus_service.telemetry.background import Background, Periodic

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = ["Rescuer", "Serves"]

Serves = Callable[[str], Awaitable[bool]]
"""Whether some process runs jobs of a batch type, such as `Presence.serves`. May raise `StoreUnavailable`."""

_ROUND_EVERY: Final = 1.0
_WANT: Final = 100
_AHEAD: Final = timedelta(seconds=3)
"""How long before a lease ends its worker is missed; with short leases it is half of one, since a worker renews earlier."""
_SPREAD: Final = (0.01, 0.1)
"""Seconds after the end of a lease in which the processes look, not all of them at the same moment."""
_LOOK_AHEAD_EVERY: Final = 0.5
_LOOK_AHEAD_SHARE: Final = 0.1
"""Which part of its time a process spends on looking ahead, at most: the database may be slow, and the leases many."""
_RUNNING: Final = 1000
"""How many leases are looked at then."""
_NAME: Final = "rescuer"
_ROUGHLY: Final = 20.0
"""Seconds by which the time may be wrong for early triggers to be given up: more than any answer in time leaves open."""
_OUTAGE: Final = timedelta(seconds=3)
"""How long broker or database have to be away for an outage."""
_ANSWER_WITHIN: Final = timedelta(seconds=30)
"""How long the process that ends a placeholder has to answer its triggers, before another does."""


class Rescuer(Lifetime):
    """One per process."""

    def __init__(
        self,
        transitions: Transitions,
        bus: Bus,
        log: FilteringBoundLogger,
        *,
        early_seconds: float = 600.0,
        serves: Serves | None = None,
        background: Background | None = None,
    ) -> None:
        self._transitions = transitions
        self._bus = bus
        self._early = timedelta(seconds=early_seconds)
        self._serves = serves
        self._failing_since: datetime | None = None
        self._outage_until = transitions.clock.now()
        """When broker or database were away last. The time before the start of this process is unknown, and counts."""
        self.missed: Signal[Sequence[Job]] = Signal()
        """Jobs whose leases end in a moment, since their worker has not renewed them when it should have."""
        lease = transitions.decider.policy.lease
        self._ahead = min(_AHEAD, lease / 2)
        self._next_end: datetime | None = None
        """When the next lease ends that was missed."""
        self._unrenewed = UnrenewedLeases(lease)
        self._ended = EndedLeases()
        self._look_ahead_at = float("-inf")
        self._in_doubt = False
        """Whether a lease that is over could not be judged by the clock: the database has answered too slowly."""
        self._log = log
        # The times are in the database: there is nothing to wait on but the next round.
        self._rounds = Periodic(
            background or Background(log),
            _NAME,
            self._walk,
            every=_ROUND_EVERY,
            jitter=0.2,
            within=self._until_next,
        )

    async def start(self) -> None:
        await self._rounds.start()

    async def close(self) -> None:
        await self._rounds.close()

    async def round(self) -> int:
        """Look after the jobs and placeholders that are due. Returns how many of them need nothing more for now."""
        now, self._next_end = self._transitions.clock.now(), None
        await self._look_ahead()
        soon = await self._transitions.store.due(until=now + self._ahead, want=_WANT)
        due = self._due_now(soon, now)
        self._ended.note((each for each in due if isinstance(each, Job)), now, all_of_them=len(soon) < _WANT)
        self._note_whether_well(self._bus.connected and not self._transitions.outbox.failure)
        self._in_doubt = False
        done = await self._attend_all([each for each in due if isinstance(each, Job)])
        return done + await self._end_all([each for each in due if isinstance(each, Placeholder)])

    def _due_now(self, soon: list[Job | Placeholder], now: datetime) -> list[Job | Placeholder]:
        """Those of them that are due. Of the others, leases are noted that their workers should have renewed by now."""
        due = [each for each in soon if each.wake_at and each.wake_at <= now]
        missed = [
            (each.lease.expires_at, each)
            for each in soon
            if isinstance(each, Job) and each.lease and now < each.lease.expires_at <= now + self._ahead
        ]
        self._next_end = min((ends for ends, _ in missed), default=None)
        if missed:
            self.missed.send([job for _, job in missed])
        return due

    def _until_next(self) -> float:
        """Seconds until something is to be done that is known already."""
        clock = self._transitions.clock
        ends = (self._next_end - clock.now()).total_seconds() if self._next_end else math.inf
        if self._judges_by_clock():
            return max(0.0, ends) + random.uniform(*_SPREAD)
        seen_unrenewed = self._unrenewed.next_end(clock.monotonic()) + random.uniform(*_SPREAD)
        return min(seen_unrenewed, max(_SPREAD[1], self._look_ahead_at - clock.monotonic()))

    def _judges_by_clock(self) -> bool:
        return self._transitions.clock.trusted() and not self._in_doubt

    async def _look_ahead(self) -> None:
        """While clocks cannot be trusted, leases are judged by what is seen of them, so they are looked at in time."""
        transitions, clock = self._transitions, self._transitions.clock
        if self._judges_by_clock():
            self._unrenewed.forget()
            return
        began = clock.monotonic()
        if began < self._look_ahead_at:
            return
        leased = await transitions.store.due(until=clock.now() + transitions.decider.policy.lease, want=_RUNNING)
        # The answer may have taken its time, in which a lease was renewed: it was seen now, and no earlier.
        seen = clock.monotonic()
        self._look_ahead_at = seen + max(_LOOK_AHEAD_EVERY, (seen - began) / _LOOK_AHEAD_SHARE)
        self._unrenewed.look_at((each for each in leased if isinstance(each, Job)), seen)

    async def _attend_all(self, due: list[Job]) -> int:
        overdue = await self._without_expected(due)
        done = len(due) - len(overdue)
        for job in overdue:
            with self._going_on(job.id):
                done += await self._attend(await self._looked_for(job))
        return done

    async def _end_all(self, due: list[Placeholder]) -> int:
        done, reached = 0, self._bus.connected
        # How exact that is says little beside minutes. A database that is always slow gives no better answer.
        within = max(_ROUGHLY, self._early.total_seconds() / 10)
        if due and not await self._transitions.clock.sure(within=within):
            # A clock that was set does not tell how long they have waited, so their time begins again.
            self._outage_until = self._transitions.clock.now()
        for placeholder in due:
            with self._going_on(placeholder.id):
                try:
                    await (self._end(placeholder) if reached else self._put_off(placeholder))
                except BusError as error:
                    self._log.warning("triggers_not_answered", job_id=placeholder.id, reason=str(error))
                    reached = False  # what cannot be published for one cannot for the next, and takes its time to fail
                done += 1
        return done

    @contextmanager
    def _going_on(self, job_id: str) -> Iterator[None]:
        """An error of one job keeps no other from being looked after."""
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the operator gets to know
            self._log.error("overdue_job_left", job_id=job_id, exc_info=error)

    def _note_whether_well(self, well: bool) -> None:
        """A call that fails now and then is no outage: that lasts for some rounds."""
        now = self._transitions.clock.now()
        if not well:
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= _OUTAGE:
                self._outage_until = now
        else:
            self._failing_since = None

    async def _walk(self) -> None:
        try:
            while await self.round() >= _WANT:
                pass
        except StoreUnavailable as error:
            self._log.warning("rescuer_interrupted", reason=str(error))
            self._note_whether_well(False)

    async def _without_expected(self, due: list[Job]) -> list[Job]:
        """Put off those that are due only for events that their writer, which lives, will publish."""
        transitions, now = self._transitions, self._transitions.clock.now()
        policy = transitions.decider.policy
        put_off = [
            job for job in due if transitions.outbox.expects(job) and transitions.decider.overdue(job, now) is job
        ]
        if not put_off:
            return due
        later = [due_at(job, now + policy.publish_grace / 2, policy) for job in put_off]
        await transitions.store.put_off(put_off, later)
        ids = {job.id for job in put_off}
        return [job for job in due if job.id not in ids]

    async def _end(self, placeholder: Placeholder) -> None:
        """Triggers that waited for their job long enough are answered, then forgotten. Raises `BusError`."""
        transitions, now = self._transitions, self._transitions.clock.now()
        # While broker or database were away, the job could not come: its time begins again. So it does if it is said
        # to wait since a time that has not come yet: the clock was set back meanwhile.
        later = self._outage_until + self._early
        waited_undisturbed = self._outage_until <= placeholder.since <= now
        if not placeholder.ended and not waited_undisturbed and later > now:
            await transitions.store.move_placeholder(placeholder, wake_at=later, ended=False)
            return
        ended = await transitions.store.move_placeholder(placeholder, wake_at=now + _ANSWER_WITHIN, ended=True)
        if ended is not None:
            await transitions.tell_unknown(ended)
            await transitions.store.drop_placeholder(ended)

    async def _put_off(self, placeholder: Placeholder) -> None:
        """Its senders cannot be answered at the moment, and what else is due must not wait behind this one."""
        now = self._transitions.clock.now()
        outage = self._failing_since is not None and now - self._failing_since >= _OUTAGE
        later = now + (self._early if outage and not placeholder.ended else _ANSWER_WITHIN)
        await self._transitions.store.move_placeholder(placeholder, wake_at=later, ended=placeholder.ended)

    async def _looked_for(self, job: Job) -> Job:
        """Say that no process serves the job's type, if one should have come by now and none has. Returns the job after it."""
        transitions, now = self._transitions, self._transitions.clock.now()
        if self._serves is None or not waits_in_vain(job, now):
            return job
        served = await self._serves(job.type)
        changed = await transitions.try_change(job, partial(transitions.decider.expected, served=served))
        if changed is not None and not served:
            self._log.warning("batch_type_not_served", job_id=job.id, job_type=job.type)
        return changed or job

    async def _may_judge(self, job: Job) -> bool:
        """Whether what another process has promised of this job has not been kept, by a clock that can be trusted."""
        clock, unrenewed = self._transitions.clock, self._unrenewed
        if await clock.sure() and not self._ended.came_ended(job):
            return True
        self._in_doubt = True
        unrenewed.look_at([job], clock.monotonic())
        return unrenewed.has_run_out(job, clock.monotonic())

    async def _attend(self, job: Job) -> bool:
        """Returns whether it is not due any more, for now."""
        transitions = self._transitions
        due = transitions.decider.overdue(job, transitions.clock.now()) is not job
        if due and not await self._may_judge(job):
            return False
        try:
            changed = await transitions.try_change(job, transitions.decider.overdue, same_lease=True)
        except NotAllowed as error:
            self._log.warning("overdue_job_left", job_id=job.id, reason=str(error))
            return False
        if changed is not job:
            if changed:
                transitions.meter.rescued(job.type)
                self._log.warning("job_rescued", job_id=job.id, job_type=job.type, status=changed.status.value)
                # A worker that let its lease run out will not publish the events that it wrote either.
                transitions.outbox.hand_over(changed, written=len(changed.unpublished))
            return True
        now = transitions.clock.now()
        policy = transitions.decider.policy
        moved = await transitions.store.move_wake_at(job, due_at(job, now, policy))
        late = job.unpublished and job.unpublished[0].time + policy.publish_grace <= now
        if moved and late and transitions.outbox.failure is None:
            self._log.warning("events_found_unpublished", job_id=job.id, events=len(job.unpublished))
            transitions.outbox.hand_over(job, written=0, other=job.written_by)
        return True

"""The worker: a number of slots, the jobs that run in them, and the search for waiting jobs when a slot is free."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from batchbus_events import topics
from batchbus_events.bus import Bus, Consumer, Delivery
from batchbus_service.domain.errors import NotAllowed, StoreUnavailable
from batchbus_service.domain.job import Job, Status, work_queue
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.engine.fair_queue import FairQueue
from batchbus_service.execution.attempt import Attempt
from batchbus_service.execution.heartbeat import RunLimits
from batchbus_service.execution.slots import Permit, Slots
from batchbus_service.journal import messages
from batchbus_service.journal.notifier import Notifier
from batchbus_service.journal.transitions import Transitions
from batchbus_service.telemetry.background import Background
from batchbus_strategies import Phase
from batchbus_strategies.registry import Strategy

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = ["Dispatcher", "kept_for"]

_LOOKING: Final = "looking for work"
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks for waiting jobs without a notification."""
_ASK_EACH_FOR: Final = 10.0
"""Seconds for which jobs that wait, perhaps for later, make it vain to ask for all suspects at once."""
_WANT: Final = 32
"""Waiting jobs read at a time."""
_KEPT: Final = 64
"""Jobs that this worker keeps in mind: those made here are taken without reading them back."""
_OTHERS_SHARE: Final = 0.1
_PERMIT_SECONDS: Final = 0.1
"""Seconds that a new job may wait for a slot before it is written without one."""
_KEPT_FOR: Final = 0.2
"""Seconds for which they are its own, while its slots turn over that fast."""
_PHASES: Final[tuple[Phase, ...]] = ("process", "pre_process")


def kept_for(slots: Slots, types: Collection[str]) -> Callable[[Job], float]:
    """For how many seconds the outbox of a worker leaves a job that waits for a slot to that worker alone.

    A job that the worker takes in a moment spares the writes that tell the others of it.
    """

    def seconds(job: Job) -> float:
        return _KEPT_FOR if job.type in types and slots.frees_within(job.phase, _KEPT_FOR) else 0.0

    return seconds


class Dispatcher(Lifetime):
    """One per process. It serves the batch types of `strategies`."""

    def __init__(
        self,
        worker_id: str,
        transitions: Transitions,
        bus: Bus,
        slots: Slots,
        limits: RunLimits,
        attempt: Callable[[Job, Strategy, Permit, FilteringBoundLogger], Attempt],
        strategies: Callable[[str], Strategy | None],
        types: Collection[str],
        notifier: Notifier,
        log: FilteringBoundLogger,
        *,
        background: Background | None = None,
    ) -> None:
        """`worker_id`: the name under which leases are held. `attempt` begins a run of a job that has been claimed."""
        self.id = worker_id
        self._transitions = transitions
        self._bus = bus
        self._slots = slots
        self._limits = limits
        self._attempt = attempt
        self._strategies = strategies
        self._types = tuple(types)
        self._notifier = notifier
        self._log = log
        self._background = background or Background(log)
        self._runs: dict[str, Attempt] = {}
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._found: dict[Phase, FairQueue] = {phase: FairQueue(_KEPT) for phase in _PHASES}
        self._busy_queues: set[str] = set()
        """Work queues in which jobs are known to wait."""
        self._suspects: set[str] = set()
        """Work queues that are looked into without a notification."""
        self._others_at = 0.0
        """When jobs of other owners may be looked for again, on the monotonic clock."""
        self._ask_each_until = 0.0
        """Until then, suspects are looked into one by one."""
        self._look_now = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        self._interrupts: Consumer | None = None
        self._closing = False
        self._slots.freed.connect(self._slot_is_free)
        self._transitions.outbox.settled.connect(self._events_are_out)

    # -- for intake ------------------------------------------------------------------------------------------------

    async def permit_for(self, job_type: str, owner: str) -> Permit | None:
        """A slot to pre-process a new job of this type and owner at once; None if there is none, or if others wait for it.

        A slot that is free in a moment is waited for: a job that is written without one costs two writes more.
        """
        if self._closing or job_type not in self._types:
            return None
        if self._found["pre_process"] or work_queue("pre_process", job_type) in self._busy_queues:
            return None
        return await self._slots.take_within("pre_process", owner, _PERMIT_SECONDS)

    def offer(self, job: Job) -> None:
        """A job that this process wrote waits for a slot: it can be claimed here without being read back."""
        if job.ready_at is None:
            return
        if job.type not in self._types:
            self._log.warning("job_waits_for_another_worker", job_id=job.id, job_type=job.type)
            return
        if job.ready_at <= self._transitions.clock.now():
            self._found[job.phase].add(job)
            self._slots.want(job.owner)
            if self._slots.free(job.phase):
                self._look_now.set()

    def take(self, job: Job, permit: Permit) -> None:
        """Run a job that has been claimed for this worker."""
        strategy = self._strategies(job.type)
        assert strategy is not None, job.type
        log = self._log.bind(
            job_id=job.id, job_type=job.type, attempt=job.bad_ends + 1, worker=self.id, trace_id=job.history[0].trace_id
        )
        run = self._attempt(job, strategy, permit, log)
        if self._closing:
            run.interrupt("released")
        self._runs[job.id] = run
        task = asyncio.create_task(run.carry_out(), name=job.id)
        self._tasks[task] = run
        task.add_done_callback(self._ended)

    # -- its life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._interrupts = await self._bus.consume(topics.worker_queue(self.id), self._interrupted, prefetch=100)
        self._looker = self._background.start(_LOOKING, self._keep_looking)

    async def close(self) -> None:
        """Take no more jobs, have the running ones stop at their next chunk, and give them back."""
        self._closing = True
        self._slots.close()
        self._look_now.set()
        for run in self._tasks.values():
            run.interrupt("released")
        if self._tasks:
            self._log.info("worker_stopping", jobs=len(self._tasks))
        try:
            limits = self._limits
            async with asyncio.timeout(2 * limits.cancel_grace + limits.last_answers):
                if self._looker:
                    await self._looker  # not cancelled: a claim that is on its way would be left to its lease
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            self._log.warning("jobs_left_to_their_leases", jobs=len(self._tasks))
        if self._interrupts:
            await self._interrupts.close()

    def could_take(self, jobs: Iterable[Job]) -> int:
        """How many of the jobs have to run on, and have a type that is served here, and a slot that is free."""
        if self._closing:
            return 0
        phases = Counter(job.phase for job in jobs if job.type in self._types and not job.terminal)
        return sum(min(count, self._slots.free(phase)) for phase, count in phases.items())

    def serves(self, job_type: str) -> bool:
        return job_type in self._types

    @property
    def running(self) -> int:
        return len(self._runs)

    def _ended(self, task: asyncio.Task[None]) -> None:
        run = self._tasks.pop(task)
        if self._runs.get(run.job.id) is run:
            del self._runs[run.job.id]
        self.offer(run.job)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("run_broke", job_id=run.job.id, exc_info=error)

    # -- signals ---------------------------------------------------------------------------------------------------

    async def _interrupted(self, delivery: Delivery) -> None:
        """A job was canceled, or jobs wait in some queues."""
        key = delivery.message.routing_key
        if key.startswith("batch.canceled."):
            if run := self._runs.get(key.rpartition(".")[2]):
                await self._look_whether_canceled(run)
        else:
            try:
                self.notice(messages.queues_named(delivery.message))
            except (ValueError, KeyError, TypeError):
                self._log.warning("strange_notification", routing_key=key)
        await delivery.ack()

    async def _look_whether_canceled(self, run: Attempt) -> None:
        """The event may be an old one: of a job that was retried since, or published again by a replay."""
        try:
            stored = await self._transitions.store.get(run.job.id)
        except StoreUnavailable:
            return  # the heartbeat looks, too
        if stored and stored.status is Status.CANCELED:
            run.interrupt("canceled")

    def notice(self, queues: Iterable[str]) -> None:
        """Jobs wait in these queues."""
        ours = {work_queue(phase, job_type) for phase in _PHASES for job_type in self._types}
        if fresh := ours.intersection(queues):
            self._busy_queues |= fresh
            self._look_now.set()

    def _events_are_out(self, jobs: Iterable[Job]) -> None:
        """Jobs that wait are there for everyone once their events are out."""
        waiting = [job for job in jobs if job.ready_at]
        for job in waiting:
            self._found[job.phase].refresh(job)  # a claim of it need not ask what is out
        queues = {work_queue(job.phase, job.type) for job in waiting}
        if queues:
            self.notice(queues)
            self._notifier.notify(queues)

    def _slot_is_free(self, phase: Phase) -> None:
        if self._found[phase] or self._busy_queues or self._suspects:
            self._look_now.set()

    # -- looking for work ------------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        look_everywhere_at = loop.time()
        while not self._closing:
            if loop.time() >= look_everywhere_at:
                look_everywhere_at = loop.time() + _LOOK_EVERY * random.uniform(0.8, 1.2)
                self._suspects = {work_queue(phase, job_type) for phase in _PHASES for job_type in self._types}
            try:
                for phase in _PHASES:
                    await self._fill(phase)
            except StoreUnavailable as error:
                self._log.warning("look_failed", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the operator gets to know; the worker has to go on looking
                self._background.broke(_LOOKING, error)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_everywhere_at):
                    await self._look_now.wait()
            self._look_now.clear()

    async def _fill(self, phase: Phase) -> None:
        """Give every free slot of the phase a waiting job, as long as there are any."""
        while self._slots.free(phase) and not self._closing:
            if not self._found[phase] and not await self._search(phase):
                return
            job = self._found[phase].take(lambda owner: self._slots.may(phase, owner))
            if job is None:  # those whose jobs are found have their part of the slots
                if not await self._search_others(phase):
                    return
                continue
            if (permit := self._slots.take(phase, job.owner)) is None:
                self._found[phase].put_back(job)
                return
            claimed = None
            try:
                claimed = await self._claim(job)
            finally:
                if claimed is None:
                    permit.release()
            if claimed:
                self.take(claimed, permit)

    async def _search(self, phase: Phase) -> bool:
        """Read some of the oldest waiting jobs of every work queue in which there may be any."""
        now = self._transitions.clock.now()
        found: list[Job] = []
        crowded: dict[str, Set[str | None]] = {}
        await self._rule_out(phase)
        for job_type in self._types:
            name = work_queue(phase, job_type)
            if name not in self._busy_queues | self._suspects:
                continue
            waiting = await self._transitions.store.waiting(phase, job_type, until=now, want=_WANT)
            self._suspects.discard(name)
            if waiting:
                self._busy_queues.add(name)
            else:
                self._busy_queues.discard(name)
            if len(waiting) >= _WANT:
                crowded[job_type] = {job.counted_for for job in waiting}
            found += (job for job in waiting if self._is_out(job, now))
        found += (job for job in await self._of_others(phase, crowded) if self._is_out(job, now))
        # In any order: two workers that read the same jobs should not both begin with the oldest.
        random.shuffle(found)
        self._found[phase].extend(found)
        return bool(found)

    async def _search_others(self, phase: Phase) -> bool:
        """Look for jobs of those who have none among those that are found. Returns whether there are any."""
        kept = self._found[phase]
        owners, before = {job.counted_for for job in kept}, len(kept.owners)
        busy = [job_type for job_type in self._types if work_queue(phase, job_type) in self._busy_queues]
        found = await self._of_others(phase, dict.fromkeys(busy, owners))
        now = self._transitions.clock.now()
        kept.extend(job for job in found if self._is_out(job, now))
        return len(kept.owners) > before

    async def _of_others(self, phase: Phase, owners: Mapping[str, Set[str | None]]) -> list[Job]:
        """Jobs of those who would wait for all that somebody else has queued before them. `owners`: who that is, by batch type.

        It reads past all that these have, so it takes no more than a tenth of the time.
        """
        clock, store = self._transitions.clock, self._transitions.store
        began = clock.monotonic()
        if not owners or began < self._others_at:
            return []
        found: list[Job] = []
        for job_type, those in owners.items():
            found += await store.waiting_of_others(phase, job_type, those, until=clock.now(), want=_WANT)
        ended = clock.monotonic()
        self._others_at = ended + (ended - began) / _OTHERS_SHARE
        return found

    async def _rule_out(self, phase: Phase) -> None:
        """Nearly always nothing waits in any work queue that is only suspected: one question for all of them."""
        suspects = {work_queue(phase, job_type) for job_type in self._types} & (self._suspects - self._busy_queues)
        loop = asyncio.get_running_loop()
        if not suspects or loop.time() < self._ask_each_until:
            return
        if await self._transitions.store.any_waiting(suspects):
            self._ask_each_until = loop.time() + _ASK_EACH_FOR
        else:
            self._suspects -= suspects

    async def _claim(self, job: Job) -> Job | None:
        """None if another worker was faster, or the job is not to be had any more."""

        def decide(known: Job, now: datetime) -> Job:
            return self._transitions.decider.claim(known, self.id, now)

        try:
            claimed = await self._transitions.try_change(job, decide)
        except NotAllowed:
            return None
        # Of two claims by one worker the second, whose answer is lost, cannot be distinguished from the first.
        run = self._runs.get(job.id)
        return None if claimed and run and run.job.fence >= claimed.fence else claimed

    def _is_out(self, job: Job, now: datetime) -> bool:
        """Whether the job's events are all published, or their writer has let its time pass: then they come with the job.

        A job that is claimed before that would have its events published twice.
        """
        if job.published == len(job.history):
            return True
        return job.wake_at is not None and job.wake_at <= now and not self._transitions.outbox.expects(job)

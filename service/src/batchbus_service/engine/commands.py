"""The commands: create, confirm, cancel, retry a job and check it again. The bus and the HTTP API carry all of them out here.

Intake and the routes translate: a trigger or a request into a command, an error into a rejection or a status. What they
do differently on purpose stands in `BUS` and `HTTP`, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from batchbus_events.backoff import pauses
from batchbus_service.access.quota import Quota
from batchbus_service.domain.bus_rules import counted_for, owner_of
from batchbus_service.domain.early import MAX_EARLY, ChangeTrigger
from batchbus_service.domain.errors import (
    Behind,
    Conflict,
    NotAllowed,
    TooManyJobs,
    UnknownJob,
    UnknownType,
    UnservedType,
)
from batchbus_service.domain.instants import to_ms
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_service.domain.requests import BusRequest, is_fresh, is_of_another
from batchbus_service.engine.dispatcher import Dispatcher
from batchbus_service.engine.rescuer import Serves
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.preparation import prepare
from batchbus_service.journal.transitions import Transitions
from batchbus_strategies import Draft, Json
from batchbus_strategies.registry import Strategy

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

__all__ = [
    "BUS",
    "HTTP",
    "Commands",
    "Door",
    "Preparation",
]

_ASK_AGAIN: Final = (0.05, 1.0)
"""Seconds: the first and the longest pause while the triggers of a placeholder are being answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One of the two ways in. The fields are all the differences there are; the tests of both take them from here."""

    early_confirmation: Literal["remembered", "refused"]
    """A confirmation before the preview has ended."""
    unknown_job: Literal["kept", "refused"]
    """A confirmation or cancellation of a job that is not there: a trigger may have overtaken its `batch.created`."""
    unknown_type: Literal["waits", "refused"]
    """A job of a type that no strategy of this process serves."""
    prepare: Literal["at the first run", "before the job exists"]
    """When the strategy's `prepare` is called. Its refusal is `batch.failed`, or an answer and no job."""
    behind: Literal["waits", "refused"]
    """A new job while the database is behind with marks, after 5 s: it is written all the same, or refused."""
    repeated: Literal["known", "new"]
    """Whether a command that comes twice is known by its id. A second confirmation that is not known is refused."""
    retry: bool
    """Whether a job can be retried: people do that, and other services do not."""
    check_again: bool
    """Whether a job can be checked again, with the same file or another: the same."""


BUS: Final = Door(
    early_confirmation="remembered",
    unknown_job="kept",
    unknown_type="waits",
    prepare="at the first run",
    behind="waits",
    repeated="known",
    retry=False,
    check_again=False,
)
HTTP: Final = Door(
    early_confirmation="refused",  # as Medusa does
    unknown_job="refused",
    unknown_type="refused",  # as Medusa does
    prepare="before the job exists",  # as Medusa does: the answer is what it has made of the request
    behind="refused",
    repeated="new",
    retry=True,
    check_again=True,
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What `Commands.prepare` needs: the strategies of this process, and where they are executed."""

    strategies: Callable[[str], Strategy | None]
    executor: StrategyExecutor


class Commands:
    """One for each door of a process. Without a worker, jobs wait for the workers of other processes."""

    def __init__(
        self,
        door: Door,
        transitions: Transitions,
        worker: Dispatcher | None,
        log: FilteringBoundLogger,
        *,
        preparation: Preparation | None = None,
        early_seconds: float = 600.0,
        serves: Serves | None = None,
        unfinished: Quota | None = None,
    ) -> None:
        """`preparation`: for a door that prepares jobs. `early_seconds`: how long a trigger waits for its job.

        `serves`: without it every batch type counts as served. `unfinished`: how many jobs that have not ended each user and
        service may have; without it, any number.
        """
        self._door = door
        self._transitions = transitions
        self._worker = worker
        self._log = log
        self._preparation = preparation
        self._early_seconds = early_seconds
        self._serves = serves
        self._unfinished = unfinished
        self._creating: dict[str, asyncio.Event] = {}
        """Jobs that are being created here: commands that follow closely wait for them."""

    # -- create ----------------------------------------------------------------------------------------------------

    async def made_before(self, request: NewJob) -> Job | None:
        """The job that the same request has made, if there is one.

        Raises: `Conflict` if another request has made it, `StoreUnavailable`.
        """
        job = await self._transitions.store.get(request.id)
        if job is not None and job.request_digest != request.request_digest:
            raise Conflict(job.id)
        return job

    async def prepare(self, asked: Draft, created_by: str) -> Draft:
        """What the strategy makes of a request. Raises: `UnknownType`, `StrategyError`, and what the strategy raises."""
        assert self._preparation is not None, "this door prepares nothing"
        strategy = self._preparation.strategies(asked.type)
        if strategy is None:
            raise UnknownType(asked.type)
        draft = deepcopy(asked)
        await prepare(self._preparation.executor.call, strategy, draft, created_by)
        return draft

    async def create(self, request: NewJob, cause: Cause) -> Job:
        """Write the job; if this process has a free slot for it, run it at once. Otherwise it waits for any worker.

        The same request under the same id changes nothing, also for who has as many jobs as they may.
        Raises: `Behind`, `TooManyJobs`, and what `Transitions.create` raises.
        """
        created = self._creating.setdefault(request.id, asyncio.Event())
        try:
            if not await self.serves(request.type):
                within = self._transitions.decider.policy.worker_within
                request = replace(request, worker_by=to_ms(self._transitions.clock.now() + within))
            if not await self._transitions.outbox.keep_up() and self._door.behind == "refused":
                raise Behind
            async with self._counted(request.principal, request.created_by, known_as=request.id):
                return await self._write(request, cause)
        finally:
            created.set()
            if self._creating.get(request.id) is created:
                del self._creating[request.id]

    async def create_asked(self, asked: BusRequest, cause: Cause) -> Job:
        """As `create`, for what was asked for on the bus: in the name space of its principal, and once over all versions.

        Raises: `UnservedType` for a new job of a type that no process serves, if the trigger asks for that.
        Raises: `NotAllowed` for an id that the trigger names and that is no new one, and what `create` raises.
        """
        store, request = self._transitions.store, asked.job
        if asked.earlier_id is not None:
            known = await store.get(asked.earlier_id)
            if known is not None and known.principal is None and known.request_digest == request.request_digest:
                return known
        if asked.require_type and not await self.serves(request.type) and await store.get(request.id) is None:
            raise UnservedType(request.type)
        if asked.named and not self._may_name(request) and await store.get(request.id) is None:
            raise NotAllowed(
                f"{request.id} is no new id: a subject names a job by a ULID of the last 30 days, as ids.new_job_id makes one. "
                "Leave it out, or give an idempotency_key"
            )
        try:
            return await self.create(request, cause)
        except Conflict:
            taken = None if asked.own_id is None else await store.get(request.id)
            if asked.own_id is None or taken is None or not is_of_another(taken, request):
                raise
        return await self.create(replace(request, id=asked.own_id), cause)

    async def serves(self, job_type: str) -> bool:
        """Whether some process that lives runs jobs of the batch type. Raises: `StoreUnavailable`."""
        return self._serves is None or await self._serves(job_type)

    def _may_name(self, request: NewJob) -> bool:
        rules = self._transitions.decider.policy.bus
        return rules.operates(request.principal) or is_fresh(request.id, self._transitions.clock.now())

    async def _write(self, request: NewJob, cause: Cause) -> Job:
        worker = self._worker
        owner = owner_of(request.principal, request.created_by)
        permit = await worker.permit_for(request.type, owner) if worker else None
        try:
            claim_for = worker.id if worker and permit else None
            job, new = await self._transitions.create(request, cause, claim_for=claim_for)
            if new and worker and permit and job.lease:
                worker.take(job, permit)
                permit = None
            elif new:
                self._offer(job)
            return job
        finally:
            if permit:
                permit.release()

    # -- confirm, cancel, retry ------------------------------------------------------------------------------------

    async def confirm(self, job: Job, cause: Cause, *, plan_digest: str | None = None) -> Job:
        """Let a dry run go on. `plan_digest`: of the plan that whoever confirms it has seen.

        Raises: `NotAllowed`, also for another plan; `UnknownJob`, `StoreUnavailable`.
        """
        decider, early = self._transitions.decider, self._door.early_confirmation == "remembered"
        return await self._change(
            job, lambda known, now: decider.confirm(known, now, cause, early=early, plan_digest=plan_digest)
        )

    async def cancel(self, job: Job, cause: Cause) -> Job:
        """Accepted at once; a run stops at its next chunk. A second cancellation changes nothing.

        Raises: as `confirm`.
        """
        decider = self._transitions.decider
        return await self._change(job, lambda known, now: decider.cancel(known, now, cause))

    async def retry(self, job: Job, cause: Cause) -> Job:
        """A failed or canceled job goes on from its last checkpoint. Raises: `TooManyJobs`, and as `confirm`."""
        decider = self._transitions.decider
        async with self._counted(job.principal, job.created_by):
            return await self._change(job, lambda known, now: decider.retry(known, now, cause))

    async def check_again(self, job: Job, cause: Cause, *, context: Mapping[str, Json] | None = None) -> Job:
        """A job that was never confirmed is pre-processed anew, and has another plan then.

        `context`: one with another file, as `prepare` has made it. Raises: as `confirm`.
        """
        decider = self._transitions.decider
        return await self._change(job, lambda known, now: decider.check_again(known, now, cause, context=context))

    async def carry_out(
        self, job_id: str, trigger: ChangeTrigger, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """A confirmation or cancellation from the bus; one without a job is kept until the job is created.

        `pause` waits for some seconds, and may raise to give the trigger back.
        Raises: `NotAllowed`, `StoreUnavailable`, what `pause` raises.
        """
        decider = self._transitions.decider
        for seconds in pauses(*_ASK_AGAIN):
            if created := self._creating.get(job_id):
                await created.wait()
            try:
                self._offer(
                    await self._transitions.change_by_id(job_id, lambda job, now: trigger.decide(decider, job, now))
                )
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
                    # The triggers that waited are being answered; nothing signals when that is done.
                    await pause(seconds)

    async def require_room(self, created_by: str) -> None:
        """Raise `TooManyJobs` if a user may have no job more. `create` looks again: this spares the work until then."""
        if self._unfinished is not None:
            await self._unfinished.require(created_by)

    @asynccontextmanager
    async def _counted(
        self, principal: str | None, created_by: str, *, known_as: str | None = None
    ) -> AsyncIterator[None]:
        """While one more job of theirs is written. Raises `TooManyJobs`, unless it may be the job `known_as`, which is there."""
        owner = counted_for(principal, created_by)
        if self._unfinished is None or owner is None:
            yield
            return
        async with self._unfinished.taking(owner) as taking:
            try:
                await taking.take()
            except TooManyJobs:
                if known_as is None or await self._transitions.store.get(known_as) is None:
                    raise
            yield

    async def _change(self, job: Job, decide: Callable[[Job, datetime], Job]) -> Job:
        changed = await self._transitions.change(job, decide)
        self._offer(changed)
        return changed

    def _offer(self, job: Job) -> None:
        """To the worker of this process, which may have a free slot for the job; one that has ended makes room for another."""
        if self._worker:
            self._worker.offer(job)
        owner = counted_for(job.principal, job.created_by)
        if job.terminal and owner is not None and self._unfinished is not None:
            self._unfinished.freed(owner)

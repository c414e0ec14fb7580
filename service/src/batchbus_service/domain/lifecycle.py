"""The pure functions that decide what becomes of a job.

Each function takes a job as it was read and returns the job as it is to be written, with the history entries
that tell of the change; or the very same object, if nothing is to change; or it raises `NotAllowed`. None of them
does I/O, reads a clock or invents an id: time comes as an argument, ids from a function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from batchbus_events.backoff import delay
from batchbus_service.domain.again import checked_again, retried
from batchbus_service.domain.due import UNSERVED, due_at, waits_in_vain
from batchbus_service.domain.errors import NotAllowed
from batchbus_service.domain.event_data import numbers
from batchbus_service.domain.instants import to_ms
from batchbus_service.domain.job import Checkpoint, HistoryEntry, Job, Lease, Status, evolve, got_on, plain
from batchbus_service.domain.moves import reached
from batchbus_service.domain.omissions import NO_ROOM, with_omissions
from batchbus_service.domain.plans import REFUSED, why_refused
from batchbus_service.domain.policy import Policy
from batchbus_service.domain.result import JobResult
from batchbus_strategies import Json

__all__ = [
    "Cause",
    "Decider",
    "NewJob",
    "Policy",
    "due_at",
]

_MAX_TRIGGERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What asked for a change: a trigger on the bus, or nothing but an HTTP call."""

    event_id: str | None = None
    source: str | None = None
    by: str | None = None
    """Who asked: a user's id, or `bus:` and the principal of a trigger."""
    traceparent: str | None = None
    principal: str | None = None
    """Who published the trigger, see `bus_rules`; None if everyone on the bus is believed."""

    @property
    def key(self) -> str | None:
        """Names the trigger among those of all principals; None for what came over HTTP."""
        if not self.event_id or self.principal is None:
            return self._source_key
        return f"{self.principal}\n{self._source_key}"

    def among(self, keys: Collection[str | None]) -> bool:
        """Whether the trigger has one of these keys, or had it before they began with the principal."""
        return self.event_id is not None and (self.key in keys or self._source_key in keys)

    @property
    def _source_key(self) -> str | None:
        return f"{self.source} {self.event_id}" if self.event_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A request for a job, checked and with its id."""

    id: str
    type: str
    context: dict[str, Json]
    dry_run: bool
    created_by: str
    request_digest: str
    prepared: bool = False
    principal: str | None = None
    """As `Job.principal`."""
    worker_by: datetime | None = None
    """As `Job.worker_by`."""


@dataclass(frozen=True, slots=True)
class Decider:
    """The decisions, with the policy and the source of event ids that they share."""

    policy: Policy
    new_id: Callable[[], str]

    # -- what others ask for ---------------------------------------------------------------------------------------

    def create(self, request: NewJob, now: datetime, cause: Cause) -> Job:
        job = Job(
            id=request.id,
            type=request.type,
            dry_run=request.dry_run,
            context=request.context,
            created_by=request.created_by,
            principal=request.principal,
            request_digest=request.request_digest,
            prepared=request.prepared,
            worker_by=request.worker_by,
            status=Status.CREATED,
            created_at=now,
            updated_at=now,
            version=0,
            ready_at=now,
            triggers=(cause.key,) if cause.key else (),
        )
        return self._sealed(job, now, self._entry(job, "batch.created", now, cause))

    def confirm(
        self, job: Job, now: datetime, cause: Cause, *, early: bool = False, plan_digest: str | None = None
    ) -> Job:
        """`early`: a confirmation before pre-processing has ended is remembered, not refused.

        `plan_digest`: of the plan that is confirmed. One that comes early is compared when there is a plan.
        """
        if cause.among(job.triggers):
            return job
        if early and job.status is Status.CREATED:
            if job.confirmed_early:
                raise NotAllowed("The batch job is confirmed already")
            remembered = evolve(
                job,
                confirmed_early=cause.event_id or "confirmed",
                confirmed_early_digest=plan_digest,
                triggers=_with_trigger(job, cause),
            )
            return self._sealed(remembered, now)
        if job.status is not Status.PRE_PROCESSED:
            raise NotAllowed("Cannot confirm processing for a batch job that is not pre processed")
        if refusal := why_refused(job, plan_digest, required=self.policy.require_plan_digest):
            raise NotAllowed(refusal)
        confirmed = evolve(
            reached(job, Status.CONFIRMED, now),
            ready_at=now,
            confirm_by=None,
            triggers=_with_trigger(job, cause),
        )
        return self._sealed(confirmed, now, self._entry(confirmed, "batch.confirmed", now, cause))

    def cancel(self, job: Job, now: datetime, cause: Cause, *, reason: str | None = None) -> Job:
        """A lease stays: the worker that runs the job stops it, cleans up and writes how far it got (`stopped`)."""
        if job.status is Status.CANCELED or cause.among(job.triggers):
            return job
        if job.terminal:
            raise NotAllowed(f"Cannot cancel {job.status} batch job")
        canceled = evolve(
            reached(job, Status.CANCELED, now),
            ready_at=None,
            confirm_by=None,
            confirmed_early=None,
            confirmed_early_digest=None,
            triggers=_with_trigger(job, cause),
        )
        entry = self._entry(canceled, "batch.canceled", now, cause, {"reason": reason} if reason else {})
        return self._sealed(canceled, now, entry)

    def retry(self, job: Job, now: datetime, cause: Cause) -> Job:
        """A failed or canceled job goes on from its last checkpoint."""
        again = retried(job, now)
        return self._sealed(again, now, self._entry(again, f"batch.{again.status}", now, cause))

    def check_again(self, job: Job, now: datetime, cause: Cause, *, context: Mapping[str, Json] | None = None) -> Job:
        """A job that was never confirmed is pre-processed anew. `context`: with another file, as `prepare` has made it."""
        again, details = checked_again(job, now, context)
        return self._sealed(again, now, self._entry(again, "batch.updated", now, cause, details))

    # -- what a worker does ----------------------------------------------------------------------------------------

    def claim(self, job: Job, worker: str, now: datetime) -> Job:
        """Give the job to a worker that has a free slot; a confirmed job starts processing with the same write."""
        if job.ready_at is None or job.terminal:
            raise NotAllowed(f"The job is not ready to be taken: it is {job.status}")
        claimed = evolve(
            job,
            fence=job.fence + 1,
            lease=Lease(worker, now + self.policy.lease),
            ready_at=None,
            worker_by=None,
        )
        if job.status is not Status.CONFIRMED:
            return self._sealed(claimed, now)
        return self._processing(claimed, now)

    def pre_processed(self, job: Job, now: datetime, cause: Cause, *, go_on: bool) -> Job:
        """Pre-processing has ended. `go_on`: this worker has a slot to carry the job out at once, if it is confirmed."""
        entries: list[HistoryEntry] = []
        # The errors of the preview stay, however often processing has to begin again.
        result = job.result or JobResult()
        errors, parts = result.error_count, sum(result.error_parts.values())
        checkpoint = Checkpoint("process", None, errors=errors, error_parts=parts) if errors else None
        job = evolve(got_on(reached(job, Status.PRE_PROCESSED, now)), checkpoint=checkpoint)
        job, refused = self._early_compared(job)
        entries.append(self._entry(job, "batch.pre_processed", now, cause, refused))
        if job.dry_run and not job.confirmed_early:
            rested = evolve(job, lease=None, confirm_by=now + self.policy.confirm_within)
            return self._sealed(rested, now, *entries)
        confirmed_by = Cause(event_id=job.confirmed_early) if job.confirmed_early else cause
        job = evolve(reached(job, Status.CONFIRMED, now), confirmed_early=None, confirmed_early_digest=None)
        entries.append(self._entry(job, "batch.confirmed", now, confirmed_by, after=1))
        if not go_on:
            return self._sealed(evolve(job, lease=None, ready_at=now), now, *entries)
        assert job.lease is not None
        lease = replace(job.lease, expires_at=now + self.policy.lease)
        job = evolve(reached(job, Status.PROCESSING, now), lease=lease)
        entries.append(self._entry(job, "batch.processing", now, cause, after=2))
        return self._sealed(job, now, *entries)

    def _early_compared(self, job: Job) -> tuple[Job, dict[str, Json]]:
        """The job without a confirmation that came early and is for another plan, and what its entry says of that."""
        if not job.confirmed_early:
            return job, {}
        required = self.policy.require_plan_digest and job.dry_run
        refusal = why_refused(job, job.confirmed_early_digest, required=required)
        if refusal is None:
            return job, {}
        refused: dict[str, Json] = {REFUSED: {"causationid": job.confirmed_early, "message": refusal}}
        return evolve(job, confirmed_early=None, confirmed_early_digest=None), refused

    def completed(self, job: Job, now: datetime, cause: Cause) -> Job:
        done = evolve(
            got_on(reached(job, Status.COMPLETED, now)),
            lease=None,
            checkpoint=None,
            result=with_omissions(job),
        )
        return self._sealed(done, now, self._entry(done, "batch.completed", now, cause))

    def failed(self, job: Job, now: datetime, error: str, cause: Cause, *, public: str | None = None) -> Job:
        """The job cannot be done. The checkpoint stays, for a retry by an operator.

        `public`: what everyone may read who reads events, if that is less than what the job keeps.
        """
        error = plain(error)
        said = error if public is None else plain(public)
        ended = evolve(
            reached(job, Status.FAILED, now),
            lease=None,
            ready_at=None,
            confirm_by=None,
            result=_with_error(job, error),
        )
        return self._sealed(ended, now, self._entry(ended, "batch.failed", now, cause, {"error": said}))

    def run_lost(
        self,
        job: Job,
        now: datetime,
        error: str,
        cause: Cause,
        *,
        retry: bool = True,
        jitter: float = 1.0,
        public: str | None = None,
    ) -> Job:
        """A run ended with an error: try again later, or give up.

        `jitter`: 0.5 to 1.5, or 0 for no delay, times the delay of the exponential back-off. `public`: as with `failed`.
        """
        job = evolve(job, failures=job.failures + 1)
        if not retry or job.failures >= self.policy.max_attempts:
            return self.failed(job, now, error, cause, public=public)
        first, longest = self.policy.retry_base.total_seconds(), self.policy.retry_cap.total_seconds()
        pause = timedelta(seconds=delay(job.failures, first=first, longest=longest)) * jitter
        return self._again(job, now, pause, error, cause, public=public)

    def crashed(
        self, job: Job, now: datetime, error: str, cause: Cause, *, jitter: float = 1.0, public: str | None = None
    ) -> Job:
        """A run ended the process that it had for itself. Nothing else ran there, so the job is at fault."""
        job = evolve(job, crashes=job.crashes + 1)
        retry = job.crashes < self.policy.max_crashes
        return self.run_lost(job, now, error, cause, retry=retry, jitter=jitter, public=public)

    def worker_lost(self, job: Job, now: datetime, error: str) -> Job:
        """A lease expired. The worker may have lost all its runs at once, so it is not known which of them is at fault.

        The job goes on at once, since its next run can harm no other, and the lease was delay enough.
        """
        job = evolve(job, lost_runs=job.lost_runs + 1)
        if job.lost_runs >= self.policy.max_lost_runs:
            return self.failed(job, now, error, Cause())
        return self._again(job, now, timedelta(0), error, Cause())

    def _again(
        self, job: Job, now: datetime, pause: timedelta, error: str, cause: Cause, *, public: str | None = None
    ) -> Job:
        error = plain(error)
        said = error if public is None else plain(public)
        # Errors behind the checkpoint come up again in the next run; the one that ended this run does not.
        checkpoint = (
            job.checkpoint if job.checkpoint and job.checkpoint.phase == job.phase else Checkpoint(job.phase, None)
        )
        waiting = evolve(
            job,
            lease=None,
            ready_at=to_ms(now + pause),
            result=_with_error(job, error, kept=checkpoint.errors),
            checkpoint=replace(checkpoint, errors=checkpoint.errors + 1),
        )
        entry = self._entry(waiting, "batch.updated", now, cause, {"error": said, "attempt": job.bad_ends})
        return self._sealed(waiting, now, entry)

    def no_room(
        self, job: Job, now: datetime, error: str, cause: Cause, *, jitter: float = 1.0, public: str | None = None
    ) -> Job:
        """The file store is full: wait without a slot, for an hour at most. That is no failure of the job."""
        since = job.no_room_since or now
        if now - since >= self.policy.wait_for_room:
            return self.run_lost(job, now, error, cause, jitter=jitter, public=public)
        ready_at = to_ms(now + self.policy.room_every * jitter)
        waiting = evolve(job, lease=None, ready_at=ready_at, no_room_since=since)
        details: dict[str, Json] = {
            "error": plain(error if public is None else public),
            "attempt": job.bad_ends,
            NO_ROOM: True,
        }
        return self._sealed(waiting, now, self._entry(waiting, "batch.updated", now, cause, details))

    def released(self, job: Job, now: datetime) -> Job:
        """A worker that shuts down gives the job back. This is no failure."""
        return self._sealed(evolve(job, lease=None, ready_at=now), now)

    def stopped(self, job: Job, now: datetime, cause: Cause) -> Job:
        """The run of a canceled job has stopped and cleaned up; the result says what had been applied."""
        rested = evolve(job, lease=None)
        return self._sealed(rested, now, self._entry(rested, "batch.updated", now, cause))

    # -- what the rescuer does ---------------------------------------------------------------------------------

    def overdue(self, job: Job, now: datetime) -> Job:
        """What has to change about a job that is due, if anything; `due_at` says when it is due next."""
        if job.lease and job.lease.expires_at <= now:
            if job.terminal:
                return self.stopped(job, now, Cause())
            return self.worker_lost(job, now, f"Worker {job.lease.worker} stopped renewing its lease on the job")
        if job.confirm_by and job.confirm_by <= now:
            return self.cancel(job, now, Cause(), reason="it was not confirmed in time")
        return job

    def expected(self, job: Job, now: datetime, *, served: bool) -> Job:
        """A worker should have taken the job by now. `served`: whether some process runs jobs of its type."""
        if not waits_in_vain(job, now):
            return job
        settled = evolve(job, worker_by=None)
        if served:
            return self._sealed(settled, now)
        reason = f"No process serves the batch type {job.type}: the job waits for a worker that does"
        details: dict[str, Json] = {UNSERVED: True, "reason": reason}
        return self._sealed(settled, now, self._entry(settled, "batch.updated", now, Cause(), details))

    # -- one write: the change, its events, its next `wake_at` -----------------------------------------------------

    def _processing(self, job: Job, now: datetime) -> Job:
        started = reached(job, Status.PROCESSING, now)
        return self._sealed(started, now, self._entry(started, "batch.processing", now, Cause()))

    def _entry(
        self,
        job: Job,
        event: str,
        now: datetime,
        cause: Cause,
        extra: Mapping[str, Json] | None = None,
        *,
        after: int = 0,
    ) -> HistoryEntry:
        """`after`: entries of the same write that come before this one."""
        return HistoryEntry(
            seq=len(job.history) + after + 1,
            id=self.new_id(),
            type=event,
            time=now,
            data=numbers(job) | ({"by": cause.by} if cause.by else {}) | dict(extra or {}),
            causationid=cause.event_id,
            traceparent=cause.traceparent or (job.history[0].traceparent if job.history else None),
        )

    def _sealed(self, job: Job, now: datetime, *entries: HistoryEntry) -> Job:
        changed = evolve(job, version=job.version + 1, updated_at=now, history=job.history + entries)
        return evolve(changed, wake_at=due_at(changed, now, self.policy))


def _with_trigger(job: Job, cause: Cause) -> tuple[str, ...]:
    return (*job.triggers, cause.key)[-_MAX_TRIGGERS:] if cause.key else job.triggers


def _with_error(job: Job, error: str, *, kept: int | None = None) -> JobResult:
    """`kept`: how many of the errors stay; None for all."""
    result = job.result or JobResult()
    return result.with_error(error, kept=result.error_count if kept is None else kept)

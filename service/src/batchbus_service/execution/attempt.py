"""One run of one job in one worker, under a lease: pre-processing, processing, or the one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING

from batchbus_events.bus import Bus
from batchbus_service.domain.errors import NotStorable, StoreUnavailable, UnknownJob
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause
from batchbus_service.execution.execution import (
    Abandoned,
    Executions,
    ProcessDied,
    RaisedInChild,
    RunControl,
    RunStalled,
    error_text,
    public_text,
    traceback_of,
)
from batchbus_service.execution.executor import StrategyRaised, forget_locals
from batchbus_service.execution.heartbeat import Heartbeat, Interrupt, RunLimits
from batchbus_service.execution.last_write import CanceledMeanwhile, write_outcome
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.outcome import (
    Completed,
    Crashed,
    Failed,
    GivenBack,
    NoRoom,
    Outcome,
    PreProcessed,
    Refused,
)
from batchbus_service.execution.slots import Permit, Slots
from batchbus_service.journal.transitions import Transitions
from batchbus_service.storage.files import is_full
from batchbus_service.telemetry.meter import RunEnd
from batchbus_strategies import JobView, LeaseLost, RunCanceled, StrategyError
from batchbus_strategies.registry import Strategy

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Attempt"]


class Attempt:
    """From a claim until the job rests, waits again or is lost to another worker."""

    def __init__(
        self,
        job: Job,
        strategy: Strategy,
        permit: Permit,
        log: FilteringBoundLogger,
        *,
        transitions: Transitions,
        bus: Bus,
        executions: Executions,
        slots: Slots,
        limits: RunLimits,
        give_up: Callable[[str], None],
        refusal: Callable[[Job, Collection[str]], Awaitable[str | None]],
    ) -> None:
        """`give_up`: called with the reason when a strategy cannot be stopped, so that the process has to end.

        `refusal`: why the job may not run, given the fields of its context by which the strategy reads files; or None.
        """
        self.job = job
        self._strategy = strategy
        self._permit = permit
        self._log = log
        self._transitions = transitions
        self._bus = bus
        self._slots = slots
        self._limits = limits
        self._end_process = give_up
        self._refusal = refusal
        self._lease = Lease.of(job, transitions.clock, lasts=limits.lease)
        self._cause = Cause(traceparent=job.history[0].traceparent)
        self._job_run: RunControl | None = None
        """The strategy's work on the phase that goes on at the moment."""
        self._next_permit: Permit | None = None
        """A slot for processing, taken before pre-processing is written as done."""
        self._execution = executions.open(job, strategy, self._lease, log)
        self._interrupt: Interrupt | None = None
        self._cleaned_up = False
        self._timers: list[asyncio.TimerHandle] = []

    def interrupt(self, reason: Interrupt) -> None:
        """Have the run end: at the strategy's next chunk, at its next await after a grace period, or without it.

        A strategy whose job was canceled is waited for, since the last write says what it has applied; but not by a
        process that shuts down.
        """
        before = self._interrupt
        if before is None or (reason == "lost" and before != "lost"):
            self._interrupt = reason
            if self._job_run:
                self._tell_strategy(self._job_run)
        elif (before, reason) != ("canceled", "released"):
            return
        loop, limits = asyncio.get_running_loop(), self._limits
        self._timers.append(loop.call_later(limits.cancel_grace, self._execution.stop))
        if reason == "canceled":
            self._timers.append(loop.call_later(limits.stuck, self._give_up))
        else:
            self._timers.append(loop.call_later(2 * limits.cancel_grace, self._execution.abandon))

    async def carry_out(self) -> None:
        """Run the job to the end of the attempt. The outcome is written, or the job is left to the end of its lease."""
        try:
            while self.job.lease is not None:
                self.job = await self._measured_phase()
        except (LeaseLost, UnknownJob, StoreUnavailable) as error:
            self._log.warning("run_lost", reason=str(error))
            self._transitions.outbox.forget(self.job.id)
        except Exception as error:  # noqa: BLE001 - `_broke` tells the operator, and writes it into the job
            await self._broke(error)
        finally:
            self._cancel_timers()
            await self._execution.close()
            self._release_slot()

    async def _broke(self, error: Exception) -> None:
        """What the engine itself could not cope with has its reason in the job, instead of a lease that runs out."""
        self._log.error("run_broke", exc_info=error)
        fence, text, public = self.job.fence, f"{type(error).__name__}: {error}", public_text(error)

        def decide(job: Job, now: datetime) -> Job:
            if job.fence != fence or job.lease is None or job.terminal:
                raise LeaseLost(f"Job {job.id} is no longer this run's")
            return self._transitions.decider.run_lost(job, now, text, self._cause, public=public)

        try:
            self.job = await self._transitions.change(self.job, decide)
        except (LeaseLost, UnknownJob, StoreUnavailable, NotStorable) as second:
            self._log.warning("run_lost", reason=str(second))
            self._transitions.outbox.forget(self.job.id)

    async def _measured_phase(self) -> Job:
        before, clock, transitions = self.job, self._transitions.clock, self._transitions
        began = clock.monotonic()
        outcome: RunEnd = "lost"
        asked = before.history[0].traceparent
        attempt = before.bad_ends + 1
        name = f"{before.type} {before.phase}"
        with transitions.tracer.span(name, asked, job_id=before.id, job_type=before.type, attempt=attempt) as span:
            self._cause = Cause(traceparent=span.traceparent)
            try:
                after = await self._phase()
                outcome = _in_short(before, after)
                return after
            finally:
                span.ended_as(outcome, failed=outcome in ("failed", "retried", "lost"))
                transitions.meter.ran(before.type, before.phase, outcome, clock.monotonic() - began)

    async def _phase(self) -> Job:
        """One phase, and the write that ends it."""
        self._job_run = job_run = self._execution.begin(self.job)
        if self._interrupt:
            self._tell_strategy(job_run)
        heartbeat = Heartbeat(
            self.job,
            job_run,
            self._lease,
            self._transitions,
            self._bus,
            self._limits,
            self._strategy.stall_seconds,
            self._log,
        )
        heartbeat.run_must_end.connect(self.interrupt)
        try:
            async with heartbeat:
                return await self._written(await self._worked(heartbeat), heartbeat)
        finally:
            self._job_run = None
            self._release_next()

    # -- how a phase ends ------------------------------------------------------------------------------------------

    async def _worked(self, heartbeat: Heartbeat) -> Outcome:
        """Let the strategy work, and see how it ended."""
        try:
            if refusal := await self._refusal(self.job, self._strategy.file_fields):
                raise StrategyError(refusal, public=True)
            draft = await self._execution.work()
        except (Exception, LeaseLost, RunCanceled) as error:  # noqa: BLE001 - the outcome says it, and the job keeps it
            try:
                return await self._ended_by(error, heartbeat)
            finally:
                forget_locals(error)
        context = {**draft.context, **heartbeat.job_run.context_changes}
        if self.job.phase == "process":
            return Completed(context)
        if not draft.dry_run or self.job.confirmed_early:
            self._next_permit = self._slots.take("process", self.job.owner)
        return PreProcessed(context, draft.dry_run, go_on=self._next_permit is not None)

    async def _ended_by(self, error: BaseException, heartbeat: Heartbeat) -> Outcome:
        """The strategy did not come to its end. What interrupted it counts for more than how it took that.

        Raises: `LeaseLost`, where the job is left to the end of its lease.
        """
        match self._interrupt, error:
            case "lost", _:
                raise LeaseLost(f"The lease on job {self.job.id} was lost") from error
            case "released" | "canceled", Abandoned() if not self._execution.killable:
                # What it still does, it does under its lease: that is left to run out.
                raise LeaseLost(f"The strategy {self._strategy.identifier} does not stop") from error
            case "released", _:
                return GivenBack()
            case "canceled", _:
                await self._clean_up()
                return GivenBack()
            case "stalled", _:
                stalled = RunStalled(f"The run made no progress for {self._strategy.stall_seconds:g} seconds")
                return await self._failed(stalled, heartbeat)
            case _, StrategyError():
                return Refused(str(error), error.for_events())
            case _, ProcessDied():
                self._log.warning("run_ended_its_process", reason=str(error))
                # `should_retry` cannot be asked: the process is gone.
                return Crashed(error_text(error), public_text(error), _jitter())
            case _, Exception():
                self._log.warning("run_failed", reason=public_text(error), exception=traceback_of(error))
                return await self._failed(error, heartbeat)
            case _, LeaseLost():
                raise error
            case _:
                uncalled = f"The strategy raised {type(error).__name__}, although the job was not canceled"
                return await self._failed(StrategyRaised(uncalled), heartbeat)

    async def _failed(self, error: Exception, heartbeat: Heartbeat) -> Outcome:
        """The strategy says whether another run may do better."""
        if is_full(error) or (isinstance(error, RaisedInChild) and error.full):
            return NoRoom(error_text(error), "The file store has no room", _jitter())
        failures = 0 if heartbeat.got_on else self.job.failures
        view = JobView(self.job.id, self.job.type, self.job.phase, failures + 1)
        retry = await self._execution.should_retry(view, error)
        return Failed(error_text(error), public_text(error), retry, _jitter())

    async def _clean_up(self) -> None:
        self._cleaned_up = True
        self._cancel_timers()
        try:
            await self._execution.clean_up(self._limits.stuck)
        except Abandoned:
            if self._execution.killable:
                return
            raise LeaseLost(f"The strategy {self._strategy.identifier} does not stop") from None
        except (Exception, RunCanceled, LeaseLost) as error:  # noqa: BLE001 - the operator gets to know; canceled it is
            self._log.error("on_canceled_failed", exception=traceback_of(error))

    async def _written(self, outcome: Outcome, heartbeat: Heartbeat) -> Job:
        """The write that ends the phase; a job that was canceled meanwhile is cleaned up and stopped instead."""
        while True:
            try:
                await self._execution.keep_row_errors()
            except Exception as error:  # noqa: BLE001 - the operator gets to know; the job keeps the first of them
                self._log.error("row_errors_not_kept", exc_info=error)
            await heartbeat.stop(publish=True)
            try:
                job = await write_outcome(
                    self.job,
                    outcome,
                    heartbeat,
                    self._lease,
                    self._transitions,
                    self._cause,
                    cleaned_up=self._cleaned_up,
                )
            except CanceledMeanwhile:
                self._interrupt = "canceled"
                heartbeat.start()
                await self._clean_up()
            else:
                if self._next_permit and job.status is Status.PROCESSING:
                    self._permit, self._next_permit = self._next_permit, self._permit
                return job

    def _release_next(self) -> None:
        """The slot that is not needed: the one for the next phase, or after it has begun that of the last."""
        if self._next_permit:
            self._next_permit.release()
            self._next_permit = None

    # -- interrupts ------------------------------------------------------------------------------------------------

    def _tell_strategy(self, job_run: RunControl) -> None:
        match self._interrupt:
            case "canceled":
                job_run.cancel()
            case "released":
                job_run.release()
            case _:
                job_run.lose()

    def _give_up(self) -> None:
        if self._execution.killable:
            self._execution.abandon()
            return
        self._end_process(f"The strategy {self._strategy.identifier} cannot be stopped in job {self.job.id}")

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _release_slot(self) -> None:
        """A strategy that runs on in its thread keeps its slot until it ends; past a limit the process has to go."""
        running, loop = self._execution.still_running, asyncio.get_running_loop()
        if running is None:
            self._permit.release()
            return
        self._log.error("strategy_does_not_stop", strategy=self._strategy.identifier)
        last_resort = loop.call_later(self._limits.stuck, self._give_up)

        def ended() -> None:
            last_resort.cancel()
            self._permit.release()

        running.add_done_callback(lambda _: loop.call_soon_threadsafe(ended))


def _in_short(before: Job, after: Job) -> RunEnd:
    """How the phase that `before` was in has ended."""
    match after.status:
        case Status.FAILED:
            return "failed"
        case Status.CANCELED:
            return "canceled"
        case before.status:
            return "retried" if len(after.history) > len(before.history) else "released"
        case _:
            return "done"


def _jitter() -> float:
    """Runs that failed together are not tried again together."""
    return random.uniform(0.5, 1.5)

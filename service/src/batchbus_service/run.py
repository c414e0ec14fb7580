"""One run of one job in one worker, under a lease: pre-processing, processing, or the one after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import to_json

from batchbus_events.bus import Bus
from batchbus_service.handle import MAX_RESULT_BYTES, RunHandle
from batchbus_service.host import Call, StrategyHost
from batchbus_service.job import Job, Status
from batchbus_service.ledger import Ledger, UnknownJob
from batchbus_service.lifecycle import Cause
from batchbus_service.ports import Clock, StoreUnavailable, TooLarge
from batchbus_service.pulse import Interrupt, Pulse, RunLimits
from batchbus_service.slots import Seat, Slots
from batchbus_strategies import Actor, BatchStrategy, Draft, JobView, LeaseLost, RunCanceled, StrategyError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Run", "RunStalled", "Surroundings", "actor_of", "context_faults"]

_TRY_AGAIN: Final = 1.0
"""Seconds until a write that the database did not answer is tried again."""


class _Abandoned(Exception):
    """The strategy was told to stop, and did not: it is waited for no longer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every run of a worker shares."""

    worker: str
    ledger: Ledger
    bus: Bus
    host: StrategyHost
    slots: Slots
    limits: RunLimits
    give_up: Callable[[str], None]
    """Called with the reason when a strategy cannot be stopped: the process has to end."""


class Run:
    """From a claim until the job rests, waits again or is lost to another worker."""

    def __init__(
        self, job: Job, strategy: BatchStrategy[Any], seat: Seat, around: Surroundings, log: FilteringBoundLogger
    ) -> None:
        self.job = job
        self._strategy = strategy
        self._seat = seat
        self._around = around
        self._ledger = around.ledger
        self._decider = around.ledger.decider
        self._log = log
        self._lease_ends = _lease_ends(job, around.ledger.clock)
        self._cause = Cause(traceparent=job.history[0].traceparent)
        self._pulse: Pulse | None = None
        self._call: Call[None] | None = None
        self._interrupt: Interrupt | None = None
        self._abandoned = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []

    def interrupt(self, reason: Interrupt) -> None:
        """Have the run end: at the strategy's next chunk, at its next await after a grace period, or without it."""
        if self._interrupt is not None:
            return
        self._interrupt = reason
        if self._pulse:
            self._tell_strategy(self._pulse.handle)
        loop, limits = asyncio.get_running_loop(), self._around.limits
        self._timers += [
            loop.call_later(limits.cancel_grace, self._stop_call),
            loop.call_later(2 * limits.cancel_grace, self._abandoned.set),
        ]

    async def carry_out(self) -> None:
        """Whatever becomes of the job is written, or else left to the end of its lease."""
        try:
            while self.job.lease is not None:
                self.job = await self._phase()
        except (LeaseLost, UnknownJob, StoreUnavailable) as error:
            self._log.warning("run_lost", reason=str(error))
            self._ledger.outbox.forget(self.job.id)
        finally:
            for timer in self._timers:
                timer.cancel()
            self._leave_seat()

    async def _phase(self) -> Job:
        """One phase, and the write that ends it."""
        around = self._around
        pulse = self._pulse = Pulse(
            self.job,
            around.host.services,
            around.ledger,
            around.bus,
            around.limits,
            self._strategy.stall_seconds,
            self._lease_ends,
            self._log,
            self.interrupt,
        )
        if self._interrupt:
            self._tell_strategy(pulse.handle)
        pulse.start()
        try:
            try:
                draft = await self._work(pulse.handle)
            except (Exception, LeaseLost, RunCanceled) as error:  # noqa: BLE001 - `_ended_by` writes it into the job
                return await self._ended_by(error, pulse)
            return await self._succeeded(pulse, draft)
        finally:
            self._pulse = None
            await pulse.stop(tell=False)

    async def _work(self, handle: RunHandle) -> Draft:
        """Let the strategy do its phase. Returns the draft as `prepare` left it."""
        job, strategy = self.job, self._strategy
        draft = Draft(job.type, dict(job.context), job.dry_run)
        if not job.prepared and _overrides(strategy, "prepare"):
            await self._let(strategy.prepare, draft, actor_of(job.created_by))
        try:
            handle.bind(strategy.context_model.model_validate(draft.context))
        except ValidationError as error:
            raise StrategyError(context_faults(error)) from None
        if _overrides(strategy, job.phase):
            await self._let(strategy.pre_process if job.phase == "pre_process" else strategy.process, handle)
        return draft

    async def _let(self, method: Callable[..., Any], *args: object) -> None:
        """Wait for the strategy; or, if it was told to stop and does not, no longer than until it is abandoned."""
        call = self._call = self._around.host.start(method, *args)
        done = asyncio.wrap_future(call.future)
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        try:
            await asyncio.wait((done, abandoned), return_when=asyncio.FIRST_COMPLETED)
        finally:
            abandoned.cancel()
        if not done.done():
            raise _Abandoned
        self._call = None
        done.result()

    # -- how a phase ends ------------------------------------------------------------------------------------------

    async def _succeeded(self, pulse: Pulse, draft: Draft) -> Job:
        if self.job.phase == "process":
            return await self._end(pulse, lambda job, now: self._decider.completed(job, now, self._cause))
        context = {**draft.context, **pulse.handle.context_changes}
        goes_on = not draft.dry_run or self.job.confirmed_early
        run_seat = self._around.slots.take("process") if goes_on else None

        def decide(job: Job, now: datetime) -> Job:
            job = replace(job, context=context, dry_run=draft.dry_run, prepared=True)
            return self._decider.pre_processed(job, now, self._cause, go_on=run_seat is not None)

        try:
            job = await self._end(pulse, decide)
            if run_seat and job.status is Status.PROCESSING:
                self._seat, run_seat = run_seat, self._seat
            return job
        finally:
            if run_seat:
                run_seat.leave()

    async def _ended_by(self, error: BaseException, pulse: Pulse) -> Job:
        """The strategy did not come to its end. What interrupted it counts for more than how it took that."""
        match self._interrupt, error:
            case "lost", _:
                raise LeaseLost(f"The lease on job {self.job.id} was lost") from error
            case "released", _:
                return await self._end(pulse, self._decider.released)
            case "canceled", _:
                await self._clean_up(pulse.handle)
                return await self._end(pulse, self._decider.released)
            case "stalled", _:
                stalled = RunStalled(f"The run made no progress for {self._strategy.stall_seconds:g} seconds")
                return await self._lost(stalled, pulse)
            case _, StrategyError():
                reason = str(error)
                return await self._end(pulse, lambda job, now: self._decider.failed(job, now, reason, self._cause))
            case _, Exception():
                self._log.warning("run_failed", exc_info=error)
                return await self._lost(error, pulse)
            case _:
                raise error

    async def _lost(self, error: Exception, pulse: Pulse) -> Job:
        """The run failed; the strategy says whether another may do better."""
        text = str(error) if isinstance(error, RunStalled) else f"{type(error).__name__}: {error}"
        view = JobView(self.job.id, self.job.type, self.job.phase, self.job.failures + 1)
        try:
            retry = await self._around.host.call(self._strategy.should_retry, view, error)
        except Exception as second:  # noqa: BLE001 - it must not hide the error that it was asked about
            self._log.error("should_retry_failed", exc_info=second)
            retry = True
        jitter = random.uniform(0.5, 1.5)
        return await self._end(
            pulse, lambda job, now: self._decider.run_lost(job, now, text, self._cause, retry=retry, jitter=jitter)
        )

    async def _clean_up(self, handle: RunHandle) -> None:
        if not _overrides(self._strategy, "on_canceled"):
            return
        handle.allow_cleanup()
        try:
            await self._around.host.call(self._strategy.on_canceled, handle)
        except Exception as error:  # noqa: BLE001 - the operator gets to know; the job is canceled all the same
            self._log.error("on_canceled_failed", exc_info=error)

    async def _end(self, pulse: Pulse, decide: Callable[[Job, datetime], Job]) -> Job:
        """The write that ends the phase; a job that was canceled meanwhile is stopped instead."""
        await self._keep_row_errors(pulse.handle)
        await pulse.stop(tell=True)
        self._lease_ends = self._ledger.clock.monotonic() + self._around.limits.lease
        fence, result = self.job.fence, pulse.handle.snapshot()
        if len(to_json(result)) > MAX_RESULT_BYTES:
            result, decide = None, self._too_large

        def decide_ours(job: Job, now: datetime) -> Job:
            if job.fence != fence or job.lease is None:
                raise LeaseLost(f"Job {job.id} was given to another worker")
            job = replace(job, result=result)
            return self._decider.stopped(job, now, self._cause) if job.terminal else decide(job, now)

        while True:
            try:
                return await self._ledger.change(self.job, decide_ours, by_owner=True)
            except TooLarge:
                result, decide = None, self._too_large
            except StoreUnavailable:
                if self._ledger.clock.monotonic() >= pulse.lease_ends:
                    raise
                await asyncio.sleep(_TRY_AGAIN)

    def _too_large(self, job: Job, now: datetime) -> Job:
        reason = f"The job's result was dropped: it is larger than the {MAX_RESULT_BYTES:,} bytes that a job may keep"
        return self._decider.failed(job, now, reason, self._cause)

    async def _keep_row_errors(self, handle: RunHandle) -> None:
        """The job keeps the first errors; all of them go into a file."""
        if not handle.row_errors.tell():
            return
        key = f"errors/{self.job.id}/{self.job.phase}-{self.job.fence}.jsonl"
        handle.row_errors.seek(0)
        try:
            async with self._around.host.services.files.write(key) as file:
                while chunk := handle.row_errors.read(65536):
                    await file.write(chunk)
        except OSError as error:
            self._log.error("row_errors_not_kept", reason=str(error))
        else:
            handle.result["errors_file"] = key

    # -- interrupts ------------------------------------------------------------------------------------------------

    def _tell_strategy(self, handle: RunHandle) -> None:
        if self._interrupt == "canceled":
            handle.cancel()
        else:
            handle.lose()

    def _stop_call(self) -> None:
        if self._call:
            self._call.stop()

    def _leave_seat(self) -> None:
        """A strategy that runs on in its thread keeps its slot until it ends; past a limit the process has to go."""
        call, loop = self._call, asyncio.get_running_loop()
        if call is None or call.future.done():
            self._seat.leave()
            return
        reason = f"The strategy {self._strategy.identifier} cannot be stopped in job {self.job.id}"
        self._log.error("strategy_stuck", reason=reason)
        last_resort = loop.call_later(self._around.limits.stuck, self._around.give_up, reason)

        def ended() -> None:
            last_resort.cancel()
            self._seat.leave()

        call.future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended))


class RunStalled(Exception):
    """A run made no progress for longer than its strategy allows."""


def actor_of(created_by: str) -> Actor:
    """Services on the bus are in a name space of their own: `bus:<name>`."""
    return Actor(created_by, "service" if created_by.startswith("bus:") else "user")


def context_faults(error: ValidationError) -> str:
    """What a context model found wrong, each fault with the field it is about."""
    faults = (f"{'.'.join(map(str, fault['loc'])) or 'context'}: {fault['msg']}" for fault in error.errors())
    return "The context is not what this batch type takes: " + "; ".join(faults)


def _lease_ends(job: Job, clock: Clock) -> float:
    """On the monotonic clock: the write that granted the lease may have been answered late."""
    assert job.lease is not None
    return clock.monotonic() + (job.lease.expires_at - clock.now()).total_seconds()


def _overrides(strategy: BatchStrategy[Any], method: str) -> bool:
    return getattr(type(strategy), method) is not getattr(BatchStrategy, method)

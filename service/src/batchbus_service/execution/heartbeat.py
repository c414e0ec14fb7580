"""The heartbeat of one phase of a run: renews the lease, writes checkpoints, publishes and stores progress."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, Self

from batchbus_events import topics
from batchbus_events.bus import Bus, BusError
from batchbus_service.domain.errors import NotStorable, StoreUnavailable
from batchbus_service.domain.job import Checkpoint, Job, Status
from batchbus_service.domain.ports import Renewal
from batchbus_service.domain.result import JobResult
from batchbus_service.domain.signal import Signal
from batchbus_service.execution.execution import RunControl
from batchbus_service.execution.job_run import CheckpointRequest, Progress
from batchbus_service.execution.lease import Lease
from batchbus_service.journal import messages
from batchbus_service.journal.transitions import Transitions
from batchbus_strategies import Json, LeaseLost, StrategyError
from batchbus_strategies.json_values import NotJson

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["TRY_AGAIN", "Heartbeat", "Interrupt", "RunLimits"]

Interrupt = Literal["canceled", "released", "stalled", "lost"]
"""Why a run has to end before its strategy does: someone canceled the job, the worker shuts down, nothing moves any
more, or the lease is gone."""


_PERSIST_EVERY: Final = 1.0
"""Seconds between two writes of a run's progress."""
_PROGRESS_TIMEOUT: Final = 2.0
TRY_AGAIN: Final = 1.0
"""Seconds until a write that the database did not answer is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How long things may take, in seconds."""

    lease: float = 30.0
    progress_interval: float = 0.25
    cancel_grace: float = 5.0
    """How long a stopped strategy may go on before it is cancelled at its next await."""
    stuck: float = 600.0
    """How long a strategy that cannot be stopped is waited for before the worker process gives up."""
    last_answers: float = 5.0
    """How long a worker that stops waits for the answers to its last writes."""


class Heartbeat:
    """Beats within its `async with`, and between `stop` and `start` not. It serves the run, which does not know it."""

    def __init__(
        self,
        job: Job,
        job_run: RunControl,
        lease: Lease,
        transitions: Transitions,
        bus: Bus,
        limits: RunLimits,
        stall_seconds: float,
        log: FilteringBoundLogger,
    ) -> None:
        self.job_run = job_run
        self.run_must_end: Signal[Interrupt] = Signal()
        """Sent when something that the heartbeat has noticed ends the run."""
        self._job = job
        self._transitions = transitions
        self._clock = transitions.clock
        self._bus = bus
        self._limits = limits
        self._stall_seconds = stall_seconds
        self._log = log
        self._started_at = self._renewed_at = self._clock.monotonic()
        self._lease = lease
        self.checkpoint = job.checkpoint
        """As heartbeats have written it."""
        self._result = job.result
        self._one_write = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._publishing: asyncio.Task[None] | None = None
        self._published: Progress | None = None
        self._stopped = False
        self.got_on = False
        """Whether this run has made a checkpoint."""
        self._began = job_run.progress()
        """Where the run took the phase up: what it does itself is measured from there."""
        self._measured = self._began
        job_run.progressed.connect(self._progressed)
        job_run.checkpoints.connect(lambda request: request.wait_for(self._spawn(self._save(request))))

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # A strategy that runs on in its thread learns that the job is no longer its own.
        self.job_run.lose()
        await self.stop(publish=False)

    def start(self) -> None:
        self._stopped = False
        self._timer = asyncio.get_running_loop().call_later(self._limits.lease / 3, self._renew_now)

    async def stop(self, *, publish: bool) -> None:
        """When this returns, nothing more is written or published. `publish`: how far the run got, if that is news."""
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        if self._publishing:
            self._publishing.cancel()
        progress = self.job_run.progress()
        self._measure(progress)
        if publish and progress != self._published and (self._published or progress.advanced):
            await self._publish(progress)
        async with self._one_write:
            pass

    # -- the lease -------------------------------------------------------------------------------------------------

    def _renew_now(self) -> None:
        self._spawn(self._keep_lease())

    async def _keep_lease(self) -> None:
        """Renew the lease; look whether someone canceled the job, whose event may have been lost, or it has stalled."""
        pause = self._limits.lease / 3
        try:
            await self._renew()
            stored = await self._transitions.store.get(self._job.id)
            if stored and stored.status is Status.CANCELED:
                self.run_must_end.send("canceled")
        except StoreUnavailable as error:
            self._log.warning("heartbeat_missed", reason=str(error))
            pause = TRY_AGAIN
        except Exception as error:  # noqa: BLE001 - the operator gets to know; the heart has to go on beating
            self._log.error("heartbeat_failed", exc_info=error)
            pause = TRY_AGAIN
        if self._lease.expired:
            self.run_must_end.send("lost")
        if self._clock.monotonic() - self.job_run.touched > self._stall_seconds:
            self.run_must_end.send("stalled")
        if not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(pause, self._renew_now)

    async def _save(self, request: CheckpointRequest) -> None:
        """Make a checkpoint durable, after the row errors up to it. It is tried until the lease ends."""
        await self.job_run.write_row_errors()
        while True:
            try:
                return await self._renew(request.checkpoint)
            except StoreUnavailable as error:
                if self._lease.expired:
                    self.run_must_end.send("lost")
                    raise LeaseLost(f"The lease on job {self._job.id} has run out") from error
                await asyncio.sleep(TRY_AGAIN)
            except NotStorable as error:
                raise StrategyError(f"The checkpoint cannot be kept. {error}", public=True) from error

    async def _renew(self, checkpoint: Checkpoint | None = None) -> None:
        """One write: progress, checkpoint, lease. A caller that is cancelled does not end it: the driver would not."""
        await asyncio.shield(self._spawn(self._write_heartbeat(checkpoint)))

    async def _write_heartbeat(self, checkpoint: Checkpoint | None) -> None:
        async with self._one_write:
            if self._stopped:
                return
            started, lease_would_end = self._clock.monotonic(), self._lease.if_renewed()
            renewal = Renewal(
                job_id=self._job.id,
                fence=self._job.fence,
                expires_at=self._clock.now() + timedelta(seconds=self._limits.lease),
                result=self._snapshot(),
                published=self._transitions.outbox.published(self._job),
                checkpoint=checkpoint,
            )
            try:
                kept = await self._transitions.store.renew(renewal)
            except NotStorable as error:
                # The run may still make it smaller. If not, the job fails when it ends; the lease is kept until then.
                self._log.warning("progress_not_stored", reason=str(error))
                renewal = replace(renewal, result=self._result)
                kept = await self._transitions.store.renew(renewal)
            if not kept:
                self.run_must_end.send("lost")
                return
            self._result = renewal.result
            if checkpoint:
                self.checkpoint, self.got_on = checkpoint, True
            self._renewed_at = started
            self._lease.renew(lease_would_end)

    def _snapshot(self) -> JobResult | None:
        """The result as of now; as it was stored last while it is not JSON. If it stays so, the job fails when it ends."""
        try:
            return self.job_run.snapshot()
        except NotJson as error:
            self._log.warning("progress_not_stored", reason=str(error))
            return self._result

    # -- progress --------------------------------------------------------------------------------------------------

    def _progressed(self, _: None) -> None:
        """The strategy has signalled an advance: tell of it now, and then not again for an interval."""
        if self._publishing is None and not self._stopped:
            self._publishing = self._spawn(self._publish_for_a_while())

    async def _publish_for_a_while(self) -> None:
        try:
            while (progress := self.job_run.progress()) != self._published:
                await self._publish(progress)
                if self._clock.monotonic() - self._renewed_at >= _PERSIST_EVERY:
                    await self._renew()
                # A throttle, not a wait for something: the next advance may come at any time.
                await asyncio.sleep(self._limits.progress_interval)
        except StoreUnavailable as error:
            self._log.warning("progress_not_stored", reason=str(error))
        finally:
            self._publishing = None

    async def _publish(self, progress: Progress) -> None:
        before, self._published = self._published, progress
        self._measure(progress)
        message = messages.progress(self._job, self._data(progress), self._clock.now())
        try:
            async with asyncio.timeout(_PROGRESS_TIMEOUT):
                await self._bus.publish(topics.EVENTS, message)
        except (BusError, TimeoutError) as error:
            self._log.debug("progress_not_published", reason=str(error))
        except asyncio.CancelledError:
            self._published = before  # whether it got out is not known
            raise

    def _measure(self, progress: Progress) -> None:
        before, self._measured = self._measured, progress
        records, row_errors = progress.advanced - before.advanced, progress.errors - before.errors
        if records > 0 or row_errors > 0:
            self._transitions.meter.advanced(self._job.type, self._job.phase, max(0, records), max(0, row_errors))

    def _data(self, progress: Progress) -> dict[str, Json]:
        elapsed = self._clock.monotonic() - self._started_at
        rate = (progress.advanced - self._began.advanced) / elapsed if elapsed > 0 else 0.0
        data: dict[str, Json] = {
            "id": self._job.id,
            "type": self._job.type,
            "phase": self._job.phase,
            "run": self._job.fence,
            "advancement_count": progress.advanced,
            "rate": round(rate, 2),
            "errors": progress.errors,
        }
        if progress.message is not None:
            data["message"] = progress.message
        if progress.count is not None and self._job.phase == "process":
            data["count"] = progress.count
        if progress.share is not None:
            data["progress"] = round(progress.share, 4)
            gained = progress.share - (self._began.share or 0.0)
            if gained > 0:
                data["seconds_left"] = round(elapsed / gained * (1 - progress.share), 1)
        return data

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

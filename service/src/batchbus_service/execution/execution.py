"""Where the strategy of a run is executed. The run does not know whether that is its own process or a child of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import traceback
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from batchbus_service.domain.job import Job
from batchbus_service.domain.ports import Clock
from batchbus_service.domain.result import JobResult
from batchbus_service.domain.signal import Signal
from batchbus_service.execution.executor import Call, StrategyExecutor, StrategyRaised, tamed
from batchbus_service.execution.job_run import CheckpointRequest, EngineJobRun, Progress
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.preparation import checked_context, overrides, prepare
from batchbus_service.execution.worker_services import WorkerServices
from batchbus_strategies import Draft, JobView, Json, StrategyError
from batchbus_strategies.computing import ComputationDied
from batchbus_strategies.driver_errors import driver_sentence, driver_sentence_without_values
from batchbus_strategies.registry import Strategy
from batchbus_strategies.waiting import CURRENT_RUN

_CAUSES: Final = 10
"""The most causes of an error that the log names."""

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = [
    "Abandoned",
    "Execution",
    "Executions",
    "InProcess",
    "ProcessDied",
    "RaisedInChild",
    "RemoteTraceback",
    "RunControl",
    "RunStalled",
    "error_text",
    "public_text",
    "traceback_of",
]

_ADVICE_SECONDS: Final = 60.0
"""How long `should_retry` may take."""


class Abandoned(Exception):
    """The strategy was to stop, and did not: it is waited for no longer."""


class ProcessDied(Exception):
    """The process that a run had for itself has ended under it. The message says how, and where it was."""


class RaisedInChild(Exception):
    """A strategy's error in another process. The message is in the words in which a job keeps it.

    `full`: a disk had no room, or a quota.
    """

    def __init__(self, text: str, *, full: bool = False, public: str | None = None) -> None:
        """`public`: the same for events and logs, if that is another text."""
        super().__init__(text)
        self.full = full
        self.public = text if public is None else public


class RemoteTraceback(Exception):
    """Shows a traceback of a child as the cause of what was raised here, as `concurrent.futures` does."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class RunStalled(Exception):
    """A run made no progress for longer than its strategy allows."""


class RunControl(Protocol):
    """The engine's side of a `JobRun`: what is known of the run, and how it is made to stop."""

    touched: float
    """When the strategy last gave a sign of life, on the monotonic clock."""
    context_changes: dict[str, Json]
    progressed: Signal[None]
    """Sent once when the strategy gets on, and again only after `progress` was asked for."""
    checkpoints: Signal[CheckpointRequest]
    """Sent for each checkpoint that the strategy makes. Its listener makes it durable."""

    def cancel(self) -> None: ...
    def release(self) -> None: ...
    def lose(self) -> None: ...
    def progress(self) -> Progress: ...
    def snapshot(self) -> JobResult | None: ...
    def least_result(self) -> JobResult | None: ...

    async def write_row_errors(self) -> None:
        """Keep those that belong to the next checkpoint."""


class Execution(Protocol):
    """The strategy of one run. `work` and the others are about the phase that was begun last."""

    killable: bool
    """Whether `abandon` really ends what the strategy does."""

    def begin(self, job: Job) -> RunControl:
        """Begin a phase: from now on the strategy can be set to work on it."""

    async def work(self) -> Draft:
        """Let the strategy do the phase. Returns the draft as `prepare` left it.

        Raises what the strategy raises, `Abandoned`, and `ProcessDied`.
        """

    async def clean_up(self, within: float) -> None:
        """Let the strategy clean up after a job that was canceled. Raises as `work` does, and `TimeoutError`.

        `within`: the seconds that the strategy itself may take.
        """

    async def keep_row_errors(self) -> None:
        """Write the row errors that were reported since the last checkpoint."""

    async def should_retry(self, view: JobView, error: Exception) -> bool:
        """What the strategy says about another run after `error`, which ended this one."""

    def stop(self) -> None:
        """Cancel what the strategy does, at its next await."""

    def abandon(self) -> None:
        """Wait for the strategy no longer: `work` or `clean_up` ends with `Abandoned`."""

    @property
    def still_running(self) -> concurrent.futures.Future[None] | None:
        """What an abandoned strategy still does in this process."""

    async def close(self) -> None:
        """The run has ended."""


class Executions(Protocol):
    """Finds the place for a run."""

    def open(self, job: Job, strategy: Strategy, lease: Lease, log: FilteringBoundLogger) -> Execution: ...


class InProcess:
    """A strategy in this process, on the loop or in a thread of its `StrategyExecutor`. Implements `Execution`."""

    killable = False

    def __init__(
        self,
        executor: StrategyExecutor,
        clock: Clock,
        strategy: Strategy,
        lease: Lease,
        log: FilteringBoundLogger,
        worker: WorkerServices,
    ) -> None:
        self._executor = executor
        self._worker = worker
        self._clock = clock
        self._strategy = strategy
        self._lease = lease
        self._log = log
        self._job: Job
        self._job_run: EngineJobRun
        self._call: Call[None] | None = None
        self._abandoned = asyncio.Event()

    def begin(self, job: Job) -> EngineJobRun:
        self._job = job
        self._job_run = EngineJobRun(
            job, self._executor.services, self._log, self._clock, lease=self._lease, worker=self._worker
        )
        return self._job_run

    async def work(self) -> Draft:
        job, strategy, job_run = self._job, self._strategy, self._job_run
        draft = Draft(job.type, deepcopy(job.context), job.dry_run)
        if job.prepared:
            context = checked_context(strategy, draft)
        else:
            context = await prepare(self._let, strategy, draft, job.created_by)
        job_run.bind(context)
        if overrides(strategy, job.phase):
            await self._let(strategy.pre_process if job.phase == "pre_process" else strategy.process, job_run)
        # A phase that could not say which records it did not use has not succeeded: it is tried again.
        await self.keep_row_errors()
        return draft

    async def clean_up(self, within: float) -> None:
        if overrides(self._strategy, "on_canceled"):
            self._job_run.allow_cleanup()
            async with asyncio.timeout(within):
                await self._let(self._strategy.on_canceled, self._job_run)

    async def keep_row_errors(self) -> None:
        self._job_run.row_errors.cut()
        await self._job_run.write_row_errors()

    async def should_retry(self, view: JobView, error: Exception) -> bool:
        try:
            async with asyncio.timeout(_ADVICE_SECONDS):
                return tamed(bool, await self._executor.call(self._strategy.should_retry, view, error))
        except Exception as second:  # noqa: BLE001 - it must not hide the error that it was asked about
            self._log.error("should_retry_failed", exception=traceback_of(second))
            return True

    def stop(self) -> None:
        if self._call:
            self._call.stop()

    def abandon(self) -> None:
        self._abandoned.set()

    @property
    def still_running(self) -> concurrent.futures.Future[None] | None:
        return None if self._call is None or self._call.future.done() else self._call.future

    async def close(self) -> None:
        """The strategies' host goes on, for other runs."""

    async def _let(self, method: Callable[..., Awaitable[None] | None], *args: object) -> None:
        """Wait for the strategy; or, if it was to stop and does not, no longer than until it is abandoned."""
        current = CURRENT_RUN.set(self._job_run)
        call = self._call = self._executor.start(method, *args)  # which takes the context over
        CURRENT_RUN.reset(current)
        done = asyncio.wrap_future(call.future)
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        try:
            await asyncio.wait((done, abandoned), return_when=asyncio.FIRST_COMPLETED)
        finally:
            abandoned.cancel()
        if not done.done():
            raise Abandoned
        self._call = None
        done.result()


def error_text(error: BaseException) -> str:
    """What a job keeps of the error that ended a run. To be asked while the error has its traceback."""
    if isinstance(error, RunStalled | ProcessDied | RaisedInChild | ComputationDied | StrategyRaised):
        return str(error)
    return driver_sentence(error) or f"{type(error).__name__}: {error}"


def public_text(error: BaseException) -> str:
    """The same for events and logs, which have other readers than the job: without values of cells and records.

    What an exception says that nobody has declared to be public may be a value, as with `KeyError` and `ValueError`. So it is
    named by its type and by where it was raised.
    """
    match error:
        case StrategyError():
            return error.for_events()
        case RaisedInChild():
            return error.public
        case RunStalled() | ProcessDied() | ComputationDied() | StrategyRaised():
            return str(error)
    if sentence := driver_sentence_without_values(error):
        return sentence
    frames = traceback.extract_tb(error.__traceback__)
    at = f" in {frames[-1].name} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{at}: the job has the message"


def traceback_of(error: BaseException) -> str:
    """Where an error was raised, and what caused it, for the log: the calls and the types, without the messages."""
    parts: list[str] = []
    each: BaseException | None = error
    while each is not None and len(parts) < _CAUSES:
        message = str(each) if isinstance(each, RemoteTraceback) else ""
        calls = "".join(traceback.format_tb(each.__traceback__))
        parts.append(f"{calls}{type(each).__name__}{message}")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\ncaused this:\n".join(reversed(parts))

"""The `JobRun` that a strategy sees: it counts and collects in the strategy's thread, and the engine reads along.

Every field is written by one thread only; the engine takes a snapshot when it writes or publishes. That needs no
lock: a reference is replaced, never a dict that the engine may be encoding.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import to_json

from batchbus_service.domain.job import Checkpoint, Job, plain
from batchbus_service.domain.ports import Clock
from batchbus_service.domain.result import MAX_ERRORS, JobResult
from batchbus_service.domain.signal import Signal
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.row_errors import RowErrorLog
from batchbus_service.execution.worker_services import Asking, WorkerServices
from batchbus_strategies import Json, LeaseLost, Phase, RunCanceled, Services, StrategyError
from batchbus_strategies.computing import packed_call, result_of
from batchbus_strategies.fenced import FencedWriter
from batchbus_strategies.json_values import CheckedResult, NotJson, as_count, as_json, as_object, as_text
from batchbus_strategies.limits import Permit, checked_limit
from batchbus_strategies.sync import Sync
from batchbus_strategies.waiting import Interruption, Yields, in_a_loop

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from batchbus_strategies import Catalog, Files, RecordWrite, Written

__all__ = ["MAX_CHECKPOINT_BYTES", "MAX_RESULT_BYTES", "CheckpointRequest", "EngineJobRun", "Progress"]

T = TypeVar("T")

MAX_CHECKPOINT_BYTES: Final = 64 * 1024
MAX_RESULT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, as its events tell it."""

    count: int | None
    advanced: int
    share: float | None
    """From 0 to 1; None while that is not known."""
    errors: int
    message: str | None


class CheckpointRequest:
    """A strategy has made a checkpoint, and waits until it is durable."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.saved: concurrent.futures.Future[None] = concurrent.futures.Future()
        """What the strategy waits for; it raises `LeaseLost` and `StrategyError`."""

    def wait_for(self, saving: asyncio.Future[None]) -> None:
        """The strategy goes on when `saving` has ended, and learns how."""
        saving.add_done_callback(self._answer)

    def _answer(self, saving: asyncio.Future[None]) -> None:
        error = None if saving.cancelled() else saving.exception()
        if not self.saved.set_running_or_notify_cancel():
            return  # the strategy was cancelled meanwhile, and does not wait any more
        if saving.cancelled():
            self.saved.set_exception(concurrent.futures.CancelledError())
        elif error:
            self.saved.set_exception(error)
        else:
            self.saved.set_result(None)


class EngineJobRun:
    """Implements `JobRun`, and for the engine `execution.RunControl`."""

    def __init__(
        self,
        job: Job,
        services: Services,
        log: FilteringBoundLogger,
        clock: Clock,
        *,
        lease: Lease,
        worker: WorkerServices,
    ) -> None:
        self.progressed: Signal[None] = Signal()
        self.checkpoints: Signal[CheckpointRequest] = Signal()
        self._job = job
        self._context: BaseModel | None = None
        self._services = services
        self._sync = Sync(services, self.compute)
        self._log = log
        self._clock = clock
        self._engine = asyncio.get_running_loop()
        self._lease = lease
        self._stop: type[RunCanceled] | type[LeaseLost] | None = None
        self._released = False
        self._interruption = Interruption()
        """Ends what the strategy waits for when it is to stop."""
        self._asking = Asking(worker, clock, self._interruption, self._check)
        self._in_chunk = False
        """Between `ensure_lease` and the `advance` behind the write that it was called for."""
        self._writer = FencedWriter(job.id, job.fence)
        self._signalled = False
        self._message: str | None = None
        self._share: float | None = None

        resumed = job.checkpoint if job.checkpoint and job.checkpoint.phase == job.phase else None
        self.resume_from: Json = resumed.state if resumed else None
        self._advanced = resumed.advanced if resumed else 0
        # What earlier runs left, and a strategy may have written over: only what is of its kind is taken up.
        result = job.result or JobResult()
        self.error_count = resumed.errors if resumed else 0
        self._errors = result.errors[: self.error_count]
        self._descriptors = {str(entry.get("key")): entry for entry in result.stat_descriptors}
        self._count = result.count
        self.row_errors = RowErrorLog(job, services, kept=resumed.error_parts if resumed else 0)
        self.result = CheckedResult()
        kept = JobResult(result.added, file_key=result.file_key, file_size=result.file_size)
        for key, value in kept.to_json().items():
            try:
                self.result[key] = value
            except NotJson as error:  # as older versions stored it
                log.warning("part_of_the_result_left_out", reason=str(error))
        self.context_changes: dict[str, Json] = {}
        self.touched = self._clock.monotonic()
        """When the strategy last gave a sign of life."""

    # -- what the strategy sees ------------------------------------------------------------------------------------

    @property
    def job_id(self) -> str:
        return self._job.id

    @property
    def job_type(self) -> str:
        return self._job.type

    @property
    def phase(self) -> Phase:
        return self._job.phase

    @property
    def dry_run(self) -> bool:
        return self._job.dry_run

    @property
    def run_number(self) -> int:
        return self._job.fence

    @property
    def context(self) -> Any:
        return self._context

    @property
    def files(self) -> Files:
        return self._services.files

    @property
    def catalog(self) -> Catalog:
        return self._services.catalog

    @property
    def sync(self) -> Sync:
        return self._sync.checked()

    @property
    def log(self) -> FilteringBoundLogger:
        return self._log

    def expect(self, count: int) -> None:
        self._count = as_count(count, "expect: count")
        self._signal()

    def advance(self, n: int = 1, *, message: str | None = None, share: float | None = None) -> Awaitable[None]:
        self._advanced += as_count(n, "advance: n")
        if share is not None:
            self._share = max(self._share or 0.0, min(share, 1.0))
        if message is not None:
            self._message = plain(as_text(message, "advance: message"))
        self.touched = self._clock.monotonic()
        self._signal()
        self._check(may_go_on=self._in_chunk)
        self._in_chunk = False
        return Yields()

    def checkpoint(self, state: Json) -> Awaitable[None]:
        self._check(may_go_on=True)
        state = as_json(state, "checkpoint")
        size = len(to_json(state))
        if size > MAX_CHECKPOINT_BYTES:
            raise StrategyError(
                f"A checkpoint may have {MAX_CHECKPOINT_BYTES:,} bytes; this one has {size:,}", public=True
            )
        self.touched = self._clock.monotonic()
        checkpoint = Checkpoint(self.phase, state, self._advanced, self.error_count, self.row_errors.cut())
        request = CheckpointRequest(checkpoint)
        self._engine.call_soon_threadsafe(self.checkpoints.send, request)
        if not in_a_loop():
            request.saved.result()
            self._check()
            return Yields()
        return self._saved(request.saved)

    def describe(self, key: str, name: str, message: str) -> None:
        texts = {"key": key, "name": name, "message": message}
        entry = {part: as_text(text, f"describe: {part}") for part, text in texts.items()}
        self._descriptors = {**self._descriptors, key: as_object(entry, "describe")}

    def row_error(self, *, line: int, column: str | None, code: str, message: str, value: str | None = None) -> None:
        line = as_count(line, "row_error: line")
        code, message = plain(as_text(code, "row_error: code")), plain(as_text(message, "row_error: message"))
        column = None if column is None else plain(as_text(column, "row_error: column"))
        value = None if value is None else plain(as_text(value, "row_error: value"))
        row = {"line": line, "column": column, "code": code, "message": message, "value": value}
        self.row_errors.add(row)
        self.error_count += 1
        if len(self._errors) < MAX_ERRORS:
            self._errors = (*self._errors, _as_text(line, column, message, value))
        self.touched = self._clock.monotonic()
        self._signal()

    def update_context(self, changes: Mapping[str, Json]) -> None:
        self.context_changes = {**self.context_changes, **as_object(changes, "context")}

    def ensure_lease(self) -> None:
        self._check()
        if self._lease.expired:
            raise LeaseLost(f"The lease on job {self.job_id} has run out")
        self._in_chunk = True

    def sleep(self, seconds: float) -> Awaitable[None]:
        self._check()
        if in_a_loop():
            return self._slept(seconds)
        self._interruption.wait_blocking(seconds=seconds)
        self._check()
        return Yields()

    def limit(self, name: str, *, per_second: float) -> Permit:
        name, per_second = checked_limit(name, per_second)
        self._check()
        if in_a_loop():
            return Permit(self._permitted(name, per_second))
        self._asking.permit_blocking(name, per_second)
        self.touched = self._clock.monotonic()
        return Permit()

    def compute(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        self._check()
        call = packed_call(function, args)
        if in_a_loop():
            return cast("Awaitable[T]", self._computed(call))
        result = result_of(self._asking.compute_blocking(call))
        self.touched = self._clock.monotonic()
        return cast("Awaitable[T]", result)

    def write(self, collection: str, records: Sequence[RecordWrite], *, step: int | None = None) -> Awaitable[Written]:
        self.ensure_lease()
        self.touched = self._clock.monotonic()
        if in_a_loop():
            return self._writer.write(self.catalog[collection], records, step)
        return self._writer.write_blocking(self.catalog[collection].delegate, records, step)

    # -- what the engine does with it ------------------------------------------------------------------------------

    def bind(self, context: BaseModel) -> None:
        """Give the strategy its context, checked."""
        self._context = context

    async def write_row_errors(self) -> None:
        """Put those that belong to a checkpoint into the file store."""
        await self.row_errors.write()

    def allow_cleanup(self) -> None:
        """Stop raising `RunCanceled`, so that `on_canceled` can work."""
        self._stop = None
        self._interruption.clear()

    def cancel(self) -> None:
        """Have `RunCanceled` surface in the strategy."""
        self._stop = self._stop or RunCanceled
        self._interruption.set()

    def release(self) -> None:
        """Have `LeaseLost` surface in the strategy, but not before a chunk that is written has its checkpoint."""
        self._released = True
        self._interruption.set()

    def lose(self) -> None:
        """Have `LeaseLost` surface in the strategy."""
        self._stop = LeaseLost
        self._interruption.set()

    def progress(self) -> Progress:
        """As of now. The next advance signals again."""
        self._signalled = False
        share = self._share
        # What a preview counts is its outcome, not what it has to work through.
        if share is None and self.phase == "process" and self._count is not None:
            share = _share(self._advanced, self._count)
        return Progress(self._count, self._advanced, share, self.error_count, self._message)

    def snapshot(self) -> JobResult | None:
        """The job's `result` as of now: what is known of numbers, and what the strategy added. Raises `NotJson`."""
        result = JobResult.read(as_object(self.result, "result"))
        if self._count is not None:
            result = replace(result, count=self._count, advancement_count=0)
        if self.phase == "process" and (self._advanced or self._count is not None):
            result = replace(result, advancement_count=self._advanced)
            if self._count is not None:
                result = replace(result, progress=_share(self._advanced, self._count))
        if self._descriptors:
            result = replace(result, stat_descriptors=tuple(self._descriptors.values()))
        if self._errors:
            result = replace(result, errors=self._errors, error_count=self.error_count)
        result = replace(result, error_parts=self.row_errors.parts)
        return None if result == JobResult() else result

    def least_result(self) -> JobResult | None:
        """What stays of a result that the job cannot keep: where its row errors are."""
        parts = self.row_errors.parts
        return JobResult(error_parts=parts) if parts else None

    def _signal(self) -> None:
        if not self._signalled:
            self._signalled = True
            self._engine.call_soon_threadsafe(self.progressed.send, None)

    def _check(self, *, may_go_on: bool = False) -> None:
        """`may_go_on`: the lease is still held, so that a release can wait until what was written is kept."""
        if self._stop is not None:
            raise self._stop(f"Job {self.job_id}")
        if self._released and not may_go_on:
            raise LeaseLost(f"Job {self.job_id}")

    async def _slept(self, seconds: float) -> None:
        await self._interruption.wait(seconds=seconds)
        self._check()

    async def _computed(self, call: bytes) -> object:
        answer = await self._asking.compute(call)
        self.touched = self._clock.monotonic()
        return result_of(answer)

    async def _permitted(self, name: str, per_second: float) -> None:
        await self._asking.permit(name, per_second)
        self.touched = self._clock.monotonic()

    async def _saved(self, saved: concurrent.futures.Future[None]) -> None:
        await asyncio.wrap_future(saved)
        self._check()


def _share(advanced: int, count: int) -> float:
    """Progress from 0 to 1, to four places."""
    return round(min(advanced / count, 1.0), 4) if count > 0 else 1.0


def _as_text(line: int, column: str | None, message: str, value: str | None) -> str:
    where = f"Line {line}" + (f', column "{column}"' if column else "")
    return f"{where}: {message}" + (f' (value: "{value}")' if value is not None else "")

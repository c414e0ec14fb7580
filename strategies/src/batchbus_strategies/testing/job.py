"""A job without an engine: it keeps between its runs what the engine would keep."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypedDict, TypeVar, Unpack, cast

import structlog
from pydantic import BaseModel
from pydantic_core import to_json

from batchbus_events.ids import new_job_id
from batchbus_strategies.computing import called, packed_call, result_of
from batchbus_strategies.fenced import FencedWriter
from batchbus_strategies.json_values import CheckedResult, as_count, as_json, as_object, as_text
from batchbus_strategies.limits import Permit, checked_limit
from batchbus_strategies.strategy import (
    Actor,
    BatchStrategy,
    Catalog,
    Document,
    Draft,
    Files,
    Json,
    LeaseLost,
    Phase,
    RunCanceled,
    Services,
)
from batchbus_strategies.sync import Sync
from batchbus_strategies.waiting import CURRENT_RUN, Yields, in_a_loop
from batchbus_strategies.writes import RecordWrite, Written

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["AnyJob", "Crash", "FakeJob", "FakeRun", "RowError"]

T = TypeVar("T")
C = TypeVar("C", bound=BaseModel)

_MAX_CHECKPOINT: Final = 64 * 1024


class Crash(Exception):
    """The worker process ended here, as far as the job is concerned."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What `JobRun.row_error` was told."""

    line: int
    """The line in the file, counted from 1, the header included."""
    column: str | None
    """The column at fault, or None if it is the whole record."""
    code: str
    """A word for programs."""
    message: str
    """What is wrong, for people."""
    value: str | None
    """What stood there."""


@dataclass(slots=True)
class _Saved:
    """What of a run is durable, as of one moment."""

    state: Json = None
    advanced: int = 0
    count: int | None = None
    errors: list[RowError] = field(default_factory=list)
    result: Document = field(default_factory=dict)
    descriptors: dict[str, dict[str, str]] = field(default_factory=dict)


class Interruptions(TypedDict, total=False):
    """What may interrupt a run, see `FakeJob.run`."""

    stop_at: int | None
    stop_with: type[BaseException]
    stop_behind: int | None


class FakeJob(Generic[C]):
    """One job, and what the engine would keep of it between its runs."""

    def __init__(
        self,
        strategy: BatchStrategy[C],
        context: Mapping[str, object],
        services: Services,
        *,
        dry_run: bool = False,
        job_id: str | None = None,
    ) -> None:
        self.strategy = strategy
        """The strategy that the job is carried out by."""
        self.services = strategy.services = services
        """What the strategy and its runs are lent."""
        self.context: Document = dict(context)
        """The job's context, as `prepare` and `update_context` have left it."""
        self.dry_run = dry_run
        """Whether the job is a dry run."""
        self.id = job_id or new_job_id()
        """The job's id."""
        self.runs: list[FakeRun[C]] = []
        """Every run, the first one first."""
        self.saved: dict[Phase, list[_Saved]] = {"pre_process": [], "process": []}
        """Every checkpoint of each phase, the first one first."""
        self.kept = _Saved()
        """What is durable of the phases that have ended, and of the last checkpoint."""

    @property
    def result(self) -> Document:
        """The job's result, as it is in the job document."""
        result = deepcopy(self.kept.result)
        if self.kept.count is not None:
            result |= {"count": self.kept.count, "advancement_count": self.kept.advanced}
        if self.kept.descriptors:
            result["stat_descriptors"] = list(self.kept.descriptors.values())
        return result

    @property
    def errors(self) -> list[RowError]:
        """The row errors that are kept of the job."""
        return self.kept.errors

    async def prepare(self, actor: Actor | None = None) -> None:
        """Have the strategy complete and check the draft. Raises `JobRefused` if it refuses."""
        draft = Draft(self.strategy.batch_type, self.context, self.dry_run)
        await _call(self.strategy.prepare, draft, actor or Actor("svc_test"))
        self.context, self.dry_run = draft.context, draft.dry_run

    async def pre_process(self, **interrupt: Unpack[Interruptions]) -> FakeRun[C]:
        """One run of the first phase; see `run` for what interrupts it."""
        return await self.run("pre_process", **interrupt)

    async def process(self, **interrupt: Unpack[Interruptions]) -> FakeRun[C]:
        """One run of the second phase; see `run` for what interrupts it."""
        return await self.run("process", **interrupt)

    async def run(
        self,
        phase: Phase,
        *,
        stop_at: int | None = None,
        stop_with: type[BaseException] = Crash,
        stop_behind: int | None = None,
    ) -> FakeRun[C]:
        """One run of a phase, from its last checkpoint on.

        At its `stop_at`-th call of `advance`, `checkpoint`, `ensure_lease`, `write`, `sleep`, `limit` or `compute`,
        counted from 1, `stop_with` surfaces; or else as soon as its `stop_behind`-th checkpoint is kept.
        """
        saved = deepcopy(self.saved[phase][-1] if self.saved[phase] else replace(self.kept, state=None, advanced=0))
        before = deepcopy(self.kept)
        run = FakeRun(self, phase, saved, stop_at, stop_with, stop_behind)
        self.runs.append(run)
        current = CURRENT_RUN.set(run)
        try:
            await _call(getattr(self.strategy, phase), run)
        except RunCanceled:
            await _call(self.strategy.on_canceled, run)
            self.kept = run.snapshot()
            raise
        except (Crash, LeaseLost):
            self.kept = deepcopy(self.saved[phase][-1] if self.saved[phase] else before)
            raise
        except BaseException:
            self.kept = run.snapshot()
            raise
        finally:
            CURRENT_RUN.reset(current)
        self.kept = run.snapshot()
        if phase == "pre_process":
            self.kept.advanced = 0
        self.context |= run.context_changes
        return run

    def rewind(self, phase: Phase, checkpoints: int) -> None:
        """Forget all but so many checkpoints of the phase, as if the job had crashed before the others."""
        del self.saved[phase][checkpoints:]


AnyJob: TypeAlias = FakeJob[Any]
"""A job of any strategy."""


class FakeRun(Generic[C]):
    """One run; implements `JobRun`."""

    def __init__(
        self,
        job: FakeJob[C],
        phase: Phase,
        saved: _Saved,
        stop_at: int | None,
        stop_with: type[BaseException],
        stop_behind: int | None,
    ) -> None:
        self._job = job
        self._stop_at = stop_at
        self._stop_with = stop_with
        self._stop_behind = stop_behind
        self.job_id = job.id
        self.job_type = job.strategy.batch_type
        self.phase = phase
        self.dry_run = job.dry_run
        self.run_number = len(job.runs) + 1
        self.context = cast(C, job.strategy.context_model.model_validate(job.context))
        self.resume_from = saved.state
        self.result = CheckedResult(saved.result)
        self.files: Files = job.services.files
        self.catalog: Catalog = job.services.catalog
        self._sync = Sync(job.services, self.compute)
        self.log: FilteringBoundLogger = structlog.get_logger("batchbus.test").bind(job_id=job.id)

        self._writer = FencedWriter(self.job_id, self.run_number)
        self.count = saved.count
        """What `expect` was told; None if it was not called."""
        self.advanced = saved.advanced
        """How many records `advance` was told of, by this run and those before it in the phase."""
        self.errors = saved.errors
        """What `row_error` was told."""
        self.descriptors = saved.descriptors
        """What `describe` was told, by key."""
        self.context_changes: dict[str, Json] = {}
        """What `update_context` was told."""
        self.messages: list[str] = []
        """The messages that `advance` was told."""
        self.sleeps: list[float] = []
        """The seconds that `sleep` was told, the pauses of `@retry` included. Nothing waits for them here."""
        self.permits: list[tuple[str, float]] = []
        """What `limit` was asked for: name, and permits a second. Nothing waits for them here."""
        self.calls: list[str] = []
        """Every call at which the run could have been stopped."""

    @property
    def sync(self) -> Sync:
        return self._sync.checked()

    def expect(self, count: int) -> None:
        self.count = as_count(count, "expect: count")

    def advance(self, n: int = 1, *, message: str | None = None, share: float | None = None) -> Awaitable[None]:
        self.advanced += n
        assert share is None or 0 <= share <= 1
        if message is not None:
            self.messages.append(message)
        self._may_stop("advance")
        return Yields()

    def checkpoint(self, state: Json) -> Awaitable[None]:
        self._may_stop("checkpoint")
        state = as_json(state, "checkpoint")
        assert len(to_json(state)) <= _MAX_CHECKPOINT, "a checkpoint may have 64 KiB"
        self._job.saved[self.phase].append(replace(self.snapshot(), state=deepcopy(state)))
        if self._stop_behind is not None and self.calls.count("checkpoint") >= self._stop_behind:
            raise self._stop_with
        return Yields()

    def describe(self, key: str, name: str, message: str) -> None:
        texts = {"key": key, "name": name, "message": message}
        self.descriptors[key] = {part: as_text(text, f"describe: {part}") for part, text in texts.items()}

    def row_error(self, *, line: int, column: str | None, code: str, message: str, value: str | None = None) -> None:
        self.errors.append(RowError(line, column, code, message, value))

    def update_context(self, changes: Mapping[str, Json]) -> None:
        self.context_changes |= as_object(changes, "context")

    def sleep(self, seconds: float) -> Awaitable[None]:
        self.sleeps.append(seconds)
        self._may_stop("sleep")
        return Yields()

    def compute(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """Calls the function in this process, and sees that another one could have been given it."""
        self._may_stop("compute")
        call = packed_call(function, args)
        return cast("Awaitable[T]", _computed(call) if in_a_loop() else result_of(called(call)))

    def limit(self, name: str, *, per_second: float) -> Permit:
        self.permits.append(checked_limit(name, per_second))
        self._may_stop("limit")
        return Permit(_yields()) if in_a_loop() else Permit()

    def ensure_lease(self) -> None:
        self._may_stop("ensure_lease")

    def write(self, collection: str, records: Sequence[RecordWrite], *, step: int | None = None) -> Awaitable[Written]:
        self._may_stop("write")
        if in_a_loop():
            return self._writer.write(self.catalog[collection], records, step)
        return self._writer.write_blocking(self.catalog[collection].delegate, records, step)

    def snapshot(self) -> _Saved:
        """What would be durable of the run if it ended now."""
        result = as_object(self.result, "result")
        return deepcopy(_Saved(None, self.advanced, self.count, self.errors, result, self.descriptors))

    def _may_stop(self, call: str) -> None:
        self.calls.append(call)
        if self._stop_at is not None and len(self.calls) >= self._stop_at:
            raise self._stop_with


async def _computed(call: bytes) -> object:
    return result_of(await asyncio.to_thread(called, call))


async def _yields() -> None:
    await Yields()


async def _call(method: Callable[..., Awaitable[None] | None], *arguments: object) -> None:
    """As the engine does: coroutines on this loop, plain functions in a thread."""
    if inspect.iscoroutinefunction(method):
        await method(*arguments)
    else:
        await asyncio.to_thread(method, *arguments)

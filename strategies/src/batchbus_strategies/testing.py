"""For the tests of strategies: a job without an engine, and the contract that every strategy has to pass.

    class TestMyStrategy(StrategyContract):
        async def new_job(self) -> FakeJob[MyContext]: ...   # in a world of its own, the same each time
        async def outcome(self, job: FakeJob[MyContext]) -> object: ...   # what the world looks like afterwards

Nothing here imports pytest; its test classes are found by their name.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Generic, TypeVar, cast

import structlog
from pydantic import BaseModel
from pydantic_core import to_json

from batchbus_events.ids import new_job_id
from batchbus_strategies.strategy import (
    Actor,
    BatchStrategy,
    Draft,
    FileMissing,
    Files,
    Json,
    LeaseLost,
    Phase,
    RunCanceled,
    Services,
)

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase
    from structlog.typing import FilteringBoundLogger

__all__ = ["Crash", "FakeJob", "FakeRun", "LocalFiles", "RowError", "StrategyContract"]

C = TypeVar("C", bound=BaseModel)

_MAX_CHECKPOINT: Final = 64 * 1024
_CHUNK: Final = 64 * 1024


class Crash(Exception):
    """The worker process ended here, as far as the job is concerned."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What `JobRun.row_error` was told."""

    line: int
    column: str | None
    code: str
    message: str
    value: str | None


class LocalFiles:
    """The file store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def size(self, key: str) -> int:
        path = self._folder / key
        if not path.is_file():
            raise FileMissing(f"There is no file {key}")
        return path.stat().st_size

    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        await self.size(key)
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    @asynccontextmanager
    async def write(self, key: str) -> AsyncIterator[_LocalWriter]:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with unfinished.open("wb") as file:
                yield _LocalWriter(file)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    async def delete(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)

    # -- for tests -------------------------------------------------------------------------------------------------

    def put(self, key: str, content: bytes) -> str:
        """Returns the key."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return key

    def get(self, key: str) -> bytes:
        return (self._folder / key).read_bytes()

    def all_keys(self) -> list[str]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in files)


class _LocalWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    @property
    def size(self) -> int:
        return self._file.tell()


@dataclass(slots=True)
class _Saved:
    """What of a run is durable, as of one moment."""

    state: Json = None
    advanced: int = 0
    count: int | None = None
    errors: list[RowError] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    descriptors: dict[str, dict[str, str]] = field(default_factory=dict)


class FakeJob(Generic[C]):
    """One job, and what the engine would keep of it between its runs."""

    def __init__(
        self,
        strategy: BatchStrategy[C],
        context: Mapping[str, Any],
        services: Services,
        *,
        dry_run: bool = False,
        job_id: str | None = None,
    ) -> None:
        self.strategy = strategy
        self.services = strategy.services = services
        self.context = dict(context)
        self.dry_run = dry_run
        self.id = job_id or new_job_id()
        self.runs: list[FakeRun[C]] = []
        self.saved: dict[Phase, _Saved] = {}
        self.kept = _Saved()
        """Of the phases that have ended, and of the last checkpoint."""

    @property
    def result(self) -> dict[str, Any]:
        """As in the job document."""
        result = deepcopy(self.kept.result)
        if self.kept.count is not None:
            result |= {"count": self.kept.count, "advancement_count": self.kept.advanced}
        if self.kept.descriptors:
            result["stat_descriptors"] = list(self.kept.descriptors.values())
        return result

    @property
    def errors(self) -> list[RowError]:
        return self.kept.errors

    async def prepare(self, actor: Actor | None = None) -> None:
        """Raises `JobRefused`."""
        draft = Draft(self.strategy.batch_type, self.context, self.dry_run)
        await _call(self.strategy.prepare, draft, actor or Actor("svc_test"))
        self.context, self.dry_run = draft.context, draft.dry_run

    async def pre_process(self, **interrupt: Any) -> FakeRun[C]:
        """See `run`."""
        return await self.run("pre_process", **interrupt)

    async def process(self, **interrupt: Any) -> FakeRun[C]:
        """See `run`."""
        return await self.run("process", **interrupt)

    async def run(
        self,
        phase: Phase,
        *,
        stop_at: int | None = None,
        stop_with: type[BaseException] = Crash,
        resume_from: Json = None,
    ) -> FakeRun[C]:
        """One run of a phase, from its last checkpoint on, or from the one given.

        At its `stop_at`-th call of `advance`, `checkpoint` or `ensure_lease`, counted from 1, `stop_with` surfaces.
        """
        saved = deepcopy(self.saved.get(phase) or replace(self.kept, state=None, advanced=0))
        if resume_from is not None:
            saved.state = resume_from
        run = FakeRun(self, phase, saved, stop_at, stop_with)
        self.runs.append(run)
        try:
            await _call(getattr(self.strategy, phase), run)
        except RunCanceled:
            await _call(self.strategy.on_canceled, run)
            self.kept = run.snapshot()
            raise
        except (Crash, LeaseLost):
            self.kept = deepcopy(self.saved.get(phase, self.kept))
            raise
        except BaseException:
            self.kept = run.snapshot()
            raise
        self.kept = run.snapshot()
        if phase == "pre_process":
            self.kept.advanced = 0
        self.context |= run.context_changes
        return run


class FakeRun(Generic[C]):
    """One run; implements `JobRun`."""

    def __init__(
        self, job: FakeJob[C], phase: Phase, saved: _Saved, stop_at: int | None, stop_with: type[BaseException]
    ) -> None:
        self._job = job
        self._stop_at = stop_at
        self._stop_with = stop_with
        self.job_id = job.id
        self.job_type = job.strategy.batch_type
        self.phase = phase
        self.dry_run = job.dry_run
        self.run_number = len(job.runs) + 1
        self.context = cast(C, job.strategy.context_model.model_validate(job.context))
        self.resume_from = saved.state
        self.result: MutableMapping[str, Any] = saved.result
        self.files: Files = job.services.files
        self.catalog: AsyncIOMotorDatabase[dict[str, Any]] = job.services.catalog
        self.log: FilteringBoundLogger = structlog.get_logger("batchbus.test").bind(job_id=job.id)

        self.count = saved.count
        self.advanced = saved.advanced
        self.errors = saved.errors
        self.descriptors = saved.descriptors
        self.context_changes: dict[str, Json] = {}
        self.checkpoints: list[Json] = []
        self.messages: list[str] = []
        self.calls: list[str] = []
        """Every call at which the run could have been stopped."""

    def expect(self, count: int) -> None:
        self.count = count

    def advance(self, n: int = 1, *, message: str | None = None, share: float | None = None) -> Awaitable[None]:
        self.advanced += n
        assert share is None or 0 <= share <= 1
        if message is not None:
            self.messages.append(message)
        self._may_stop("advance")
        return _Turn()

    def checkpoint(self, state: Json) -> Awaitable[None]:
        self._may_stop("checkpoint")
        assert len(to_json(state)) <= _MAX_CHECKPOINT, "a checkpoint may have 64 KiB"
        self.checkpoints.append(deepcopy(state))
        self._job.saved[self.phase] = self._job.kept = replace(self.snapshot(), state=deepcopy(state))
        return _Turn()

    def describe(self, key: str, name: str, message: str) -> None:
        self.descriptors[key] = {"key": key, "name": name, "message": message}

    def row_error(self, *, line: int, column: str | None, code: str, message: str, value: str | None = None) -> None:
        self.errors.append(RowError(line, column, code, message, value))

    def update_context(self, changes: Mapping[str, Json]) -> None:
        self.context_changes |= changes

    def ensure_lease(self) -> None:
        self._may_stop("ensure_lease")

    def snapshot(self) -> _Saved:
        to_json(self.result)  # raises if it is not JSON
        return deepcopy(_Saved(None, self.advanced, self.count, self.errors, dict(self.result), self.descriptors))

    def _may_stop(self, call: str) -> None:
        self.calls.append(call)
        if self._stop_at is not None and len(self.calls) >= self._stop_at:
            raise self._stop_with


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def _call(method: Callable[..., Awaitable[None] | None], *arguments: object) -> None:
    """As the engine does: coroutines on this loop, plain functions in a thread."""
    if inspect.iscoroutinefunction(method):
        await method(*arguments)
    else:
        await asyncio.to_thread(method, *arguments)


class StrategyContract:
    """What the engine relies on. Its scenario should take several chunks, and few: every test runs it many times."""

    async def new_job(self) -> FakeJob[Any]:
        """A job that has not run, in a world that is the same each time but for ids and times."""
        raise NotImplementedError

    async def outcome(self, job: FakeJob[Any]) -> object:
        """What the job has done to its world, without ids and times: something that can be compared."""
        raise NotImplementedError

    async def test_planning_changes_nothing(self) -> None:
        job = await self.new_job()
        before = await self.outcome(job)
        await job.prepare()
        await job.pre_process()
        assert await self.outcome(job) == before

    async def test_preparing_twice_is_preparing_once(self) -> None:
        job = await self.new_job()
        await job.prepare()
        context = deepcopy(job.context)
        await job.prepare()
        assert job.context == context

    async def test_planning_after_a_crash_at_any_moment_says_the_same(self) -> None:
        whole = await self._pre_processed()
        for moment in range(1, len(whole.runs[-1].calls) + 1):
            job = await self._prepared()
            await _interrupted(job.pre_process, moment, Crash)
            await job.pre_process()
            assert job.kept.count == whole.kept.count
            assert job.kept.descriptors == whole.kept.descriptors

    async def test_all_that_was_expected_is_done(self) -> None:
        job = await self._processed()
        assert job.kept.advanced == job.kept.count

    async def test_a_crash_at_any_moment_changes_nothing_in_the_end(self) -> None:
        await self._ends_alike_after(Crash)

    async def test_a_lost_lease_at_any_moment_changes_nothing_in_the_end(self) -> None:
        await self._ends_alike_after(LeaseLost)

    async def test_a_canceled_job_can_be_taken_up_again(self) -> None:
        await self._ends_alike_after(RunCanceled)

    async def test_repeating_every_chunk_changes_nothing(self) -> None:
        job = await self._processed()
        outcome = await self.outcome(job)
        for state in job.runs[-1].checkpoints:
            await job.process(resume_from=state)
            assert await self.outcome(job) == outcome

    async def test_a_stopped_run_makes_no_further_step(self) -> None:
        whole = await self._processed()
        for moment in range(1, len(whole.runs[-1].calls) + 1):
            job = await self._pre_processed()
            await _interrupted(job.process, moment, LeaseLost)
            assert len(job.runs[-1].calls) == moment, "the strategy went on after it was told to stop"

    async def _ends_alike_after(self, interruption: type[BaseException]) -> None:
        whole = await self._processed()
        outcome = await self.outcome(whole)
        for moment in range(1, len(whole.runs[-1].calls) + 1):
            job = await self._pre_processed()
            await _interrupted(job.process, moment, interruption)
            await job.process()
            assert await self.outcome(job) == outcome
            assert job.kept.count == whole.kept.count
            assert job.kept.advanced == whole.kept.advanced

    async def _prepared(self) -> FakeJob[Any]:
        job = await self.new_job()
        await job.prepare()
        return job

    async def _pre_processed(self) -> FakeJob[Any]:
        job = await self._prepared()
        await job.pre_process()
        return job

    async def _processed(self) -> FakeJob[Any]:
        job = await self._pre_processed()
        await job.process()
        return job


async def _interrupted(phase: Callable[..., Awaitable[object]], moment: int, interruption: type[BaseException]) -> None:
    try:
        await phase(stop_at=moment, stop_with=interruption)
    except interruption:
        return
    raise AssertionError(f"{interruption.__name__} did not surface")

"""A run whose strategy is in a child process: what the worker asks goes there, and what is known of it comes back."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TYPE_CHECKING

from structlog import get_context

from batchbus_service.domain.job import Job
from batchbus_service.domain.lifetime import Lifetime
from batchbus_service.domain.ports import Clock
from batchbus_service.domain.result import JobResult
from batchbus_service.domain.signal import Signal
from batchbus_service.execution.execution import (
    Abandoned,
    Execution,
    InProcess,
    ProcessDied,
    RaisedInChild,
    RunStalled,
    traceback_of,
)
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.isolation.messages import (
    Document,
    OutOfMemory,
    checkpoint_from,
    error_to,
    job_to,
    progress_from,
    result_from,
)
from batchbus_service.execution.isolation.process import ChildProcess
from batchbus_service.execution.isolation.requests import RequestServer
from batchbus_service.execution.isolation.setup import Setup
from batchbus_service.execution.isolation.spares import SpareProcesses
from batchbus_service.execution.job_run import CheckpointRequest, EngineJobRun, Progress
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.preparation import check_draft
from batchbus_service.execution.worker_services import WorkerServices
from batchbus_strategies import Draft, JobView, Json, LeaseLost, StrategyError
from batchbus_strategies.json_values import NotJson
from batchbus_strategies.registry import Strategy

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Isolated", "MirroredRun", "Placement"]


class Placement(Lifetime):
    """Gives a run a process of its own if its job is suspected, its strategy asks for one, or all shall have one.

    Implements `Executions`. `setup` is None where a child could not reach what it needs: files in memory. `worker`: what
    all runs share.
    """

    def __init__(
        self,
        executor: StrategyExecutor,
        clock: Clock,
        setup: Setup | None,
        worker: WorkerServices,
        log: FilteringBoundLogger,
        *,
        all_isolated: bool = False,
    ) -> None:
        self._executor = executor
        self._worker = worker
        self._clock = clock
        self._setup = setup
        self._spares = SpareProcesses(setup, log) if setup else None
        self._all = all_isolated

    async def close(self) -> None:
        if self._spares:
            await self._spares.close()

    def expect_suspects(self, runs: int) -> None:
        """So many jobs that are suspected may come in a moment: the processes for their runs are started now."""
        if self._spares:
            self._spares.expect(runs)

    def open(self, job: Job, strategy: Strategy, lease: Lease, log: FilteringBoundLogger) -> Execution:
        alone = job.suspected or self._all or strategy.isolation == "process"
        if self._setup and self._spares and alone:
            return Isolated(self._setup, self._spares, self._executor, self._clock, lease, log, self._worker)
        return InProcess(self._executor, self._clock, strategy, lease, log, self._worker)


class MirroredRun:
    """The engine's side of a run in a child: as of the child's last message. Implements `RunControl`."""

    def __init__(self, first: EngineJobRun, tell: Callable[[Document], None]) -> None:
        """`first`: what a run of that job begins with."""
        self.progressed: Signal[None] = Signal()
        self.checkpoints: Signal[CheckpointRequest] = Signal()
        self._tell = tell
        self._phase = first.phase
        self._progress = first.progress()
        self._result: JobResult | None = first.snapshot()
        self._least = first.least_result()
        self._unkept: str | None = None
        self.touched = first.touched
        self.context_changes: dict[str, Json] = {}
        self.orders: list[str] = []
        """Orders that a child which begins later has to get."""

    def take(self, state: Document) -> None:
        """What the child said last of the phase before may come when this one has begun: that is not its progress."""
        if state["phase"] != self._phase:
            return
        self._progress = progress_from(state["progress"])
        self._result, self._least = result_from(state.get("result")), result_from(state["least"])
        self._unkept = state.get("unkept")
        self.touched = float(state["touched"])

    def cancel(self) -> None:
        self._order("cancel")

    def release(self) -> None:
        self._order("release")

    def lose(self) -> None:
        self._order("lose")

    def progress(self) -> Progress:
        return self._progress

    def snapshot(self) -> JobResult | None:
        if self._unkept is not None:
            raise NotJson(self._unkept)
        return self._result

    def least_result(self) -> JobResult | None:
        return self._least

    async def write_row_errors(self) -> None:
        """The child has written them, before it said that there is a checkpoint."""

    def _order(self, kind: str) -> None:
        self.orders.append(kind)
        self._tell({"kind": kind})


class Isolated:
    """Implements `Execution`. The child is started when there is something to do, and serves all phases of the run."""

    killable = True

    def __init__(
        self,
        setup: Setup,
        processes: SpareProcesses,
        executor: StrategyExecutor,
        clock: Clock,
        lease: Lease,
        log: FilteringBoundLogger,
        worker: WorkerServices,
    ) -> None:
        self._setup = setup
        self._processes = processes
        self._worker = worker
        self._requests = RequestServer(worker, self._tell)
        self._executor = executor
        self._clock = clock
        self._lease = lease
        self._log = log
        self._child: ChildProcess | None = None
        self._starting: asyncio.Future[ChildProcess] | None = None
        self._abandoned = False
        self._job: Job
        self._run: MirroredRun
        self._saving: set[asyncio.Task[None]] = set()
        lease.renewed.connect(lambda ends: self._tell({"kind": "renewed", "lease_ends": ends}))

    def begin(self, job: Job) -> MirroredRun:
        self._job = job
        first = EngineJobRun(
            job, self._executor.services, self._log, self._clock, lease=self._lease, worker=self._worker
        )
        self._run = MirroredRun(first, self._tell)
        if self._child and self._child.alive:
            self._tell_beginning(self._child)
        return self._run

    async def work(self) -> Draft:
        answer = await self._ask({"kind": "work"}, orders=True)
        draft = Draft(self._job.type, answer["context"], answer["dry_run"])
        check_draft(draft)
        self._run.context_changes = answer["changes"]
        return draft

    async def clean_up(self, within: float) -> None:
        self._abandoned = False
        await self._ready(orders=False)  # a start of the process does not count
        async with asyncio.timeout(within):
            await self._ask({"kind": "clean_up", "within": within}, orders=False)

    async def keep_row_errors(self) -> None:
        """The child does, before it answers."""

    async def should_retry(self, view: JobView, error: Exception) -> bool:
        if self._child is None or not self._child.alive:
            return True
        stalled = str(error) if isinstance(error, RunStalled) else None
        question = {"id": view.id, "type": view.type, "phase": view.phase, "failures": view.failures}
        try:
            answer = await self._child.ask({"kind": "advise", "stalled": stalled, **question})
        except (ProcessDied, RaisedInChild, StrategyError) as second:
            self._log.error("should_retry_failed", exception=traceback_of(second))
            return True
        return bool(answer["retry"])

    def stop(self) -> None:
        self._tell({"kind": "stop"})

    def abandon(self) -> None:
        self._abandoned = True
        if self._child:
            self._child.kill()
        elif self._starting:
            self._starting.cancel()

    @property
    def still_running(self) -> concurrent.futures.Future[None] | None:
        return None

    async def close(self) -> None:
        if self._child:
            await self._child.close()
        await self._requests.close()

    async def _ask(self, question: Document, *, orders: bool) -> Document:
        try:
            child = await self._ready(orders=orders)
            return await child.ask(question)
        except OutOfMemory as error:
            raise OutOfMemory(self._at(f"The run needed more than {self._setup.memory_mib} MiB. {error}")) from error
        except (ProcessDied, asyncio.CancelledError) as error:
            if self._abandoned:
                raise Abandoned from error
            if isinstance(error, ProcessDied):
                raise ProcessDied(self._at(str(error))) from error
            raise

    async def _ready(self, *, orders: bool) -> ChildProcess:
        if self._abandoned:
            raise Abandoned
        if self._child and self._child.alive:
            return self._child
        if self._child:
            await self._child.close()
            await self._requests.close()
            self._child = None
        self._starting = asyncio.ensure_future(self._processes.serving(self._job.type))
        try:
            self._child = await self._starting
        finally:
            self._starting = None
        self._child.on_message = self._heard
        self._tell_beginning(self._child)
        for kind in self._run.orders if orders else ():
            self._child.tell({"kind": kind})
        return self._child

    def _tell_beginning(self, child: ChildProcess) -> None:
        bound = {key: value for key, value in get_context(self._log).items() if isinstance(value, str | int)}
        child.tell({"kind": "begin", "job": job_to(self._job), "lease_ends": self._lease.ends, "log": bound})

    def _tell(self, message: Document) -> None:
        if self._child:
            self._child.tell(message)

    def _heard(self, message: Document) -> None:
        if self._requests.heard(message):
            return
        self._run.take(message["state"])
        if message["kind"] == "checkpoint":
            task = asyncio.create_task(self._keep(message))
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)
        elif message["kind"] == "state":
            self._run.progressed.send(None)

    async def _keep(self, message: Document) -> None:
        error: Document | None = None
        request = CheckpointRequest(checkpoint_from(message["checkpoint"]))
        try:
            self._run.checkpoints.send(request)
            await asyncio.wrap_future(request.saved)
        except (LeaseLost, StrategyError) as refused:
            error = error_to(refused, "")
        except Exception as broke:  # noqa: BLE001 - the strategy's run ends with it
            self._log.error("checkpoint_not_kept", exc_info=broke)
            error = error_to(broke, "")
        self._tell({"kind": "saved", "number": message["number"], "error": error})

    def _at(self, text: str) -> str:
        """With how far the run had got."""
        return f"{text} It had advanced to {self._run.progress().advanced:,}."

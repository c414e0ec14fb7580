"""The child: one strategy that works on one job, for a worker that tells it what to do.

Started as `python -m batchbus_service.execution.isolation.child SOCKET CRASH_FILE PARENT`, the first two being open file
descriptors and the last the worker's process id. It ends when its worker does, however that ends.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable, Container, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from batchbus_service.domain.errors import NotStorable
from batchbus_service.domain.job import Checkpoint
from batchbus_service.execution.execution import InProcess, RunStalled, traceback_of
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.execution.isolation.messages import (
    Document,
    error_from,
    error_to,
    job_from,
    packed,
    read,
    state_of,
)
from batchbus_service.execution.isolation.requests import RemoteServices
from batchbus_service.execution.isolation.setup import Setup
from batchbus_service.execution.lease import Lease
from batchbus_service.execution.parent import end_with, tell_crashes
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.files import FileStore, is_full
from batchbus_service.storage.mongo.lent import lend
from batchbus_service.telemetry.logs import configure
from batchbus_strategies import (
    Draft,
    JobView,
    LeaseLost,
    Registry,
    RegistryError,
    RunCanceled,
    StrategyError,
)
from batchbus_strategies.registry import Strategy

if TYPE_CHECKING:
    from batchbus_service.execution.job_run import CheckpointRequest, EngineJobRun
    from batchbus_strategies import Services


class Child:
    """Does what the messages of the worker ask, one question at a time, and tells how the run gets on."""

    def __init__(
        self, writer: asyncio.StreamWriter, executor: StrategyExecutor, strategy: Strategy, every: float
    ) -> None:
        self._writer = writer
        self._executor = executor
        self._strategy = strategy
        self._every = every
        self._worker = RemoteServices(lambda message: writer.write(packed(message)))
        self._execution: InProcess
        self._job_run: EngineJobRun
        self._lease: Lease
        self._saving: dict[int, asyncio.Future[None]] = {}
        self._saves = 0
        self._saves_going_on: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._failed_with: Exception = Exception("it is not known what")

    def obey(self, message: Document) -> None:
        match message["kind"]:
            case "begin":
                self._begin(message)
            case "work":
                self._answer(self._worked())
            case "clean_up":
                self._answer(self._cleaned_up(message["within"]))
            case "advise":
                self._answer(self._advised(message))
            case "saved":
                self._saved(message)
            case "answered":
                self._worker.answered(message)
            case "renewed":
                self._lease.renew(message["lease_ends"])
                self._tell()
            case "cancel":
                self._job_run.cancel()
            case "release":
                self._job_run.release()
            case "lose":
                self._job_run.lose()
            case "stop":
                self._execution.stop()

    def _begin(self, message: Document) -> None:
        job = job_from(message["job"])
        log = structlog.get_logger("batchbus").bind(**message["log"])
        clock = SystemClock()
        self._lease = Lease(clock, message["lease_ends"])
        self._execution = InProcess(self._executor, clock, self._strategy, self._lease, log, self._worker)
        self._job_run = self._execution.begin(job)
        self._job_run.progressed.connect(self._progressed)
        self._job_run.checkpoints.connect(self._checkpoint_made)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer(self, answer: Coroutine[None, None, Document]) -> None:
        self._work = asyncio.create_task(self._answered(answer))

    async def _answered(self, answer: Coroutine[None, None, Document]) -> None:
        try:
            content = await answer
        except (Exception, RunCanceled, LeaseLost) as error:  # noqa: BLE001 - the worker decides what becomes of it
            if isinstance(error, Exception):
                self._failed_with = error
            await self._keep_row_errors()
            content = {"error": error_to(error, traceback_of(error), full=is_full(error))}
        state = {"kind": "answer", "state": state_of(self._job_run)}
        try:
            message = packed({**content, **state})
        except NotStorable as error:
            message = packed({"error": error_to(StrategyError(str(error)), ""), **state})
        self._writer.write(message)
        await self._writer.drain()

    async def _worked(self) -> Document:
        draft: Draft = await self._execution.work()
        return {"context": draft.context, "dry_run": draft.dry_run, "changes": self._job_run.context_changes}

    async def _cleaned_up(self, within: float) -> Document:
        await self._execution.clean_up(within)
        await self._execution.keep_row_errors()
        return {}

    async def _advised(self, message: Document) -> Document:
        view = JobView(message["id"], message["type"], message["phase"], message["failures"])
        error = RunStalled(message["stalled"]) if message["stalled"] else self._failed_with
        return {"retry": await self._execution.should_retry(view, error)}

    async def _keep_row_errors(self) -> None:
        try:
            await self._execution.keep_row_errors()
        except Exception as error:  # noqa: BLE001 - the operator gets to know; the job keeps the first of them
            structlog.get_logger("batchbus").error("row_errors_not_kept", exc_info=error)

    # -- progress and checkpoints ----------------------------------------------------------------------------------

    def _checkpoint_made(self, request: CheckpointRequest) -> None:
        saving = asyncio.create_task(self._save(request.checkpoint))
        self._saves_going_on.add(saving)
        saving.add_done_callback(self._saves_going_on.discard)
        request.wait_for(saving)

    async def _save(self, checkpoint: Checkpoint) -> None:
        """The worker makes it durable, as it alone has the job. Raises what the worker says."""
        await self._job_run.write_row_errors()
        self._saves += 1
        number = self._saves
        saved = self._saving[number] = asyncio.get_running_loop().create_future()
        message = {"kind": "checkpoint", "number": number, "checkpoint": asdict(checkpoint)}
        try:
            self._writer.write(packed({**message, "state": state_of(self._job_run)}))
        except NotStorable as error:
            raise StrategyError(f"The checkpoint cannot be kept. {error}", public=True) from error
        await saved

    def _saved(self, message: Document) -> None:
        saved = self._saving.pop(message["number"])
        if saved.done():
            return
        if message["error"] is None:
            saved.set_result(None)
        else:
            saved.set_exception(error_from(message["error"]))

    def _progressed(self, _: None) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_for_a_while())

    async def _tell_for_a_while(self) -> None:
        published = None
        while (progress := self._job_run.progress()) != published:
            published = progress
            self._tell()
            await asyncio.sleep(self._every)
        self._telling = None

    def _tell(self) -> None:
        self._writer.write(packed({"kind": "state", "state": state_of(self._job_run)}))


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    first = await read(reader)
    if first is None:
        return
    setup = Setup.from_document(first["setup"])
    sys.path[:] = setup.path
    configure(format=setup.log_format, level=setup.log_level)
    async with AsyncExitStack() as stack:
        try:
            registry = Registry.load(setup.folder)
            executor = await stack.enter_async_context(StrategyExecutor(_services(setup)))
        except (RegistryError, ValueError) as error:
            await _say(writer, {"kind": "unfit", "text": f"{type(error).__name__}: {error}"})
            return
        limit = setup.memory_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        await _say(writer, {"kind": "ready"})
        wanted = await read(reader)  # the worker may not have a run for us for a while
        if wanted is None or wanted["kind"] == "end":
            return
        strategy = registry.get(wanted["type"])
        if strategy is None:
            await _say(writer, {"kind": "unfit", "text": f"No strategy serves {wanted['type']} any more"})
            return
        strategy.services = executor.services
        child = Child(writer, executor, strategy, setup.progress_interval)
        await _say(writer, {"kind": "ready"})
        while (message := await read(reader)) is not None:
            if message["kind"] == "end":
                return
            child.obey(message)
        # The worker is gone, and with it the right to run the job.
        os._exit(0)


async def _say(writer: asyncio.StreamWriter, message: Document) -> None:
    writer.write(packed(message))
    await writer.drain()


def _services(
    setup: Setup,
) -> Callable[[AsyncExitStack, Container[asyncio.AbstractEventLoop]], Coroutine[None, None, Services]]:
    files = FileStore.open(setup.files_url)

    async def make(stack: AsyncExitStack, loops: Container[asyncio.AbstractEventLoop]) -> Services:
        return lend(setup.catalog_url, setup.catalog_database, files, stack, loops)

    return make


def main() -> None:
    connection, crashes, parent = (int(argument) for argument in sys.argv[1:4])
    end_with(parent)
    tell_crashes(crashes)
    asyncio.run(_serve(socket.socket(fileno=connection)))
    # Threads of a strategy that does not end keep nothing of this process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

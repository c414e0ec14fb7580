"""The processes in which strategies of this worker compute: as many as there are cores, each started when it is needed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from batchbus_service.execution.cores import usable_cores
from batchbus_service.execution.execution import ProcessDied
from batchbus_service.execution.isolation.messages import Document
from batchbus_service.execution.isolation.process import ChildProcess
from batchbus_strategies.computing import ComputationDied

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["ComputePool", "ComputeSetup"]

_CHILD: Final = "batchbus_service.execution.computing.child"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeSetup:
    """What each process is given. No address and no credential is among it: a computation talks to nobody."""

    folder: str | None
    """Where strategies are that are no packages."""
    path: list[str]
    """Where Python finds modules."""
    memory_mib: int
    """The most memory that a process may have, in MiB."""


class ComputePool:
    """One per worker. Use it as `async with ComputePool(setup, log) as pool`."""

    def __init__(self, setup: ComputeSetup, log: FilteringBoundLogger, *, size: int | None = None) -> None:
        self._setup = setup
        self._log = log
        self._places = asyncio.Semaphore(size or usable_cores())
        self._idle: list[ChildProcess] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ComputePool:
        return self

    async def __aexit__(self, *exc: object) -> None:
        while self._idle:
            self._end(self._idle.pop())
        while self._ending:
            await asyncio.wait(self._ending)

    async def compute(self, call: bytes) -> bytes:
        """The answer of a process to a packed call, as soon as one is free. Cancelled, it ends that process.

        Raises: `ComputationDied` if the process ends; `RaisedInChild` if none can be started.
        """
        async with self._places:
            child = await self._free()
            try:
                answer = await self._ask(child, {"kind": "compute", "call": call})
            except ProcessDied as error:
                raise ComputationDied(str(error)) from None
            self._idle.append(child)
            return bytes(answer["value"])

    async def _free(self) -> ChildProcess:
        while self._idle:
            child = self._idle.pop()
            try:
                await self._ask(child, {"kind": "ping"})
            except ProcessDied as error:  # while it had nothing to do: that is no fault of the next computation
                self._log.warning("idle_process_ended", reason=str(error))
            else:
                return child
        greeting = {"kind": "setup", **asdict(self._setup)}
        return await ChildProcess.start(_CHILD, "the computation", greeting, self._log)

    async def _ask(self, child: ChildProcess, question: Document) -> Document:
        """The process ends if it does not answer, or if nobody wants the answer any more."""
        try:
            return await child.ask(question)
        except BaseException:
            self._end(child)
            raise

    def _end(self, child: ChildProcess) -> None:
        """At once: what it still computes nobody wants."""
        child.kill()
        task = asyncio.create_task(child.close(), name="ending a process that computes")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

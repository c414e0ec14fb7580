"""What a run asks its worker for, and how a strategy waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from batchbus_service.domain.ports import Clock
from batchbus_strategies.waiting import Interruption

__all__ = ["Asking", "Grant", "SharedServices", "WorkerServices"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grant:
    """A permit: it may be used from `at` on and until `until`, both on the monotonic clock, in seconds."""

    at: float
    until: float


class WorkerServices(Protocol):
    """What all runs of a worker share. To be called on the engine's event loop; a cancelled call takes its wish back."""

    async def permit(self, name: str, per_second: float) -> Grant:
        """A permit under the limit of that name, which may lie in the future."""

    async def compute(self, call: bytes) -> bytes:
        """The answer of a process that computes, both as `batchbus_strategies.computing` packs them.

        Raises: `ComputationDied`, and `RaisedInChild` if no process can be started.
        """


@dataclass(frozen=True, slots=True)
class SharedServices:
    """In a worker: `WorkerServices`, from the parts that do what is asked for."""

    permit: Callable[[str, float], Coroutine[None, None, Grant]]
    compute: Callable[[bytes], Coroutine[None, None, bytes]]


class Asking:
    """One per run. Strategies call it in a thread or on a loop; what is asked for is done on the engine's loop."""

    def __init__(
        self, services: WorkerServices, clock: Clock, interruption: Interruption, check: Callable[[], None]
    ) -> None:
        """`check` raises what is to surface in the strategy once `interruption` was set."""
        self._services = services
        self._clock = clock
        self._interruption = interruption
        self._check = check
        self._engine = asyncio.get_running_loop()

    async def permit(self, name: str, per_second: float) -> None:
        """Wait until a call may be made under that limit."""
        while True:
            grant = await self._answer(self._services.permit(name, per_second))
            if (seconds := grant.at - self._clock.monotonic()) > 0:
                await self._interruption.wait(seconds=seconds)
            self._check()
            if self._clock.monotonic() <= grant.until:
                return

    def permit_blocking(self, name: str, per_second: float) -> None:
        """As `permit`, in a thread."""
        while True:
            grant = self._answer_blocking(self._services.permit(name, per_second))
            if (seconds := grant.at - self._clock.monotonic()) > 0:
                self._interruption.wait_blocking(seconds=seconds)
            self._check()
            if self._clock.monotonic() <= grant.until:
                return

    async def compute(self, call: bytes) -> bytes:
        """Have a process compute; a cancellation or a lost lease ends it."""
        return await self._answer(self._services.compute(call))

    def compute_blocking(self, call: bytes) -> bytes:
        """As `compute`, in a thread."""
        return self._answer_blocking(self._services.compute(call))

    async def _answer(self, question: Coroutine[None, None, T]) -> T:
        asked = self._ask(question)
        try:
            while not asked.done():
                await self._interruption.wait(until=asked)
                self._check()
            return asked.result()
        finally:
            asked.cancel()

    def _answer_blocking(self, question: Coroutine[None, None, T]) -> T:
        asked = self._ask(question)
        try:
            while not asked.done():
                self._interruption.wait_blocking(until=asked)
                self._check()
            return asked.result()
        finally:
            asked.cancel()

    def _ask(self, question: Coroutine[None, None, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(question, self._engine)

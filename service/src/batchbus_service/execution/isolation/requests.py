"""What a run in a child process asks of its worker while it works: the child's side, and the worker's.

A request has a number, by which its answer is found. A child that does not want the answer any more takes it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict

from batchbus_events.tasks import end
from batchbus_service.execution.isolation.messages import Document, error_from, error_to
from batchbus_service.execution.worker_services import Grant, WorkerServices

__all__ = ["RemoteServices", "RequestServer"]


class RemoteServices:
    """In a child: `WorkerServices` that its worker has."""

    def __init__(self, tell: Callable[[Document], None]) -> None:
        self._tell = tell
        self._numbers = 0
        self._open: dict[int, asyncio.Future[Document]] = {}

    async def permit(self, name: str, per_second: float) -> Grant:
        return Grant(**await self._ask({"what": "permit", "name": name, "per_second": per_second}))

    async def compute(self, call: bytes) -> bytes:
        return bytes((await self._ask({"what": "compute", "call": call}))["answer"])

    def answered(self, message: Document) -> None:
        """The worker has answered; perhaps too late."""
        answer = self._open.get(message["number"])
        if answer is None or answer.done():
            return
        if message["error"] is None:
            answer.set_result(message["value"])
        else:
            answer.set_exception(error_from(message["error"]))

    async def _ask(self, question: Document) -> Document:
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        self._tell({"kind": "request", "number": number, **question})
        try:
            return await answer
        except asyncio.CancelledError:
            self._tell({"kind": "withdraw", "number": number})
            raise
        finally:
            del self._open[number]


class RequestServer:
    """In a worker: answers the requests of one child."""

    def __init__(self, services: WorkerServices, tell: Callable[[Document], None]) -> None:
        self._services = services
        self._tell = tell
        self._open: dict[int, asyncio.Task[None]] = {}

    def heard(self, message: Document) -> bool:
        """Whether the message was a request, or took one back."""
        number = message.get("number", 0)
        match message["kind"]:
            case "request":
                task = self._open[number] = asyncio.create_task(self._answer(number, self._do(message)))
                task.add_done_callback(lambda _: self._open.pop(number, None))
            case "withdraw":
                if task_ := self._open.get(number):
                    task_.cancel()
            case _:
                return False
        return True

    async def close(self) -> None:
        """The child has ended: nobody waits for the answers."""
        await end(*self._open.values())

    async def _do(self, message: Document) -> Document:
        if message["what"] == "compute":
            return {"answer": await self._services.compute(bytes(message["call"]))}
        return asdict(await self._services.permit(message["name"], message["per_second"]))

    async def _answer(self, number: int, work: Coroutine[None, None, Document]) -> None:
        value, error = None, None
        try:
            value = await work
        except Exception as failed:  # noqa: BLE001 - the child's strategy is told
            error = error_to(failed, "")
        self._tell({"kind": "answered", "number": number, "value": value, "error": error})

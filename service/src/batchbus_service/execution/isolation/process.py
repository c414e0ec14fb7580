"""A child process, as its worker sees it: it is started, sent messages, asked questions, and ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

from batchbus_events.tasks import end
from batchbus_service.execution.execution import ProcessDied, RaisedInChild
from batchbus_service.execution.isolation.messages import Document, error_from, packed, read, where

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["ChildProcess"]

_START_SECONDS: Final = 120.0
"""How long a child may take to import the strategies."""
_END_SECONDS: Final = 5.0
_FRAME: Final = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<function>.*)')
_OURS: Final = "BATCHBUS_"
"""What the names of settings begin with, which hold the credentials of database and broker."""


class ChildProcess:
    """Make it with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, purpose: str, crashes: IO[bytes]) -> None:
        self.on_message: Callable[[Document], None] = lambda _: None
        """Gets what the child says unasked."""
        self._process = process
        self._purpose = purpose
        self._crashes = crashes
        self._writer: asyncio.StreamWriter
        self._listener: asyncio.Task[None]
        self._answer: asyncio.Future[Document] | None = None
        self._died: str | None = None

    @classmethod
    async def start(cls, module: str, purpose: str, greeting: Document, log: FilteringBoundLogger) -> ChildProcess:
        """Returns once the child has answered `greeting`, and can work. Raises `RaisedInChild`, before it did anything.

        `module`: what is run. `purpose`: what the process is for, for people, such as `the run`.
        """
        ours, its = socket.socketpair()
        crashes = TemporaryFile()  # noqa: SIM115 - closed with the child
        try:
            process = await _executed(module, its.fileno(), crashes.fileno())
        except BaseException:
            ours.close()
            crashes.close()
            raise
        finally:
            its.close()
        child = cls(process, purpose, crashes)
        reader, child._writer = await asyncio.open_connection(sock=ours)
        child._listener = asyncio.create_task(child._listen(reader), name=f"child {process.pid}")
        try:
            async with asyncio.timeout(_START_SECONDS):
                await child.ask(greeting)
        except (ProcessDied, TimeoutError) as error:
            await child.close()
            why = str(error) or f"it was not ready after {_START_SECONDS:g} s"
            raise RaisedInChild(f"The process for {purpose} could not be started: {why}") from None
        except BaseException:
            child.kill()
            await child.close()
            raise
        log.debug("child_started", pid=process.pid)
        return child

    @property
    def alive(self) -> bool:
        return self._died is None

    def tell(self, message: Document) -> None:
        if self.alive:
            self._writer.write(packed(message))

    async def ask(self, question: Document) -> Document:
        """The answer. Raises what the child says that the strategy raised, and `ProcessDied`."""
        if self._died is not None:
            raise ProcessDied(self._died)
        answer = self._answer = asyncio.get_running_loop().create_future()
        self.tell(question)
        said: Document = await answer
        if error := said.get("error"):
            raise error_from(error)
        return said

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """Have the child end by itself, in a moment, or else by force."""
        try:
            self.tell({"kind": "end"})
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        finally:
            await end(self._listener)
            self._writer.close()
            self._crashes.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        strange = ""
        try:
            while (message := await read(reader)) is not None:
                self._heard(message)
        except Exception as error:  # noqa: BLE001 - the run learns of it, as it waits for an answer
            strange = f" It had said what its worker does not understand: {type(error).__name__}: {error}."
            self.kill()
        code = await self._process.wait()
        self._died = self._how_it_ended(code) + strange
        if self._answer and not self._answer.done():
            self._answer.set_exception(ProcessDied(self._died))

    def _heard(self, message: Document) -> None:
        match message["kind"]:
            case "ready" | "answer":
                if "state" in message:
                    self.on_message(message)
                if self._answer and not self._answer.done():
                    self._answer.set_result(message)
            case "unfit":
                if self._answer and not self._answer.done():
                    self._answer.set_exception(ProcessDied(str(message["text"])))
            case _:
                self.on_message(message)

    def _how_it_ended(self, code: int) -> str:
        """How it ended, and where it was, as far as it could still say so."""
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._crashes.seek(0)
        lines = self._crashes.read().decode(errors="replace").splitlines()
        frames = filter(None, map(_FRAME.match, lines))
        said = where((frame["function"], frame["file"], int(frame["line"])) for frame in frames)
        return f"The process of {self._purpose} ended {how}. {said}"


async def _executed(module: str, its_socket: int, crashes: int) -> asyncio.subprocess.Process:
    """A new process. If we are cancelled meanwhile, it has ended."""
    executing = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", module),
            *(str(number) for number in (its_socket, crashes, os.getpid())),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(its_socket, crashes),
            env={name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
        )
    )
    try:
        return await asyncio.shield(executing)
    except asyncio.CancelledError:
        process = await executing
        process.kill()
        await process.wait()
        raise

"""What a plain `def` strategy uses of a run: the file store and the catalogue, in calls that block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar, cast

from batchbus_strategies.strategy import Files, FileWriter, Services, StrategyError, SyncCatalog
from batchbus_strategies.waiting import in_a_loop

__all__ = ["Sync", "SyncFileWriter", "SyncFiles", "SyncInLoop"]

T = TypeVar("T")

_CHUNKS_AT_ONCE: Final = 16
"""Read in one go, of 64 KiB each: every start of an event loop costs as much as a few chunks."""


class SyncInLoop(StrategyError):
    """`run.sync` was used in an `async def`, where its calls would block all other runs"""

    public = True

    def __init__(self) -> None:
        super().__init__(
            f"{self.__doc__}. Await `run.files` and `run.catalog` there, or write the method as a plain `def`, "
            "each call of which has a thread of its own"
        )


class SyncFileWriter:
    """A file being written. It appears under its key, whole, when the writer is left without an error."""

    def __init__(self, runner: asyncio.Runner, writer: FileWriter) -> None:
        self._runner = runner
        self._writer = writer

    def write(self, chunk: bytes) -> None:
        """Append some bytes, as few or as many as there are."""
        self._runner.run(self._writer.write(chunk))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size


class SyncFiles:
    """The file store, with the methods of `Files`, each of which blocks. One object serves any number of threads."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def size(self, key: str) -> int:
        """How many bytes the file has. Raises `FileMissing`."""
        with _runner() as runner:
            return runner.run(self._files.size(key))

    def read(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on, in chunks of some 64 KiB. Raises `FileMissing` on the first step."""
        with _runner() as runner:
            stream = self._files.read(key, start=start)
            while chunks := runner.run(_next(stream)):
                yield from chunks

    def write(self, key: str) -> AbstractContextManager[SyncFileWriter]:
        """A writer for a file of that key. An existing file is replaced when the writer is left without an error."""
        return self._write(key)

    def delete(self, key: str) -> None:
        """Does nothing if there is no such file."""
        with _runner() as runner:
            runner.run(self._files.delete(key))

    @contextmanager
    def _write(self, key: str) -> Iterator[SyncFileWriter]:
        with _runner() as runner:
            writing = self._files.write(key)
            writer = SyncFileWriter(runner, runner.run(_awaited(writing.__aenter__())))
            try:
                yield writer
            except BaseException as error:
                if not runner.run(_awaited(writing.__aexit__(type(error), error, error.__traceback__))):
                    raise
            else:
                runner.run(_awaited(writing.__aexit__(None, None, None)))


class Sync:
    """What `JobRun.sync` gives. Its calls block the thread of the run, and nothing else."""

    def __init__(self, services: Services, compute: Callable[..., object]) -> None:
        self._services = services
        self._compute = compute

    def checked(self) -> Sync:
        """Itself. Raises `SyncInLoop` in an `async def`."""
        if in_a_loop():
            raise SyncInLoop
        return self

    @property
    def files(self) -> SyncFiles:
        """The file store."""
        return SyncFiles(self._services.files)

    def compute(self, function: Callable[..., T], *args: object) -> T:
        """As `JobRun.compute` in a plain `def`, for type checkers: they learn that it returns the result itself."""
        return cast(T, self._compute(function, *args))

    @property
    def catalog(self) -> SyncCatalog:
        """The catalogue database, as PyMongo gives it."""
        database: SyncCatalog = self._services.catalog.delegate
        return database


def _runner() -> asyncio.Runner:
    """An event loop for one call, since a thread of a strategy has none, and the strategies' own may be busy."""
    if in_a_loop():
        raise SyncInLoop
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)


async def _next(stream: AsyncIterator[bytes]) -> list[bytes]:
    """The next chunks; none at the end."""
    chunks: list[bytes] = []
    while len(chunks) < _CHUNKS_AT_ONCE and (chunk := await anext(stream, None)) is not None:
        chunks.append(chunk)
    return chunks


async def _awaited(step: Awaitable[T]) -> T:
    """A coroutine of what may be any awaitable."""
    return await step

"""The embedded MongoDB: a child process with a loopback port and a password of its own, for as long as it is needed.

The server is SecantusDB, the MongoDB wire protocol on WiredTiger, an optional extra. It runs as a standalone server,
not as a replica set of one: that spares it an oplog which nothing here reads (`update_one` with `j: true` is a quarter
faster without), and nothing here needs transactions, change streams or retryable writes. A write with `j: true` has
survived a `kill -9` once it is answered; one without may not have.

Who ends what: the child ignores the signals that a terminal or a process supervisor sends to a whole group, so that
its parent can still write what it has to write. It ends when its standard input does, which happens when the parent
closes it, and also when the parent is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog

from batchbus_events.backoff import Backoff
from batchbus_events.tasks import end
from batchbus_service.domain.errors import EmbeddedMongoError

__all__ = [
    "DataDirInUse",
    "EmbeddedMongo",
    "EmbeddedMongoFailed",
    "EmbeddedMongoMissing",
    "Holder",
]

_log = structlog.get_logger()

_USER: Final = "batchbus"
_CACHE: Final = "256M"
_START_SECONDS: Final = 60.0
"""The longest a start may take: one after a crash replays the journal."""
_STOP_SECONDS: Final = 20.0
_LOCK_AGAIN: Final = 0.05


class EmbeddedMongoMissing(EmbeddedMongoError):
    """The embedded database is not installed: pip install 'batchbus[embedded]', or set BATCHBUS_MONGODB_URL."""

    def __str__(self) -> str:
        return str(self.__doc__)


class EmbeddedMongoFailed(EmbeddedMongoError):
    """The embedded database did not start. The message ends with the last thing that it said."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who uses a data directory."""

    pid: int
    """The process that started the database."""
    since: str
    """ISO 8601, UTC."""
    database_pid: int | None = None
    port: int | None = None
    """Where the database listens; None while it starts."""

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # someone else's, and so alive
            pass
        return True


class DataDirInUse(EmbeddedMongoError):
    """Another process uses the data directory."""

    def __init__(self, data_dir: Path, holder: Holder | None) -> None:
        who = "another process"
        if holder is not None:
            port = f", database port {holder.port}" if holder.port else ""
            who = f"process {holder.pid} since {holder.since}{port}"
        super().__init__(
            f"The data directory {data_dir} is in use by {who}. "
            "Stop that one first, or set BATCHBUS_DATA_DIR to another directory."
        )
        self.data_dir = data_dir
        self.holder = holder


class EmbeddedMongo:
    """One embedded database, seen from the process that started it. Use `EmbeddedMongo.start`."""

    def __init__(self, data_dir: Path, lock: _Lock, password: str) -> None:
        self._data_dir = data_dir
        self._lock = lock
        self._password = password
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._last_line = ""

    @staticmethod
    @asynccontextmanager
    async def start(data_dir: Path) -> AsyncIterator[str]:
        """The database's URL, password included, good until the context is left; a database that dies is started again.

        Data is kept in `<data_dir>/mongodb`. Raises `DataDirInUse`, `EmbeddedMongoMissing`, `EmbeddedMongoFailed`.
        """
        if importlib.util.find_spec("secantus") is None:
            raise EmbeddedMongoMissing
        data_dir = data_dir.absolute()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with _Lock.held(data_dir) as lock, contextlib.AsyncExitStack() as stack:
            mongo = EmbeddedMongo(data_dir, lock, _password(data_dir))
            stack.push_async_callback(mongo._stop)
            await mongo._launch()
            supervisor = asyncio.create_task(mongo._supervise(), name="embedded database")
            stack.push_async_callback(end, supervisor)
            yield mongo._url

    @property
    def _url(self) -> str:
        return f"mongodb://{_USER}:{quote(self._password)}@127.0.0.1:{self._port}/?authSource=admin"

    async def _launch(self) -> None:
        """Start the child and wait until it listens."""
        self._last_line = ""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", __name__, str(self._data_dir), str(self._port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[self._lock.fd],  # so that the directory stays locked until the child has ended, too
            start_new_session=True,
        )
        assert process.stdout is not None and process.stderr is not None
        self._listener = asyncio.create_task(self._listen_to(process.stderr), name="embedded database's stderr")
        try:
            async with asyncio.timeout(_START_SECONDS):
                announcement = await process.stdout.readline()
                if not announcement:
                    await self._listener
        except TimeoutError:
            self._last_line = f"It was not ready after {_START_SECONDS:g} seconds."
            announcement = b""
        if not announcement:
            await self._stop()
            raise EmbeddedMongoFailed("The embedded database did not start. " + self._last_line)
        self._port = int(announcement)
        self._lock.describe(database_pid=process.pid, port=self._port)

    async def _listen_to(self, stderr: asyncio.StreamReader) -> None:
        # Its output has to be read, or it would stand still once the pipe is full.
        while True:
            try:
                if not (line := await stderr.readline()):
                    return
            except ValueError:  # a line that is too long is dropped
                continue
            text = line.decode(errors="replace").rstrip()
            self._last_line = text or self._last_line
            _log.warning("embedded_database_says", text=text)

    async def _supervise(self) -> None:
        """Start the database again, on its old port, whenever it ends."""
        backoff = Backoff()
        while self._process is not None:
            code = await self._process.wait()
            _log.error("embedded_database_ended", exit_code=code)
            try:
                await self._launch()
            except Exception as error:  # noqa: BLE001 - also a system without a process or a file to spare
                _log.critical("embedded_database_gone", reason=f"{type(error).__name__}: {error}")
                await backoff.wait()

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("embedded_database_killed", seconds=_STOP_SECONDS)
            process.kill()
            await process.wait()


def _password(data_dir: Path) -> str:
    """The database's password: made once, readable by its owner alone."""
    path = data_dir / "mongodb.password"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(32))
        unfinished.replace(path)
    return path.read_text()


class _Lock:
    """The lock on a data directory, held through one open file that parent and child share."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._holder = Holder(os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"))
        self.describe()

    @classmethod
    @asynccontextmanager
    async def held(cls, data_dir: Path) -> AsyncIterator[_Lock]:
        """Take the lock. Raises `DataDirInUse`, unless its holder was killed and the orphaned database is just ending."""
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # flock(2) can only block a thread for good or not at all, so this asks again and again.
            give_up_at = time.monotonic() + _STOP_SECONDS
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    in_use = DataDirInUse(data_dir, _read_holder(fd))
                    if not _orphaned(in_use) or time.monotonic() >= give_up_at:
                        raise in_use from None
                await asyncio.sleep(_LOCK_AGAIN)
            yield cls(fd)
        finally:
            os.close(fd)

    def describe(self, *, database_pid: int | None = None, port: int | None = None) -> None:
        """Write down which process holds the lock, for the next one that wants it."""
        self._holder = Holder(self._holder.pid, self._holder.since, database_pid, port)
        text = json.dumps(asdict(self._holder)).encode()
        os.pwrite(self.fd, text, 0)
        os.ftruncate(self.fd, len(text))


def _read_holder(fd: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(fd, 4096, 0)))
    except (ValueError, TypeError):  # being written right now
        return None


def _orphaned(error: BaseException) -> bool:
    return isinstance(error, DataDirInUse) and error.holder is not None and not error.holder.alive


def _serve(data_dir: Path, port: int) -> None:
    """The child: serve until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    from secantus import SecantusDBServer
    from secantus.auth import derive_credentials

    server = SecantusDBServer(
        host="127.0.0.1",
        port=port,
        storage_path=str(data_dir / "mongodb"),
        replica_set_name=None,
        require_auth=True,
        enable_test_commands=False,
        cache_size=_CACHE,
        durable=True,
        client_idle_timeout_s=86_400,  # every client is one of ours, and its pooled connections may rest
    )
    # The user is put into the storage before anyone can connect, so there is no moment without a password.
    user = {
        "_id": f"admin.{_USER}",
        "user": _USER,
        "db": "admin",
        "credentials": derive_credentials(_password(data_dir)).to_doc(),
        "roles": [{"role": "root", "db": "admin"}],
        "mechanisms": ["SCRAM-SHA-256"],
    }
    server.storage.add_user("admin", _USER, user, replace=True)
    server.start()

    announcement = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is for the log
    announcement.write(f"{server.port}\n")
    announcement.close()
    sys.stdin.buffer.read()
    with contextlib.suppress(AttributeError, OSError):
        # Without this, stop() waits two seconds for a thread that is still in accept().
        server._socket.shutdown(socket.SHUT_RDWR)
    server.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))

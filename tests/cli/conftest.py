"""A service started by `batchbus up`, and the command to talk to it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from batchbus_service.cli import main
from tests.patience import PATIENCE

__all__ = ["Command", "Result", "Running", "start"]

BATCH_TYPES = Path(__file__).parent.parent / "batch_types"
COMMAND = Path(sys.executable).with_name("batchbus")
_SERVICE = ("up", "serve", "worker")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Command:
    """`batchbus` in a folder, with an environment that names no other service."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """A client command runs in this process, which spares it the start of a Python; the service's own, in theirs."""
        if arguments[0] in _SERVICE:
            process = self.start(*arguments, environment=environment)
            return Result(process.wait(PATIENCE), *process.communicate())
        out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with (
            mock.patch.dict(os.environ, self._environment(environment), clear=True),
            mock.patch.object(sys, "argv", ["batchbus", *arguments]),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
        return Result(code, _text(out), _text(err))

    def fine(self, *arguments: str) -> Result:
        result = self(*arguments)
        assert result.code == 0, result
        return result

    def start(
        self, *arguments: str, terminal: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """`terminal`: a file descriptor to use as the process's terminal."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self._environment(environment or {}),
            stdout=terminal,
            stderr=terminal,
            text=True,
            start_new_session=True,
        )

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("BATCHBUS_")}
        return {**ours, "BATCHBUS_STRATEGIES_DIR": str(BATCH_TYPES), **self.environment, **more}


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@dataclass
class Running:
    """A process of the service that has said it is ready."""

    command: Command
    process: subprocess.Popen[str]
    banner: list[str]
    seconds: float
    log: queue.Queue[str]

    def wait_for(self, text: str) -> None:
        """Until a line with this text is in the log."""
        while text not in self.log.get(timeout=PATIENCE):
            pass

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def start(command: Command, *arguments: str, **environment: str) -> Iterator[Running]:
    """Run a process of the service until the context is left."""
    begun = time.perf_counter()
    command = replace(command, environment={"BATCHBUS_HTTP_PORT": "0", **command.environment, **environment})
    process = command.start(*arguments)
    assert process.stdout and process.stderr
    log: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stderr, log), daemon=True)
    reader.start()
    banner: list[str] = []
    for line in process.stdout:
        banner.append(line.rstrip("\n"))
        if "Ctrl-C stops it" in line:
            break
    else:
        reader.join(PATIENCE)
        raise AssertionError(f"{arguments} ended with {process.wait()}: {''.join(log.queue)}")
    try:
        yield Running(command, process, banner, time.perf_counter() - begun, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        reader.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()


def _read(stream: Iterable[str], log: queue.Queue[str]) -> None:
    for line in stream:
        log.put(line)


@pytest.fixture
def folder_command(tmp_path: Path) -> Command:
    """The command in a folder where nothing runs."""
    return Command(tmp_path)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service, which runs for all tests that ask for it."""
    command = Command(tmp_path_factory.mktemp("batchbus"), {"BATCHBUS_PROGRESS_INTERVAL_SECONDS": "0.01"})
    with start(command, "up") as running:
        print(f"batchbus up was ready after {running.seconds:.1f} s")
        yield running


@pytest.fixture
def batchbus(service: Running) -> Command:
    """The command in the folder of that service."""
    return service.command


@pytest.fixture
def submit(batchbus: Command) -> Callable[..., str]:
    """Creates a job and returns its id."""

    def submitted(type: str, *options: str) -> str:
        job_id: str = batchbus.fine("submit", type, "--json", *options).json["batch_job"]["id"]
        return job_id

    return submitted

"""A service started by `batchbus up`, and the command to talk to it."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.patience import PATIENCE

__all__ = ["Running", "start"]


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


@pytest.fixture
def on_servers(
    folder_command: Command, mongo_url: str, database_name: str, amqp_vhost_url: str, tmp_path: Path
) -> Command:
    """The command in such a folder, with settings for processes that meet in a broker and a database."""
    shared = {
        "BATCHBUS_AMQP_URL": amqp_vhost_url,
        "BATCHBUS_MONGODB_URL": mongo_url,
        "BATCHBUS_MONGODB_DATABASE": database_name[-38:],
        "BATCHBUS_JWT_SECRET": "the same in every process",
        "BATCHBUS_FILES_URL": f"file://{tmp_path}/files",
    }
    return Command(folder_command.folder, shared)


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

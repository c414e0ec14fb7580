"""One `batchbus worker` in several processes: they share its slots, are kept up, and end with it."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.worker_processes import number_of, shares
from batchbus_service.domain.settings import Settings
from batchbus_service.execution.cores import usable_cores
from tests.cli.command import Command
from tests.cli.conftest import Running, start
from tests.patience import PATIENCE


@pytest.mark.parametrize(
    ("total", "number", "expected"), [(4, 2, [2, 2]), (5, 2, [3, 2]), (2, 4, [1, 1, 1, 1]), (7, 1, [7])]
)
def test_slots_are_divided_as_evenly_as_can_be_and_each_process_has_one(
    total: int, number: int, expected: list[int]
) -> None:
    assert shares(total, number) == expected


def test_there_are_no_more_processes_than_processors_or_slots() -> None:
    assert number_of(None, Settings(worker_slots=1000)) == usable_cores()
    assert number_of(None, Settings(worker_slots=1)) == 1
    assert number_of(3, Settings(worker_slots=3)) == 3
    with pytest.raises(Refusal, match="4 processes need 4 slots or more, and there are 3"):
        number_of(4, Settings(worker_slots=3))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("150000 100000", 2), ("100000 100000", 1), ("5000 100000", 1), ("max 100000", None), ("", None)],
)
def test_a_quota_of_the_control_group_counts_to_the_next_whole_processor(
    tmp_path: Path, quota: str, cores: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    here = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path / "cpu.max") == (here if cores is None else min(here, cores))
    assert usable_cores(tmp_path / "none") == here


def test_up_without_a_broker_refuses_to_be_several_processes(folder_command: Command) -> None:
    refused = folder_command("up", BATCHBUS_WORKER_PROCESSES="2")
    assert refused.code != 0 and "runs everything in one process" in refused.err


@pytest.fixture
def on_servers(on_servers: Command) -> Command:
    """With slots that two processes cannot share evenly."""
    return replace(on_servers, environment={**on_servers.environment, "BATCHBUS_WORKER_SLOTS": "3"})


def _processes(running: Running) -> set[psutil.Process]:
    return set(psutil.Process(running.process.pid).children())


@pytest.mark.rabbitmq
def test_a_process_that_ends_is_started_anew_and_all_end_with_the_command(on_servers: Command) -> None:
    with start(on_servers, "worker", "--processes", "2", BATCHBUS_METRICS_PORT="0") as running:
        assert running.banner[-1].startswith("batchbus worker is ready: 2 processes with 2 and 1 slots each")
        assert sum("has its metrics at http://127.0.0.1:" in line for line in running.banner) == 2
        first = _processes(running)
        assert len(first) == 2
        victim = first.pop()
        victim.kill()
        running.wait_for("is started anew")
        psutil.wait_procs([victim], timeout=PATIENCE)
        assert running.stop(signal.SIGTERM) == 0
        assert psutil.wait_procs(list(first), timeout=PATIENCE)[1] == []


@pytest.mark.rabbitmq
def test_processes_of_a_worker_that_is_killed_end_by_themselves(on_servers: Command) -> None:
    with start(on_servers, "worker", "--processes", "2") as running:
        family = _processes(running)
        running.process.kill()
        assert psutil.wait_procs(list(family), timeout=PATIENCE)[1] == []


@pytest.mark.rabbitmq
def test_a_worker_whose_processes_cannot_start_says_why_and_ends(on_servers: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = on_servers("worker", "--processes", "2", BATCHBUS_METRICS_PORT=str(port))
    assert refused.code == 1
    assert str(port) in refused.err and "A worker process did not start" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.rabbitmq
def test_a_worker_says_in_seconds_that_the_database_is_not_there(on_servers: Command) -> None:
    refused = on_servers("worker", "--processes", "2", BATCHBUS_MONGODB_URL="mongodb://127.0.0.1:1/")
    assert refused.code == 1
    assert "database" in refused.err and "Traceback" not in refused.err


@pytest.mark.rabbitmq
def test_a_worker_whose_output_nobody_reads_any_more_ends_when_it_is_told_to(on_servers: Command) -> None:
    process = on_servers.start("worker", "--processes", "2", environment={"BATCHBUS_LOG_LEVEL": "error"})
    assert process.stdout and process.stderr
    assert "is ready" in process.stdout.readline()
    family = psutil.Process(process.pid).children()
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []

"""The service as a process: how it starts, how it ends, and what is there when it starts again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from batchbus_service.cli.refusals import ExitCode
from tests.cli.command import Command
from tests.cli.conftest import Running, start
from tests.patience import PATIENCE

SLOW = ("submit", "slow", "--context", '{"steps": 30, "seconds": 0.05}', "--json")


def test_up_says_when_it_is_ready_and_leaves_a_token_for_its_owner(service: Running, batchbus: Command) -> None:
    print(f"ready after {service.seconds:.1f} s")
    assert service.banner[0].startswith("batchbus is ready at http://127.0.0.1:")
    left = batchbus.folder / ".batchbus" / "client.env"
    assert left.stat().st_mode & 0o777 == 0o600
    assert service.banner[0].split()[-1] in left.read_text()
    assert batchbus.fine("jobs").code == 0


def test_both_ports_are_for_this_machine_alone(service: Running) -> None:
    process = psutil.Process(service.process.pid)
    family = [process, *process.children(recursive=True)]
    listening = [c.laddr for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_a_second_start_finds_every_job_where_it_was_and_shows_no_second_token(folder_command: Command) -> None:
    batchbus = folder_command
    with start(batchbus, "up", "--create-admin", "ops@example.com") as running:
        assert running.banner[0].startswith("A token for ops@example.com, shown this once:  bb_")
        rests = batchbus.fine("submit", "slow", "--dry-run", "--watch", "--json").json_lines[0]["batch_job"]["id"]
        runs = batchbus.fine(*SLOW).json["batch_job"]["id"]
        waits = [batchbus.fine(*SLOW).json["batch_job"]["id"] for _ in range(5)]
        token = (batchbus.folder / ".batchbus" / "client.env").read_text().split("BATCHBUS_TOKEN=")[1]
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert running.stop(signal.SIGINT) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
    with start(batchbus, "up", "--create-admin", "ops@example.com") as again:
        assert again.banner[0].startswith("ops@example.com is there already; `batchbus tokens create")
        assert token in (batchbus.folder / ".batchbus" / "client.env").read_text()
        assert batchbus.fine("show", rests, "--json").json["batch_job"]["status"] == "pre_processed"
        for job_id in (runs, *waits):
            told = batchbus.fine("watch", job_id, "--json").json_lines
            sequence = [event["sequence"] for event in told if "sequence" in event]
            assert sequence == list(range(1, len(sequence) + 1))
            assert told[-1]["type"] == "batch.completed"
            assert told[-1]["data"]["advancement_count"] == 30
        assert again.stop(signal.SIGTERM) == 0


def test_the_second_interrupt_waits_for_nothing(folder_command: Command) -> None:
    with start(folder_command, "up") as running:
        stubborn = ("submit", "slow", "--context", '{"steps": 1, "seconds": 600}')
        folder_command.fine(*stubborn)
        running.wait_for("batch.processing")
        running.process.send_signal(signal.SIGINT)
        running.wait_for("Ctrl-C again")
        assert running.stop(signal.SIGINT) == 130


def test_an_interrupt_during_the_start_ends_it(folder_command: Command) -> None:
    process = folder_command.start("up", environment={"BATCHBUS_HTTP_PORT": "0"})
    lock = folder_command.folder / ".batchbus" / "lock"
    while not lock.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "ready" not in out and "Traceback" not in err


def test_a_data_directory_in_use_is_told_with_who_uses_it(batchbus: Command) -> None:
    second = batchbus("up", BATCHBUS_HTTP_PORT="0")
    assert second.code == 1
    assert "is in use by process" in second.err and "BATCHBUS_DATA_DIR" in second.err


def test_a_port_in_use_is_told_with_the_setting(folder_command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = folder_command("up", BATCHBUS_HTTP_PORT=str(taken.getsockname()[1]))
    assert refused.code == 1
    assert "BATCHBUS_HTTP_PORT" in refused.err


@pytest.mark.parametrize(
    ("name", "value"), [("LEASE_SECONDS", "soon"), ("AMQP_URL", "http://x"), ("LOG_LEVEL", "loud")]
)
def test_a_wrong_setting_is_named(folder_command: Command, name: str, value: str) -> None:
    refused = folder_command("up", **{f"BATCHBUS_{name}": value})
    assert refused.code == 2
    assert f"BATCHBUS_{name}" in refused.err


def test_a_secret_that_cannot_be_used_is_not_shown(folder_command: Command) -> None:
    refused = folder_command("up", BATCHBUS_JWT_SECRET="hunter2", BATCHBUS_AMQP_URL="rabbit://me:hunter2@host")
    assert "BATCHBUS_JWT_SECRET" in refused.err and "BATCHBUS_AMQP_URL" in refused.err
    assert "hunter2" not in refused.err


def test_a_broken_strategy_is_named_with_its_line(folder_command: Command) -> None:
    (folder_command.folder / "broken.py").write_text("x = 1\nraise ValueError('not today')\n")
    refused = folder_command("up", BATCHBUS_STRATEGIES_DIR=str(folder_command.folder), BATCHBUS_HTTP_PORT="0")
    assert refused.code == 1
    assert "broken.py, line 2: ValueError: not today" in refused.err


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_of_its_own_needs_a_broker_and_a_database_to_meet_the_others(
    folder_command: Command, command: str
) -> None:
    refused = folder_command(command)
    assert refused.code == 1
    assert "BATCHBUS_AMQP_URL and BATCHBUS_MONGODB_URL" in refused.err


def test_without_a_service_the_way_out_is_told(folder_command: Command) -> None:
    refused = folder_command("jobs")
    assert refused.code == ExitCode.UNREACHABLE
    assert "BATCHBUS_URL is not set" in refused.err and "batchbus up" in refused.err
    gone = folder_command("jobs", BATCHBUS_URL="http://127.0.0.1:9", BATCHBUS_TOKEN="x")
    assert gone.code == ExitCode.UNREACHABLE
    assert "No service answers at http://127.0.0.1:9" in gone.err


def test_a_wrong_token_is_told_with_where_it_came_from(batchbus: Command) -> None:
    refused = batchbus("jobs", **batchbus.with_token("wrong"))
    assert refused.code == 1
    assert "does not accept the token from BATCHBUS_TOKEN" in refused.err


def test_a_token_is_shown_to_no_other_service(batchbus: Command) -> None:
    refused = batchbus("jobs", BATCHBUS_URL="http://127.0.0.1:9")
    assert refused.code == 1
    assert "There is no token for http://127.0.0.1:9" in refused.err


def test_client_commands_import_nothing_of_the_service() -> None:
    heavy = "{'motor', 'pymongo', 'fastapi', 'starlette', 'uvicorn', 'obstore', 'pydantic', 'aio_pika'}"
    code = (
        "import sys; from batchbus_service.cli.app import app; from batchbus_service.cli import client, following\n"
        f"sys.exit(str(sorted({heavy} & sys.modules.keys())) if {heavy} & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.rabbitmq
def test_api_and_workers_run_as_processes_of_their_own(on_servers: Command, tmp_path: Path) -> None:
    without_secret = on_servers("serve", BATCHBUS_JWT_SECRET="", BATCHBUS_HTTP_PORT="0")
    assert without_secret.code != 0 and "BATCHBUS_JWT_SECRET" in without_secret.err

    with (
        start(on_servers, "serve", "--create-admin", "ops@example.com") as api,
        start(on_servers, "worker", "--processes", "1", BATCHBUS_METRICS_PORT="0") as worker,
    ):
        token = next(line.split()[-1] for line in api.banner if "ops@example.com" in line)
        url = next(line.split()[4].rstrip(";") for line in api.banner if "ready at" in line)
        client = Command(on_servers.folder, {"BATCHBUS_URL": url, "BATCHBUS_TOKEN": token})
        (tmp_path / "rows.txt").write_text("one\ntwo\n")
        told = client.fine("submit", "rows", "--file", str(tmp_path / "rows.txt"), "--watch", "--json").json_lines
        assert told[-1]["type"] == "batch.completed"
        assert client.fine("show", told[-1]["subject"], "--json").json["batch_job"]["result"]["count"] == 2
        assert on_servers("doctor", BATCHBUS_URL=url, BATCHBUS_TOKEN=token).code == 0
        metrics = httpx.get(worker.banner[-1].split()[7].rstrip(";"), timeout=PATIENCE).text
        assert 'batchbus_jobs_total{status="completed",type="rows"} 1.0' in metrics

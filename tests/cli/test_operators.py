"""Commands of operators: replays and parked messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchbus_service.cli.refusals import ExitCode
from tests.cli.command import Command


@pytest.fixture
def job_id(batchbus: Command, submit: Callable[..., str]) -> str:
    """A job that has been completed."""
    job_id = submit("slow", "--context", '{"steps": 1}')
    batchbus.fine("watch", job_id)
    return job_id


def test_a_replay_from_its_plan_to_its_end(batchbus: Command, job_id: str) -> None:
    planned = batchbus.fine("replay", "plan", "--everyone", "--job", job_id, "--reason", "billing was down").out
    replay_id = planned.split()[0]
    assert "5 events of 1 job, from" in planned
    assert f"batchbus replay run {replay_id}" in planned

    refused = batchbus("replay", "run", replay_id)
    assert (refused.code, "Confirm that you mean it" in refused.err) == (1, True)
    assert "5 of 5 published" in batchbus.fine("replay", "run", replay_id, "--yes", "--watch").out

    shown = batchbus.fine("replay", "show", replay_id).out
    assert "because billing was down" in shown and "completed" in shown
    assert replay_id in batchbus.fine("replay", "list").out
    (listed,) = [one for one in batchbus.fine("replay", "list", "--json").json["replays"] if one["id"] == replay_id]
    assert listed["published"] == 5


@pytest.mark.parametrize("action", ["pause", "resume", "abort"])
def test_what_cannot_be_done_to_a_replay_is_said(batchbus: Command, job_id: str, action: str) -> None:
    planned = batchbus.fine(
        *("replay", "plan", "--everyone", "--job", job_id, "--event", "batch.completed", "--reason", "a test", "--json")
    )
    replay_id = planned.json["replay"]["id"]
    batchbus.fine("replay", "run", replay_id, "--yes", "--watch")

    refused = batchbus("replay", action, replay_id)

    assert (refused.code, f"Cannot {action} a replay that is completed" in refused.err) == (1, True)


def test_a_replay_has_one_destination(batchbus: Command) -> None:
    assert batchbus("replay", "plan", "--reason", "a test").code == 2
    assert batchbus("replay", "plan", "--reason", "a test", "--queue", "a", "--everyone").code == 2


@pytest.fixture
def parked(batchbus: Command) -> Callable[..., list[dict[str, Any]]]:
    def listed(*options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = batchbus.fine("parked", "list", "--json", *options).json["parked"]
        return found

    return listed


def test_there_may_be_nothing_parked(batchbus: Command, parked: Callable[..., list[dict[str, Any]]]) -> None:
    assert parked() == []
    assert "Requeued 0 messages" in batchbus.fine("parked", "requeue", "--all", "--reason", "a test").out
    assert "Discarded 0 messages" in batchbus.fine("parked", "discard", "--all", "--reason", "a test").out


def test_an_unknown_parked_message_is_refused(batchbus: Command, tmp_path: Path) -> None:
    body = tmp_path / "trigger.json"
    body.write_text("{}")
    for arguments in (
        ("show", "parked_1"),
        ("requeue", "parked_1", "--reason", "a test"),
        ("requeue", "parked_1", "--body", str(body), "--reason", "a test"),
        ("discard", "parked_1", "--reason", "a test"),
    ):
        refused = batchbus("parked", *arguments)
        assert (refused.code, "parked_1 was not found" in refused.err) == (ExitCode.NOT_FOUND, True)


def test_messages_are_named_or_chosen(batchbus: Command) -> None:
    assert batchbus("parked", "requeue", "--reason", "a test").code == 2
    assert batchbus("parked", "discard", "parked_1", "--all", "--reason", "a test").code == 2
    assert batchbus("parked", "discard", "parked_1", "--because", "x", "--reason", "a test").code == 2

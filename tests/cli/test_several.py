"""Several jobs in one command: what goes wrong with one stops none of the others, and is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchbus_service.cli.refusals import ExitCode
from tests.cli.command import Command

Submit = Callable[..., str]

NOBODY = "batch_00000000000000000000000000"


def test_several_are_canceled_retried_confirmed_and_shown(batchbus: Command, submit: Submit) -> None:
    ids = [submit("slow", "--dry-run", "--context", '{"steps": 1}') for _ in range(2)]
    for job_id in ids:
        batchbus.fine("watch", job_id)
    assert batchbus.fine("cancel", *ids).out.splitlines() == [f"{job_id} is canceled" for job_id in ids]
    retried = batchbus.fine("retry", *ids, "--watch").out
    assert retried.count("batch.pre_processed") == 2
    confirmed = batchbus.fine("confirm", *ids, "--watch", "--json").json_lines
    assert [line["batch_job"]["id"] for line in confirmed[:2]] == ids
    ended = [event["subject"] for event in confirmed[2:] if event["type"] == "batch.completed"]
    assert ended == ids, "the second is followed once the first rests"
    shown = batchbus.fine("show", *ids).out
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("batch_")] == ids
    assert [line["batch_job"]["id"] for line in batchbus.fine("show", *ids, "--json").json_lines] == ids


def test_what_goes_wrong_with_one_is_said_and_stops_none_of_the_others(batchbus: Command, submit: Submit) -> None:
    completed, dry = submit("slow", "--context", '{"steps": 1}'), submit("slow", "--dry-run")
    batchbus.fine("watch", completed)
    batchbus.fine("watch", dry)
    done = batchbus("cancel", NOBODY, completed, dry, dry)
    assert done.code == ExitCode.REFUSED, "what went wrong with them differs"
    assert done.out.splitlines() == [f"{dry} is canceled"], "and once, though it was named twice"
    errors = [line for line in done.err.splitlines() if line.startswith("Error")]
    assert errors == [
        f"Error: Batch job with id {NOBODY} was not found",
        f"Error: {completed}: Cannot cancel completed batch job",
    ]
    as_json = batchbus("retry", NOBODY, dry, "--json")
    assert as_json.code == ExitCode.NOT_FOUND
    unknown, again = as_json.json_lines
    assert (unknown["id"], unknown["exit_code"]) == (NOBODY, ExitCode.NOT_FOUND)
    assert "was not found" in unknown["error"]
    assert again["batch_job"]["id"] == dry


def test_those_that_went_well_are_followed(batchbus: Command, submit: Submit) -> None:
    dry, fails = submit("slow", "--dry-run"), submit("slow", "--dry-run", "--context", '{"fail": "no", "steps": 1}')
    for job_id in (dry, fails):
        batchbus.fine("watch", job_id)
    done = batchbus("confirm", NOBODY, fails, dry, "--watch")
    assert done.code == ExitCode.REFUSED
    assert f"{fails} failed: no" in done.err and f"{dry} is confirmed" in done.out
    assert "completed" in done.out.splitlines()[-1]


def test_a_service_that_is_away_is_asked_once(folder_command: Command) -> None:
    gone = folder_command("cancel", "batch_A", "batch_B", BATCHBUS_URL="http://127.0.0.1:9", BATCHBUS_TOKEN="x")
    assert gone.code == ExitCode.UNREACHABLE
    assert gone.err.count("No service answers") == 1
    assert "batch_B: it was not tried" in gone.err


@pytest.mark.parametrize("option", [("confirm", "--plan-digest", "x"), ("show", "--errors", "file.csv")])
def test_what_belongs_to_one_job_goes_with_one(batchbus: Command, option: tuple[str, ...]) -> None:
    command, *rest = option
    refused = batchbus(command, "batch_A", "batch_B", *rest)
    assert refused.code == ExitCode.USAGE
    assert "one job" in " ".join(refused.err.replace("│", " ").split())

"""Commands about jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from batchbus_service.cli.refusals import ExitCode
from tests.cli.command import Command

Submit = Callable[..., str]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.txt"
    path.write_text("one\ntwo\nbad\n")
    return path


def test_a_dry_run_shows_its_plan_and_how_to_carry_it_out(batchbus: Command, rows: Path) -> None:
    planned = batchbus.fine("submit", "rows", "--file", str(rows), "--dry-run", "--watch")
    job_id = planned.out.split()[1]
    assert [line.split()[-1] for line in planned.out.splitlines()[1:3]] == ["batch.created", "batch.pre_processed"]
    assert "Rows to read: There will be 3 rows read" in planned.out
    assert f"batchbus confirm {job_id}" in planned.out

    done = batchbus.fine("confirm", job_id, "--watch")
    assert "completed (1 left out): 3 of 3 done" in done.out
    assert '1 could not be used; the first: Line 3, column "text": it is bad (value: "bad")' in done.out


def test_what_was_skipped_is_told_by_every_command_and_what_is_over_in_the_past_tense(
    batchbus: Command, tmp_path: Path
) -> None:
    header = "Product Handle,Product Title,Variant Title," + ",".join(f"Sales Channel {n} Name" for n in range(1, 13))
    channels = ",".join(f"[No such shop {n:02}]" for n in range(1, 13))
    (tmp_path / "products.csv").write_text(f"{header}\nskipped-channels,Bowl,Small,{channels}\n")
    submit = ("submit", "product-import", "--file", str(tmp_path / "products.csv"))

    planned = batchbus.fine(*submit, "--dry-run", "--watch").out
    assert "There will be 1 product created" in planned
    assert "warning There is no sales channel [No such shop 01]; it was skipped" in planned
    assert "… and 2 more warnings" in planned
    job_id = planned.split()[1]
    completed = batchbus.fine("confirm", job_id, "--watch").out
    assert "warning There is no sales channel [No such shop 10]; it was skipped" in completed
    assert "No such shop 11" not in completed
    shown = batchbus.fine("show", job_id).out
    assert "warning There is no sales channel [No such shop 01]; it was skipped" in shown
    assert "There was 1 product created" in shown and "will be" not in shown


def test_a_plan_is_shown_by_kind_and_key_and_fetched_and_confirmed_as_it_was_seen(
    batchbus: Command, tmp_path: Path
) -> None:
    file = tmp_path / "articles.csv"
    file.write_text("Number,Name,Price\ncli-1,Bowl,24.90\ncli-2,Cup,free\n")
    submit = ("submit", "article-import", "--file", str(file), "--context", '{"on_error": "skip"}', "--watch")
    batchbus.fine(*submit)
    file.write_text("Number,Name,Price\ncli-1,Oak bowl,22.90\ncli-2,Cup,free\ncli-3,Plate,3\n")
    planned = batchbus.fine(*submit, "--dry-run").out
    job_id, digest = planned.split()[1], planned.split()[-1]
    assert f"batchbus confirm {job_id} --plan-digest {digest}" in planned
    shown = batchbus.fine("show", job_id, "--plan").out
    assert "1 create, 1 update, 1 error" in shown and f"plan digest {digest}" in shown
    assert "name Bowl → Oak bowl; price 2490 → 2290" in shown and "Price: not an amount" in shown
    of_kind = batchbus.fine("show", job_id, "--plan", "--kind", "create").out
    assert "cli-3" in of_kind and "cli-1" not in of_kind
    assert "There are no such rows" in batchbus.fine("show", job_id, "--plan", "--find", "bowl").out
    found = batchbus.fine("show", job_id, "--plan", "--find", "CLI-2", "--json").json
    assert [row["key"] for row in found["plan"]] == [["cli-2"]]
    batchbus.fine("show", job_id, "--plan-file", str(tmp_path / "plan.csv"), "--kind", "update")
    assert (tmp_path / "plan.csv").read_text().splitlines()[1:] == [
        "2,cli-1,update,name,Bowl,Oak bowl,",
        "2,cli-1,update,price,2490,2290,",
    ]
    assert batchbus("show", job_id, "--plan-file", str(tmp_path / "plan.txt")).code == 1

    again = batchbus.fine("check-again", job_id, "--file", str(file), "--watch").out
    assert digest not in again
    refused = batchbus("confirm", job_id, "--plan-digest", digest)
    assert refused.code == 1 and f"Cannot confirm the plan {digest}" in refused.err
    assert "checked again with another file" in refused.err
    completed = batchbus.fine("confirm", job_id, "--watch").out
    assert "completed (1 left out)" in completed
    assert "completed (1 left out)" in batchbus.fine("jobs", "--type", "article-import").out
    assert "completed (1 left out)" in batchbus.fine("show", job_id).out
    became = batchbus.fine("show", job_id, "--outcome").out
    assert all(part in became for part in ("1 updated", "1 created", "1 refused", "cli-3"))
    batchbus.fine("show", job_id, "--outcome-file", str(tmp_path / "outcome.jsonl"))
    assert len((tmp_path / "outcome.jsonl").read_text().splitlines()) == 3


def test_a_watched_job_tells_programs_every_event(batchbus: Command) -> None:
    told = batchbus.fine("submit", "slow", "--context", '{"steps": 5}', "--watch", "--json").json_lines
    assert told[0]["batch_job"]["type"] == "slow"
    lifecycle = [event["sequence"] for event in told[1:] if event["type"] != "batch.progress"]
    assert lifecycle == [1, 2, 3, 4, 5]
    assert told[-1]["type"] == "batch.completed"
    assert any(event["type"] == "batch.progress" for event in told[1:])


def test_a_job_that_fails_fails_the_command_and_says_why(batchbus: Command) -> None:
    failed = batchbus("submit", "slow", "--context", '{"steps": 1, "fail": "the well is dry"}', "--watch")
    assert failed.code == ExitCode.FAILED
    assert "failed: the well is dry" in failed.err
    as_json = batchbus("submit", "slow", "--context", '{"steps": 1, "fail": "again"}', "--watch", "--json")
    assert (as_json.code, as_json.json_lines[-1]["data"]["error"]) == (ExitCode.FAILED, "again")


def test_a_context_can_come_from_a_file(batchbus: Command, tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text('{"steps": 2}')
    created = batchbus.fine("submit", "slow", "--context", f"@{tmp_path}/context.json", "--json")
    assert created.json["batch_job"]["context"] == {"steps": 2}


def test_jobs_are_listed_for_people_and_for_programs(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--dry-run")
    batchbus.fine("watch", job_id)
    listed = batchbus.fine("jobs", "--status", "pre_processed", "--type", "slow", "--json").json
    assert job_id in [job["id"] for job in listed["batch_jobs"]]
    table = batchbus.fine("jobs", "--limit", "1").out.splitlines()
    assert table[0].split() == ["job", "type", "status", "done", "created", "by", "file", "reason"]
    assert len(table) == 3 and "more with --limit" in table[2]


def test_a_job_is_shown_with_its_history_and_why_it_is_where_it_is(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--dry-run")
    batchbus.fine("watch", job_id)
    shown = batchbus.fine("show", job_id).out
    assert "It is a dry run and waits for a confirmation" in shown
    assert "batch.pre_processed" in shown
    as_json = batchbus.fine("show", job_id, "--json").json
    assert as_json.keys() == {"batch_job", "history", "why", "way_out", "plan", "outcome", "error_file"}


def test_the_row_errors_of_a_job_are_fetched(batchbus: Command, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("bad\n" * 12)
    submitted = batchbus.fine("submit", "rows", "--file", str(tmp_path / "rows.txt"), "--json").json
    job_id = submitted["batch_job"]["id"]
    batchbus.fine("watch", job_id)
    assert f"… and 2 more: batchbus show {job_id} --errors FILE" in batchbus.fine("show", job_id).out
    saved = tmp_path / "errors.csv"
    assert f"Saved {saved}" in batchbus.fine("show", job_id, "--errors", str(saved)).out.replace("\n", "")
    assert len(saved.read_text().splitlines()) == 13


def test_a_running_job_is_canceled_and_retried(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--context", '{"steps": 3000, "seconds": 0.01}')
    assert "is canceled" in batchbus.fine("cancel", job_id).out
    watched = batchbus("watch", job_id)
    assert watched.code == ExitCode.CANCELED
    assert f"{job_id} was canceled" in watched.err and f"batchbus retry {job_id}" in watched.err
    stopped = batchbus("events", "tail", f"batch.updated.slow.{job_id}", "--since", "2020-01-01", "--limit", "1")
    assert stopped.code == 0
    batchbus.fine("retry", job_id)
    batchbus.fine("cancel", job_id)


def test_what_the_service_refuses_is_refused_with_its_reason(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--context", '{"steps": 1}')
    batchbus.fine("watch", job_id)
    for arguments, reason in (
        (("confirm", job_id), "Cannot confirm processing for a batch job that is not pre processed"),
        (("cancel", job_id), "Cannot cancel completed batch job"),
        (("retry", job_id), "Cannot retry a batch job that is completed"),
        (("show", job_id, "--save", "file.csv"), "has made no file"),
        (("submit", "rows"), "fileKey: Field required"),
    ):
        refused = batchbus(*arguments)
        assert (refused.code, refused.out) == (ExitCode.REFUSED, "")
        assert reason in refused.err
    for arguments, reason in (
        (("show", "batch_nope"), "Batch job with id batch_nope was not found"),
        (("submit", "nope"), "Unable to find a BatchJob strategy with the type nope"),
    ):
        unknown = batchbus(*arguments)
        assert (unknown.code, unknown.out) == (ExitCode.NOT_FOUND, "")
        assert reason in unknown.err


def test_the_same_key_makes_no_second_job_and_uploads_no_second_file(batchbus: Command, rows: Path) -> None:
    submit = ("submit", "rows", "--file", str(rows), "--idempotency-key", "monday", "--json")
    first, second = batchbus.fine(*submit).json, batchbus.fine(*submit).json
    assert first["batch_job"]["id"] == second["batch_job"]["id"]
    other = batchbus(*submit, "--dry-run")
    assert other.code == 1 and "was used for another request" in other.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "rows", "--file", "no such file"),
        ("submit", "rows", "--context", "{"),
        ("submit", "rows", "--context", "[1]"),
        ("submit", "rows", "--context", "@no such file"),
        ("jobs", "--limit", "0"),
        ("nonsense",),
        ("events", "tail", "--since", "yesterday"),
    ],
)
def test_wrong_usage_ends_with_two(folder_command: Command, arguments: tuple[str, ...]) -> None:
    assert folder_command(*arguments).code == 2


def test_a_job_that_made_a_file_hands_it_over(batchbus: Command, tmp_path: Path) -> None:
    exported = batchbus.fine("submit", "product-export", "--watch", "--json").json_lines
    job_id = exported[0]["batch_job"]["id"]
    batchbus.fine("show", job_id, "--save", str(tmp_path / "products.csv"))
    assert (tmp_path / "products.csv").read_bytes().startswith(b"Product Id;")


def test_on_a_terminal_a_bar_moves_with_rate_and_time_left(batchbus: Command) -> None:
    context = json.dumps({"steps": 200, "seconds": 0.005})
    text = batchbus.on_a_terminal(80, "submit", "slow", "--context", context, "--watch")
    assert "processing" in text and "━" in text and " of 200" in text and "/s" in text and "left" in text
    assert "completed" in text


def test_the_files_of_a_job_are_forgotten(batchbus: Command, rows: Path) -> None:
    job_id = batchbus.fine("submit", "rows", "--file", str(rows), "--watch").out.split()[1]
    assert f"1 file of {job_id} removed" in batchbus.fine("forget", job_id).out
    assert json.loads(batchbus.fine("forget", job_id, "--json").out) == {"id": job_id, "files_removed": 0}


def test_an_upload_is_granted_to_services_and_taken_back(batchbus: Command, rows: Path) -> None:
    job = batchbus.fine("submit", "rows", "--file", str(rows), "--watch", "--json").json_lines[0]["batch_job"]
    key = job["context"]["fileKey"]
    assert f"{key} is granted to shop, billing" in batchbus.fine("grant", key, "shop", "billing").out
    assert batchbus.fine("grant", key, "shop", "--json").json == {"file_key": key, "services": ["shop"]}
    assert f"{key} is granted to nobody" in batchbus.fine("grant", key).out
    missing = batchbus("grant", "01ARZ3NDEKTSV4RRFFQ69G5FAV-none.csv", "shop")
    assert missing.code != 0 and "There is no upload" in missing.err


def test_what_could_not_be_used_is_fetched_as_it_came(batchbus: Command, tmp_path: Path) -> None:
    sent, back = tmp_path / "customers.csv", tmp_path / "errors.csv"
    sent.write_text("Email,Country Code\nada@example.com,gb\nbob@example.com,Britain\n")
    done = batchbus.fine(
        "submit", "customer-import", "--file", str(sent), "--context", '{"on_error": "skip"}', "--watch"
    )
    job_id = done.out.split()[1]
    assert f"batchbus show {job_id} --error-file errors.csv" in done.out
    batchbus.fine("show", job_id, "--error-file", str(back))
    assert back.read_text().splitlines()[1].endswith(",bob@example.com,Britain")

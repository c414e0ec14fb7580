"""Commands about events and batch types."""

from __future__ import annotations

from pathlib import Path

from python_calamine import CalamineWorkbook

from batchbus_events.ids import new_job_id
from batchbus_service.cli.refusals import ExitCode
from tests.cli.command import Command


def test_events_are_seen_as_they_pass(batchbus: Command) -> None:
    job_id = new_job_id()
    tail = batchbus.start("events", "tail", f"batch.*.slow.{job_id}", "--limit", "1", "--since", "2020-01-01")
    published = batchbus.fine("events", "publish", "batch.created", "--subject", job_id, "--data", '{"type": "slow"}')
    assert published.out.startswith("Published batch.created as ")
    seen, _ = tail.communicate(timeout=30)
    assert tail.returncode == 0
    assert seen.split()[1:] == ["batch.created", job_id, "slow"]


def test_past_events_come_first_as_one_document_a_line(batchbus: Command) -> None:
    batchbus.fine("submit", "slow", "--context", '{"steps": 1}', "--watch")
    told = batchbus.fine("events", "tail", "batch.completed.#", "--since", "2020-01-01", "--limit", "1", "--json")
    assert told.json["specversion"] == "1.0"
    assert told.json["type"] == "batch.completed"


def test_a_trigger_that_could_not_be_used_is_refused(batchbus: Command) -> None:
    refused = batchbus("events", "publish", "batch.confirmed")
    assert refused.code == 1
    assert "subject" in refused.err


def test_batch_types_are_listed_with_where_they_come_from(batchbus: Command) -> None:
    lines = {line.split()[0]: line for line in batchbus.fine("types").out.splitlines()}
    assert "rows-strategy" in lines["rows"] and lines["rows"].rstrip().endswith("rows.py")
    assert "built-in" in lines["product-import"]
    types = batchbus.fine("types", "--json").json["batch_types"]
    assert "slow" in [entry["type"] for entry in types]


def test_a_template_is_fetched(batchbus: Command, tmp_path: Path) -> None:
    assert batchbus.fine("template", "rows").out == "text\nan example\n"
    batchbus.fine("template", "rows", "--output", str(tmp_path / "rows.csv"))
    assert (tmp_path / "rows.csv").read_text() == "text\nan example\n"
    assert batchbus("template", "slow").code == ExitCode.NOT_FOUND


def test_a_template_may_be_a_workbook_and_its_columns_are_explained(batchbus: Command, tmp_path: Path) -> None:
    batchbus.fine("template", "customer-import", "--format", "xlsx", "--output", str(tmp_path / "c.xlsx"))
    assert CalamineWorkbook.from_path(tmp_path / "c.xlsx").sheet_names == ["Template", "Columns"]
    explained = batchbus.fine("template", "customer-import", "--explain").out.splitlines()
    assert explained[0] == "Email: text; it tells which record the row is about. Example: ada@example.com"
    assert explained[4] == "Groups: the name of some of customer_groups, separated by commas; an empty cell clears it."
    assert batchbus("template", "slow", "--explain").code == ExitCode.NOT_FOUND
    assert batchbus("template", "slow", "--format", "xlsx").code == ExitCode.NOT_FOUND


def test_the_events_are_described_without_a_service(folder_command: Command) -> None:
    assert folder_command.fine("asyncapi").json["asyncapi"] == "3.0.0"

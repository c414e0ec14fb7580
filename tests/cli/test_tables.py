"""Lists on terminals of any width, and where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Command

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def _on_a_terminal(command: Command, columns: int, *arguments: str) -> list[str]:
    """The lines that the command prints on a terminal so wide."""
    return [_ESCAPES.sub("", line.rstrip()) for line in command.on_a_terminal(columns, *arguments).splitlines()]


@pytest.fixture
def failed(batchbus: Command, tmp_path: Path) -> str:
    """A job that failed for a reason of many words, of a file with a name."""
    (tmp_path / "spring prices.txt").write_text("one\n")
    words = "the well of the northern field is dry and " * 4
    context = f'{{"steps": 1, "fail": "{words}nobody knows why"}}'
    job_id: str = batchbus("submit", "slow", "--context", context, "--watch").out.split()[1]
    return job_id


@pytest.mark.parametrize("columns", [20, 40, 80, 140, 400])
def test_no_id_is_broken_by_the_width_of_a_terminal(batchbus: Command, failed: str, columns: int) -> None:
    lines = _on_a_terminal(batchbus, columns, "jobs", "--status", "failed", "--type", "slow", "--limit", "1")
    assert any(re.search(rf"(^|\s){failed}($|\s)", line) for line in lines)
    for word in ("northern", "nobody", "slow", "failed"):
        assert any(re.search(rf"(^|\s){word}($|\s)", line) for line in lines), "nor any other word"
    if columns >= 40:
        ids = r"batch_[0-9A-Z]{26}|usr_[0-9A-Z]{26}"
        assert [line for line in lines if len(line) > columns and not re.fullmatch(rf"\s*({ids})", line)] == []


def test_where_there_is_no_terminal_nothing_is_narrowed(batchbus: Command, failed: str) -> None:
    piped = batchbus("jobs", "--status", "failed", "--type", "slow", COLUMNS="40")
    (line,) = [line for line in piped.out.splitlines() if line.startswith(failed)]
    assert "failed" in line and "the well of the northern field is dry and the well" in line
    shown = batchbus("show", failed, COLUMNS="40").out
    assert shown.splitlines()[0].startswith(f"{failed}  slow  failed")


def test_a_list_names_the_file_and_the_reason(
    batchbus: Command, submit: Callable[..., str], failed: str, tmp_path: Path
) -> None:
    read = submit("rows", "--file", str(tmp_path / "spring prices.txt"))
    made = submit("product-export")
    for job_id in (read, made):
        batchbus.fine("watch", job_id)
    lines = {line.split()[0]: line for line in batchbus.fine("jobs").out.splitlines()}
    assert lines[read].endswith("spring prices.txt")
    assert lines[made].endswith(".csv")
    assert "nobody knows why" in lines[failed] or "…" in lines[failed]
    assert "dry and" in lines[failed]


def test_rows_of_their_own_have_what_a_table_has(batchbus: Command, failed: str) -> None:
    lines = _on_a_terminal(batchbus, 40, "jobs", "--status", "failed", "--type", "slow")
    place = lines.index(failed)
    assert lines[place + 1 : place + 3] == ["  type  slow", "  status  failed"]

"""What a command says to the shell: as the page of the documentation has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchbus_service.cli.refusals import ExitCode, code_of_all
from tests.cli.command import Command
from tests.docs.tables import table_of


def test_the_table_of_the_page_has_every_code_by_its_name() -> None:
    table = {int(code): row["name"] for code, row in table_of("docs/commands.md", "code").items()}
    assert table == {code.value: code.name.lower() for code in ExitCode}


def test_each_way_to_end_has_its_code(batchbus: Command, submit: Callable[..., str], folder_command: Command) -> None:
    completed, dry = submit("slow", "--context", '{"steps": 1}'), submit("slow", "--dry-run")
    batchbus.fine("watch", completed)
    failed = batchbus("submit", "slow", "--context", '{"steps": 1, "fail": "no"}', "--watch")
    batchbus.fine("watch", dry)
    batchbus.fine("cancel", dry)
    ways = {
        ExitCode.DONE: batchbus("show", completed),
        ExitCode.REFUSED: batchbus("cancel", completed),
        ExitCode.USAGE: batchbus("show", completed, dry, "--save", "file.csv"),
        ExitCode.FAILED: failed,
        ExitCode.CANCELED: batchbus("watch", dry),
        ExitCode.UNREACHABLE: folder_command("show", completed),
        ExitCode.NOT_FOUND: batchbus("show", "batch_00000000000000000000000000"),
    }
    assert {code: result.code for code, result in ways.items()} == {code: code.value for code in ways}
    assert set(ExitCode) - ways.keys() == {ExitCode.INTERRUPTED}, "which a test of following has"


@pytest.mark.parametrize(
    ("codes", "together"),
    [
        ((), ExitCode.DONE),
        ((ExitCode.DONE,), ExitCode.DONE),
        ((ExitCode.NOT_FOUND, ExitCode.DONE, ExitCode.NOT_FOUND), ExitCode.NOT_FOUND),
        ((ExitCode.NOT_FOUND, ExitCode.FAILED), ExitCode.REFUSED),
    ],
)
def test_several_have_the_code_that_they_have_in_common(codes: tuple[ExitCode, ...], together: ExitCode) -> None:
    assert code_of_all(codes) is together

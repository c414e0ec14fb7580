"""What strangers send reaches a terminal and a log as text alone: no escape sequence, no turned direction, no false line."""

from __future__ import annotations

import ast
import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from rich.markup import escape

import batchbus_service.cli
from batchbus_service.cli.output import complain, out, print_json
from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.tables import print_table
from batchbus_service.domain.shown import shown
from batchbus_service.telemetry.logs import LogFormat, configure
from tests.telemetry.kept import logging_kept

HOSTILE: Final = "\x1b]0;owned\x07 \x9b2J \u202egpj.exe\u2066 a\r\nb\x08 \U000e0041 \u2028"
_TURNING: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

texts = st.text(st.characters(codec=None), max_size=30) | st.sampled_from([HOSTILE, "ß 漢字 👩‍👩‍👧 \u200d"])


def _commanding(text: str) -> str:
    return "".join(
        one
        for one in text
        if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(one) in _TURNING
    )


@given(texts)
@example(HOSTILE)
def test_what_is_shown_commands_nothing(text: str) -> None:
    assert not _commanding(shown(text))
    assert set(_commanding(shown(text, lines=True))) <= {"\n"}
    assert shown(shown(text)) == shown(text)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
@example(HOSTILE)
def test_json_says_what_it_said(text: str) -> None:
    assert json.loads(shown(json.dumps({text: text}, ensure_ascii=False))) == {text: text}


@pytest.mark.parametrize("text", ["plain", "Größe", "漢字", "שלום", "مرحبا", "👩‍👩‍👧", "a\u0301"])
def test_letters_of_every_script_stay(text: str) -> None:
    assert shown(text) == text


@given(texts)
@example(HOSTILE)
def test_the_command_prints_nothing_that_commands(text: str) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        out().print(escape(text))
        print_table(["name"], [[escape(text)]])
        print_json({text: text})
        complain(Refusal(text, text))
    assert set(_commanding(printed.getvalue())) <= {"\n"}


@pytest.mark.usefixtures("_logs")
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("library", [False, True])
def test_a_line_of_the_log_commands_nothing(form: LogFormat, library: bool) -> None:
    written = io.StringIO()
    configure(form, "info", stream=written)
    if library:
        logging.getLogger("some.library").warning("what %s", HOSTILE)
    else:
        log = structlog.get_logger("batchbus")
        log.warning(HOSTILE, reason=HOSTILE, rows=[HOSTILE], more={HOSTILE: HOSTILE}, error=ValueError(HOSTILE))
    assert written.getvalue().count("\n") == 1
    assert set(_commanding(written.getvalue())) == {"\n"}


@pytest.fixture
def _logs() -> Iterator[None]:
    with logging_kept():
        yield


def test_commands_print_by_nothing_else() -> None:
    """A console of Rich's own, or a write of what came from a service, would go by the filter."""
    assert batchbus_service.cli.__file__
    for path in Path(batchbus_service.cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called != "Console", path.name
            if called.endswith((".stdout.write", ".stderr.write", "typer.echo")):
                (text,) = (ast.unparse(argument) for argument in node.args)
                assert "shown(" in text or "{" not in text.replace("{__version__}", ""), path.name

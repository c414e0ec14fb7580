"""Words that say nothing to a newcomer name nothing in the code: each has a better one, which is given here.

The senses that are the field's own are listed, as are names that stand in documents, in messages and on the command line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import batchbus_events
import batchbus_service
import batchbus_strategies

_BETTER: Final = {
    "ledger": "transitions",
    "pulse": "heartbeat",
    "beat": "heartbeat",
    "handle": "job_run",
    "host": "executor",
    "surroundings": "dependencies",
    "ground": "dependencies",
    "around": "dependencies",
    "seat": "slot",
    "watch": "rescuer",
    "ringing": "due",
    "alarm": "wake_at",
    "doorbell": "notifier",
    "announce": "messages",
    "standing": "explanation",
    "shelf": "uploads",
    "keeper": "parked_messages",
    "deed": "audit_entry",
    "player": "replayer",
    "turn": "replay_attempt",
    "left": "stopped, or remaining",
    "past": "event_history",
    "told": "what it is",
    "lane": "work_queue",
    "lanes": "work_queues",
    "sweep": "what it does",
    "marks": "what they are",
    "patience": "timeouts",
    "words": "message, or text",
    "way_out": "hint",
    "fault": "error",
    "faults": "errors",
    "trouble": "failure",
    "troubles": "failures",
    "problem": "error",
    "problems": "errors",
    "finding": "check",
    "findings": "checks",
}

_STORED_OR_SENT: Final = {
    "trouble": "field of a replay, in the database and in the API",
    "way_out": "field of the answer of /history",
    "seconds_left": "field of batch.progress",
}
_THE_FIELDS_OWN: Final = {
    r"(?i:.*handle.*)": "a product's handle; what handles an event is a handler, and handles it",
    r"(http_)?host": "of an address",
    r"watch|Watch": "the command `watch` and the option `--watch`",
    r"_watch": "the executor watches whether the strategies' loop is blocked",
    r"_?(left_out|LEFT_OUT)": "what is left out",
    r"words|_PATH_WORDS": "of a routing key or a path, between two dots or slashes",
    r"_MARKS.*|_marks": "byte order marks, and the outbox's marks of what is published",
}


def test_nothing_is_called_by_a_word_that_has_a_better_one() -> None:
    bad = [f"{place}: {name}: {_better(name)}" for place, name in _names() if _better(name) and not _allowed(name)]
    assert bad == []


@pytest.mark.parametrize("allowed", [*_STORED_OR_SENT, *_THE_FIELDS_OWN])
def test_no_exception_outlives_its_reason(allowed: str) -> None:
    assert any(name == allowed or re.fullmatch(allowed, name) for name in _questionable())


def _better(name: str) -> str | None:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return next((f"say {better}" for bad, better in _BETTER.items() if re.search(rf"(^|_){bad}($|_)", parts)), None)


def _allowed(name: str) -> bool:
    return name in _STORED_OR_SENT or any(re.fullmatch(each, name) for each in _THE_FIELDS_OWN)


@cache
def _questionable() -> frozenset[str]:
    return frozenset(name for _, name in _names() if _better(name))


def _names() -> Iterator[tuple[str, str]]:
    """Every module, class, function, parameter, variable and attribute that the three packages define."""
    for package in (batchbus_events, batchbus_strategies, batchbus_service):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            place = str(path.relative_to(root.parent))
            yield place, path.stem
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                        yield place, name
                    case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                        yield place, name
                    case ast.Attribute(attr=name, ctx=ast.Store()):
                        yield place, name
                    case _:
                        pass

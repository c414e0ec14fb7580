"""Matchers and readers of our own count their steps: twice the text takes twice the steps, whatever the text is.

Expressions and functions of C take no steps of Python; `test_expressions` is about the former.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_events import topics
from batchbus_service.http.medusa.query import parse_query
from batchbus_service.storage.files import clean_name
from batchbus_strategies.records.cells import split_values
from batchbus_strategies.tables.formulas import may_be_guarded, unguarded
from batchbus_strategies.tables.workbook_check import first_error_in_xlsx, lengths_of_texts
from tests.security.steps import grows_linearly, steps

_MATCHERS: dict[str, Callable[[int], object]] = {
    "pattern": lambda n: topics.matches(f"batch{'.#.*' * (n // 8)}.x"[:255], "batch" + ".a" * n),
    "cells": lambda n: split_values('"a"" , ' * n),
    "blanks in a cell": lambda n: split_values(" " * n + '"' + " " * n + "x"),
    "apostrophes": lambda n: may_be_guarded("'" * 1000 * n) or unguarded("'" * 1000 * n),
    "brackets in a query": lambda n: parse_query(b"a[" * n + b"]" * n + b"=1"),
    "names of files": lambda n: clean_name("a/\u202e." * n),
    "rows that do not end": lambda n: first_error_in_xlsx([b"<c" * 1000] * n, [1]),
    "texts that do not end": lambda n: lengths_of_texts([b"a" * 1000] * n),
}


@pytest.mark.parametrize("name", _MATCHERS)
def test_twice_as_much_text_takes_twice_as_many_steps(name: str) -> None:
    assert grows_linearly(_MATCHERS[name], (40, 80, 160))


def test_quadratic_loops_are_noticed() -> None:
    def pairs(size: int) -> int:
        return sum(1 for _ in range(size) for _ in range(size))

    assert not grows_linearly(pairs, (40, 80, 160))
    assert grows_linearly(lambda size: sum(range(size)), (40, 80, 160))


def test_patterns_of_many_hashes_are_no_slower_than_others() -> None:
    """This one, of 188 characters, once took a quarter of a minute."""
    pattern, key = "batch" + ".#.*" * 45 + ".end", "batch" + ".a" * 120
    assert steps(lambda: topics.matches(pattern, key)) < 20_000


_word = st.sampled_from(["a", "b", "*", "#", ""])


@given(st.lists(_word, max_size=6), st.lists(st.sampled_from(["a", "b", "", "#"]), max_size=6))
def test_patterns_match_as_the_standard_says(pattern: list[str], words: list[str]) -> None:
    assert topics.matches(".".join(pattern), ".".join(words)) == _by_definition(
        ".".join(pattern).split("."), ".".join(words).split(".")
    )


def test_patterns_longer_than_any_routing_key_match_nothing() -> None:
    assert topics.matches("a" * 255, "a" * 255)
    assert not topics.matches("#" + ".#" * 128, "a")


def _by_definition(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_by_definition(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _by_definition(pattern[1:], words[1:])

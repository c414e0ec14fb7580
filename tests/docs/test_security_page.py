"""The page about security names tests that there are, and says something of every section that it lists."""

from __future__ import annotations

import re
from typing import Final

from tests.docs.pages import ROOT

_PAGE: Final = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_ROW: Final = re.compile(r"^\| ([0-9][0-9., to]*[^|]*) \| ([^|]+) \| ([^|]+) \|$", re.M)


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:tests|deploy)/[\w/.]+)`", _PAGE)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_section_is_met_or_has_a_reason() -> None:
    rows = _ROW.findall(_PAGE)
    assert len(rows) > 35
    assert {verdict for _, verdict, _ in rows} <= {"met", "partly", "not met", "not applicable"}
    chapters = {int(number) for section, _, _ in rows for number in re.findall(r"\b(\d+)(?:\.\d)?\b", section)}
    assert chapters >= set(range(1, 18)), "each chapter has a line"
    assert all(len(reason) > 10 for _, _, reason in rows)

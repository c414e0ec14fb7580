"""The page about ASVS has every requirement of levels 1 and 2 once, with a verdict, a reason, and tests that there are."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tests.docs.pages import ROOT

_REQUIREMENTS: Final = {
    "1.1": ("", "1 2"),
    "1.2": ("1 2 3 4 5", "6 7 8 9"),
    "1.3": ("1 2", "3 4 5 6 7 8 9 10 11"),
    "1.4": ("", "1 2 3"),
    "1.5": ("1", "2"),
    "2.1": ("1", "2 3"),
    "2.2": ("1 2", "3"),
    "2.3": ("1", "2 3 4"),
    "2.4": ("", "1"),
    "3.2": ("1 2", ""),
    "3.3": ("1", "2 3 4"),
    "3.4": ("1 2", "3 4 5 6"),
    "3.5": ("1 2 3", "4 5"),
    "3.7": ("", "1 2"),
    "4.1": ("1", "2 3"),
    "4.2": ("", "1"),
    "4.3": ("", "1 2"),
    "4.4": ("1", "2 3 4"),
    "5.1": ("", "1"),
    "5.2": ("1 2", "3"),
    "5.3": ("1 2", ""),
    "5.4": ("", "1 2 3"),
    "6.1": ("1", "2 3"),
    "6.2": ("1 2 3 4 5 6 7 8", "9 10 11 12"),
    "6.3": ("1 2", "3 4"),
    "6.4": ("1 2", "3 4"),
    "6.5": ("", "1 2 3 4 5"),
    "6.6": ("", "1 2 3"),
    "6.8": ("", "1 2 3 4"),
    "7.1": ("", "1 2 3"),
    "7.2": ("1 2 3 4", ""),
    "7.3": ("", "1 2"),
    "7.4": ("1 2", "3 4 5"),
    "7.5": ("", "1 2"),
    "7.6": ("", "1 2"),
    "8.1": ("1", "2"),
    "8.2": ("1 2", "3"),
    "8.3": ("1", ""),
    "8.4": ("", "1"),
    "9.1": ("1 2 3", ""),
    "9.2": ("1", "2 3 4"),
    "10.1": ("", "1 2"),
    "10.2": ("", "1 2"),
    "10.3": ("", "1 2 3 4"),
    "10.4": ("1 2 3 4 5", "6 7 8 9 10 11"),
    "10.5": ("", "1 2 3 4 5"),
    "10.6": ("", "1 2"),
    "10.7": ("", "1 2 3"),
    "11.1": ("", "1 2"),
    "11.2": ("", "1 2 3"),
    "11.3": ("1 2", "3"),
    "11.4": ("1", "2 3 4"),
    "11.5": ("", "1"),
    "11.6": ("", "1"),
    "12.1": ("1", "2 3"),
    "12.2": ("1 2", ""),
    "12.3": ("", "1 2 3 4"),
    "13.1": ("", "1"),
    "13.2": ("", "1 2 3 4 5"),
    "13.3": ("", "1 2"),
    "13.4": ("1", "2 3 4 5"),
    "14.1": ("", "1 2"),
    "14.2": ("1", "2 3 4"),
    "14.3": ("1", "2 3"),
    "15.1": ("1", "2 3"),
    "15.2": ("1", "2 3"),
    "15.3": ("1", "2 3 4 5 6 7"),
    "16.1": ("", "1"),
    "16.2": ("", "1 2 3 4 5"),
    "16.3": ("", "1 2 3 4"),
    "16.4": ("", "1 2 3"),
    "16.5": ("", "1 2 3"),
    "17.1": ("", "1"),
    "17.2": ("", "1 2 3 4"),
    "17.3": ("", "1 2"),
}
"""Of version 5.0.0: for each section the last parts of the numbers of level 1, and of those that level 2 adds."""


class Row(NamedTuple):
    number: str
    level: str
    about: str
    verdict: str
    how: str
    test: str


_PAGE: Final = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
_ROWS: Final = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in _PAGE.splitlines()
    if re.match(r"\| \d", line)
]


def test_every_requirement_of_levels_1_and_2_is_there_once_and_in_its_order() -> None:
    wanted = [
        (f"{section}.{number}", str(level))
        for section, levels in _REQUIREMENTS.items()
        for number, level in sorted(
            (int(number), level) for level, numbers in enumerate(levels, 1) for number in numbers.split()
        )
    ]
    assert len(wanted) == 70 + 183, "so many has the standard"
    assert [(row.number, row.level) for row in _ROWS] == wanted


def test_every_requirement_has_a_verdict_and_a_reason() -> None:
    assert {row.verdict for row in _ROWS} <= {"met", "partly", "not met", "not applicable"}
    assert [row.number for row in _ROWS if not row.about or not row.how] == []


def test_the_page_counts_right() -> None:
    for verdict, words in (
        ("met", "are met"),
        ("partly", "partly met"),
        ("not met", "not met"),
        ("not applicable", "do not apply"),
    ):
        assert f"{sum(row.verdict == verdict for row in _ROWS)} {words}" in _PAGE, verdict


def test_every_test_that_is_named_is_there_and_what_is_met_names_one() -> None:
    named = {path for row in _ROWS for path in re.findall(r"`([^`]+)`", row.test)}
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
    assert [row.number for row in _ROWS if row.verdict == "met" and not row.test] == []

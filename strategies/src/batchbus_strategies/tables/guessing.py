"""Naming the encoding of text that is not UTF-8, by looking at it. A guess that is not a good one is no guess.

Each encoding is tried in which the sample can be decoded at all. What comes out is compared with the letters of the
languages that are written in it: how probable are these letters in this order of upper and lower case, next to what is
ASCII? The encoding with the most probable text is named, if the text is a usual one, and far more probable than every
other text that the sample could be.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from batchbus_strategies.tables.languages import ENCODINGS, letter_costs

__all__ = ["guess_encoding", "utf_16_without_mark"]

_LOOKED_AT: Final = 4096
"""Bytes of the beginning in which zeros tell UTF-16."""
_SCORED: Final = 6000
"""Bytes of lines with something else than ASCII that are scored, about."""
_LINE: Final = 500
"""Bytes of one line that are scored, about."""
_UNKNOWN: Final = 10.0
"""The cost of a character that does not belong into the language: one in 22,000."""
_MARGIN: Final = 4.0
"""By how much the best text has to be better than the next: e to the power of it times as probable."""
_STRANGE: Final = 0.1
"""The share of characters that may be unknown to the language, as in foreign names."""
_SELDOM: Final = 3.0
"""The cost of an encoding that is seldom met, which no version of Windows has saved files in for twenty years."""
_LESS_OFTEN: Final = 1.0
"""The cost of each other encoding but Windows-1252."""
_FREQUENT: Final = (
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp874",
    "cp932",
    "gb18030",
    "big5",
    "cp949",
)
_EAST_ASIAN: Final = ("cp932", "gb18030", "big5", "cp949", "euc_jp")
_ALONE: Final = 2.0
"""The cost of a letter that is a word by itself, which signs of currency and measure are not."""
_CAPITAL: Final = 1.0
"""The cost of an upper-case letter that begins a word."""
_CASE: Final = 5.0
"""The cost of an upper-case letter behind a lower-case one."""
_IN_ROW: Final = 2.5
"""The cost, in Latin script, of a letter that is not ASCII behind another one."""
_MIXED: Final = 3.0
"""The cost, in other scripts, of a letter next to one of ASCII."""
_LATIN: Final = frozenset(
    "cp1252 cp1250 cp1254 cp1257 iso8859-2 iso8859-15 cp850 cp852 mac-roman".split()  # noqa: SIM905 - it reads better
)


def utf_16_without_mark(start: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` if a file that starts so is one of them; None if it is not, or has a mark.

    Text of most scripts has control characters, zeros above all, at every second place and nowhere else.
    """
    start = start[: min(len(start), _LOOKED_AT) & ~1]
    for encoding, high, low in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if 0 not in high or 0 in low:
            continue
        controls = sum(byte < 9 for byte in high)
        if controls >= 0.6 * len(high) or (controls >= 0.05 * len(high) and not _is_utf_8(start)):
            text = start.decode(encoding, errors="replace")
            if any(mark in text for mark in "\n\r,;\t|"):
                return encoding
    return None


def _is_utf_8(start: bytes) -> bool:
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # the last character may be cut
    return True


def guess_encoding(sample: bytes, *, final: bool) -> str | None:
    """Python's name of the encoding, or None if there is none, or more than one, that the sample may well be in.

    `final`: nothing of the file follows the sample, so that its last character is whole.
    """
    lines = _telling_lines(sample, final=final)
    found = sorted(_scores(lines), key=lambda score: score[0])
    if not found:
        return None
    cost, encoding, text, usual = found[0]
    others = [other for other in found if other[2] != text]
    if not usual or (others and others[0][0] - cost < _MARGIN):
        return None
    return encoding


def _telling_lines(sample: bytes, *, final: bool) -> bytes:
    """Lines that are not ASCII, each one once."""
    lines = re.split(rb"[\r\n]+", sample)
    if not final and len(lines) > 1:
        lines.pop()
    telling = [line[:_LINE] if len(line) > 2 * _LINE else line for line in dict.fromkeys(lines) if not line.isascii()]
    found: list[bytes] = []
    size = 0
    for line in telling:
        found.append(line)
        size += len(line)
        if size > _SCORED:
            break
    return b"\n".join(found)


def _scores(lines: bytes) -> Iterator[tuple[float, str, str, bool]]:
    """What the lines cost in each encoding that they can be decoded in, its name, the text, and whether that is usual."""
    for encoding, languages in ENCODINGS.items():
        text = _decoded(lines, encoding)
        if text is not None:
            for language in languages:
                cost, usual = _alphabetic(text, language, latin=encoding in _LATIN)
                yield cost + _prior(encoding), encoding, text, usual
    for encoding in _EAST_ASIAN:
        text = _decoded(lines, encoding)
        if text is not None:
            cost, usual = _east_asian(text, encoding)
            yield cost + _prior(encoding), encoding, text, usual


def _prior(encoding: str) -> float:
    if encoding == "cp1252":
        return 0.0
    return _LESS_OFTEN if encoding in _FREQUENT else _SELDOM


def _decoded(lines: bytes, encoding: str) -> str | None:
    try:
        return lines.decode(encoding)
    except UnicodeDecodeError:
        return None


_costs: Final = functools.cache(letter_costs)


def _alphabetic(text: str, language: str, *, latin: bool) -> tuple[float, bool]:
    costs = _costs(language)
    cost = 0.0
    count = unknown = letters = alone = 0
    before = " "
    for character, after in pairwise(text + " "):
        if not character.isascii():
            count += 1
            of_letter = costs.get(character)
            if of_letter is None:
                unknown += 1
                of_letter = _UNKNOWN if character.isalpha() else _UNKNOWN + 2
            cost += of_letter
            if character.isalpha():
                beside = _beside(before, after, latin=latin)
                cost += beside
                alone += beside == _ALONE
                letters += 1
        if character.isupper() and not before.isupper():
            cost += _CASE if before.islower() else _CAPITAL
        before = character
    return cost, unknown <= _STRANGE * count and (alone < letters or not letters)


def _beside(before: str, after: str, *, latin: bool) -> float:
    """What a letter that is not ASCII costs for what is next to it."""
    if not before.isalpha() and not after.isalpha():
        return _ALONE
    if latin:
        return 0.0 if before.isascii() else _IN_ROW * before.isalpha()
    return _MIXED * sum(neighbour.isascii() and neighbour.isalpha() for neighbour in (before, after))


def _east_asian(text: str, encoding: str) -> tuple[float, bool]:
    cost = 0.0
    count = rare = 0
    for character in text:
        if not character.isascii():
            count += 1
            of_character = _east_asian_cost(character, encoding)
            rare += of_character >= _RARE
            cost += of_character
    return cost, rare <= _STRANGE * count


_RARE: Final = 11.0
_COMMON_LEADS: Final = {
    "gb18030": range(0xB0, 0xD8),
    "big5": range(0xA4, 0xC7),
    "cp932": range(0x88, 0x98),
    "euc_jp": range(0xB0, 0xD0),
    "cp949": range(0xB0, 0xC9),
}
"""The first bytes of the characters that each standard lists first, since they are the frequent ones."""
_COMMON: Final = {"gb18030": 7.3, "big5": 7.5, "cp932": 7.0, "euc_jp": 7.0, "cp949": 6.2}
"""What these cost."""


@functools.lru_cache(maxsize=20_000)
def _east_asian_cost(character: str, encoding: str) -> float:
    code = character.encode(encoding)
    point = ord(character)
    if 0x3040 <= point < 0x3100:  # kana
        return 4.5 if encoding in ("cp932", "euc_jp") else 9.0
    if 0xFF61 <= point < 0xFFA0:  # katakana of half the width, each of one byte
        return 6.5
    if 0x3000 <= point < 0x3020 or 0xFF01 <= point < 0xFF5F:  # punctuation
        return 6.0
    if (
        len(code) == 2
        and code[0] in _COMMON_LEADS[encoding]
        and (encoding not in ("gb18030", "cp949") or code[1] > 0xA0)
    ):
        return _COMMON[encoding]
    return _RARE

"""Objects out of the text of a JSON file that is still arriving: one from each line, or the elements of one array."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from batchbus_strategies.tables.errors import NotATable, TableError
from batchbus_strategies.tables.limits import MAX_JSON_DEPTH, MAX_RECORD
from batchbus_strategies.tables.options import Unit

__all__ = ["ArrayElements", "JsonObject", "LineObjects", "Objects", "Value"]

Value = str | bool | None | list["Value"] | tuple[tuple[str, "Value"], ...]
"""A JSON value: a number is the text that it was written with, and an object the pairs of its keys and values."""

_BLANKS: Final = " \t\r\n"
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class JsonObject(NamedTuple):
    """An object of the file."""

    number: int
    """Its line, or its place in the array from 1."""
    pairs: tuple[tuple[str, Value], ...]
    size: int
    """Characters of it in the file."""
    escaped: bool
    """Whether its text may have escaped characters in it, which need not be Unicode."""


class Objects(ABC):
    """Takes the text of a file piece by piece. `number` is what numbers are parsed by: it gets their text."""

    unit: Unit

    def __init__(self, number: Callable[[str], str] = str) -> None:
        decoder = json.JSONDecoder(
            object_pairs_hook=tuple, parse_float=number, parse_int=number, parse_constant=_refuse_constant
        )
        self._decode = decoder.raw_decode
        self._rest: list[str] = []
        """The beginning of an object that has not come whole, in pieces."""
        self._waiting = 0
        """Characters in them."""

    @abstractmethod
    def take(self, text: str, *, final: bool) -> tuple[list[JsonObject], TableError | None]:
        """The objects that end in this piece of text, and the error that comes behind them if there is one."""

    def _with_rest(self, text: str) -> str:
        """The text behind what is kept back, which is kept no longer."""
        whole = "".join([*self._rest, text])
        self._rest.clear()
        self._waiting = 0
        return whole

    def _keep_back(self, text: str) -> None:
        self._rest.append(text)
        self._waiting += len(text)

    def _parsed(self, text: str, at: int, number: int, *, escaped: bool) -> tuple[JsonObject, int]:
        """The object that begins there, and where it ends. Raises `TableError`, `json.JSONDecodeError`."""
        if text[at] != "{":
            raise self._error("an object in braces is expected here", number, text[at : at + 100])
        try:
            value, end = self._decode(text, at)
        except RecursionError:
            raise self._too_deep(number) from None
        if end - at > MAX_RECORD:
            raise self._too_large(number)
        if text.count("[", at, end) + text.count("{", at, end) > MAX_JSON_DEPTH and _depth(value) > MAX_JSON_DEPTH:
            raise self._too_deep(number)
        return JsonObject(number, value, end - at, escaped), end

    def _error(self, reason: str, number: int, value: str | None = None) -> TableError:
        return TableError(reason, line=number, value=value, unit=self.unit)

    def _too_large(self, number: int) -> TableError:
        return self._error(f"an object may have {MAX_RECORD:,} characters at most", number)

    def _too_deep(self, number: int) -> TableError:
        return self._error(f"JSON may be nested {MAX_JSON_DEPTH} levels deep at most", number)

    def _syntax(self, error: json.JSONDecodeError, at: int, number: int) -> TableError:
        return self._error(f"this is not JSON: {error.msg} at character {error.pos - at + 1:,}", number)


class LineObjects(Objects):
    """JSON Lines. Lines of nothing but blanks are counted and left out. See https://jsonlines.org."""

    unit: Unit = "line"

    def __init__(self, number: Callable[[str], str] = str) -> None:
        super().__init__(number)
        self._line = 0

    def take(self, text: str, *, final: bool) -> tuple[list[JsonObject], TableError | None]:
        lines: list[str] = []
        if final or "\n" in text:
            lines = self._with_rest(text).split("\n")
            text = "" if final else lines.pop()
        self._keep_back(text)
        objects: list[JsonObject] = []
        try:
            for line in lines:
                self._line += 1
                if line := line.strip(_BLANKS):
                    objects.append(self._object(line))
            if self._waiting > MAX_RECORD:
                raise self._too_large(self._line + 1)
        except TableError as error:
            return objects, error
        return objects, None

    def _object(self, line: str) -> JsonObject:
        try:
            found, end = self._parsed(line, 0, self._line, escaped="\\u" in line)
        except json.JSONDecodeError as error:
            syntax = self._syntax(error, 0, self._line)
            if error.pos >= len(line) - 1:
                reason = f"{syntax.reason}; in JSON Lines each object is on a line of its own"
                raise self._error(reason, self._line) from None
            raise syntax from None
        if end < len(line):
            raise self._error("there is more in the line than one object", self._line, line[end : end + 100])
        return found


class ArrayElements(Objects):
    """One array of objects, which is the whole file."""

    unit: Unit = "element"

    def __init__(self, number: Callable[[str], str] = str) -> None:
        super().__init__(number)
        self._count = 0
        self._expected = "["
        """What comes next: `[`, `{]`, `{`, `,]`, or nothing behind the end."""
        self._enough = 0
        """Characters that have to be there before an object that was not whole is tried again."""

    def take(self, text: str, *, final: bool) -> tuple[list[JsonObject], TableError | None]:
        objects: list[JsonObject] = []
        if self._waiting + len(text) < self._enough and not final:
            self._keep_back(text)
            return objects, None
        text = self._with_rest(text)
        escaped = "\\u" in text
        at = 0
        try:
            while (at := _end_of_blanks(text, at)) < len(text):
                if self._expected.startswith("{") and text[at] != "]":
                    try:
                        found, at = self._parsed(text, at, self._count + 1, escaped=escaped)
                    except json.JSONDecodeError as error:
                        self._wait(text, at, error, final=final)
                        break
                    objects.append(found)
                    self._count += 1
                    self._expected = ",]"
                else:
                    self._punctuation(text[at])
                    at += 1
        except TableError as error:
            return objects, error
        self._keep_back(text[at:])
        if final and self._expected:
            return objects, self._error("the file breaks off: the array is never closed", max(self._count, 1))
        return objects, None

    def _wait(self, text: str, at: int, error: json.JSONDecodeError, *, final: bool) -> None:
        """For the rest of an object, which may be all that is wrong with it."""
        if final:
            raise self._syntax(error, at, self._count + 1)
        if len(text) - at > MAX_RECORD:
            if error.pos >= len(text) - 1 or error.msg.startswith("Unterminated"):
                raise self._too_large(self._count + 1)
            raise self._syntax(error, at, self._count + 1)
        self._enough = min(2 * (len(text) - at), MAX_RECORD + 1)

    def _punctuation(self, found: str) -> None:
        if not self._expected:
            raise NotATable("The file has more in it than one JSON array")
        if found not in self._expected:
            expected = " or ".join(self._expected)
            number = self._count + 1 if self._expected.startswith("{") else max(self._count, 1)
            raise self._error(f"this is not JSON: {expected} is expected", number, found)
        self._expected = {"[": "{]", ",": "{", "]": ""}[found]


def _end_of_blanks(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _depth(value: Value) -> int:
    """How many levels there are in an object, itself included."""
    level: list[Value] = [value]
    depth = 0
    while level := [each for each in level if isinstance(each, tuple | list)]:
        depth += 1
        level = [item for each in level for item in _items(each)]
    return depth


def _items(value: Value) -> Iterator[Value]:
    if isinstance(value, tuple):
        yield from (item for _, item in value)
    elif isinstance(value, list):
        yield from value


def _refuse_constant(name: str) -> str:
    raise json.JSONDecodeError(f"{name} is no number of JSON", name, 0)

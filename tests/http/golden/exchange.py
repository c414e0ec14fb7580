"""A recorded exchange, and how an answer of ours is compared with it: ids, keys and times differ from run to run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Answer", "Exchange", "Names", "differences", "recorded"]

_FILE: Final = Path(__file__).parent / "exchanges.jsonl"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_NAME: Final = re.compile(r"(?:batch|usr)_[0-9A-Z]{26}|(?:exports/products/)?\d{13}-[\w.-]+")
"""What the recorded server made up: ids of jobs and users, keys of files."""
_OURS: Final = re.compile(r"(?:batch|usr)_[0-9A-Z]{26}|exports/[\w./-]+|[0-9A-Z]{26}-[\w.-]+")
_BLANK: Final = re.compile(r"<[a-z ]+>")
"""What is different each time and means nothing: a token, a signature."""


@dataclass(frozen=True)
class Answer:
    """What is compared of a response. `content_type`: None if there is none."""

    status: int
    content_type: str | None
    body: Any


@dataclass(frozen=True)
class Exchange:
    """One line of the recordings."""

    name: str
    method: str
    url: str
    headers: dict[str, str]
    content: str | None
    """The request's body as text."""
    answer: Answer

    @property
    def number(self) -> str:
        return self.name[:3]


def recorded() -> list[Exchange]:
    """All of them, in the order in which they took place. The rows of the file that is uploaded are ours."""
    return [_read(json.loads(line)) for line in _FILE.read_text().splitlines()]


def _read(line: dict[str, Any]) -> Exchange:
    request, response = line["request"], line["response"]
    body = request.get("body")
    content = request.get("body_raw", body if isinstance(body, str) or body is None else json.dumps(body))
    answer = Answer(response["status"], response["content_type"], response["body"])
    return Exchange(line["name"], request["method"], request["url"], request.get("headers", {}), content, answer)


@dataclass
class Names:
    """Which of our ids and keys stands for which recorded one. One is bound when an answer first shows it."""

    ours: dict[str, str] = field(default_factory=dict)

    def translated(self, text: str) -> str:
        """A request in our names; those that were never bound stay."""
        return _NAME.sub(lambda match: self.ours.get(match[0], match[0]), text)

    def match(self, theirs: str, ours: str) -> bool:
        """Whether they mean the same thing; binds what is new on both sides."""
        if not (_NAME.fullmatch(theirs) and _OURS.fullmatch(ours)):
            return False
        if theirs not in self.ours and ours not in self.ours.values():
            self.ours[theirs] = ours
        return self.ours.get(theirs) == ours


def differences(expected: Any, actual: Any, names: Names, path: str = "") -> Iterator[str]:
    """Where a body differs from what is expected, each with its path. The order of object keys does not matter."""
    match expected, actual:
        case dict(), dict():
            for key in sorted(expected.keys() | actual.keys()):
                if key not in expected or key not in actual:
                    yield f"{path}.{key} is {'missing' if key in expected else 'not expected'}"
                else:
                    yield from differences(expected[key], actual[key], names, f"{path}.{key}")
        case list(), list():
            if len(expected) != len(actual):
                yield f"{path} has {len(actual)} items, not {len(expected)}"
            for number, (theirs, ours) in enumerate(zip(expected, actual, strict=False)):
                yield from differences(theirs, ours, names, f"{path}[{number}]")
        case str(), str():
            if not _same_text(expected, actual, names):
                yield f"{path} is {actual!r}, not {names.translated(expected)!r}"
        case _:
            if type(expected) is not type(actual) or expected != actual:
                yield f"{path} is {actual!r}, not {expected!r}"


def _same_text(theirs: str, ours: str, names: Names) -> bool:
    if theirs == ours or names.match(theirs, ours) or (_TIME.fullmatch(theirs) and _TIME.fullmatch(ours)):
        return True
    if (key := _NAME.search(theirs)) and key[0] not in names.ours and (ours_key := _OURS.search(ours)):
        names.match(key[0], ours_key[0])
    *parts, last = _BLANK.split(names.translated(theirs))
    pattern = "".join(re.escape(part) + ".+" for part in parts) + re.escape(last)
    return re.fullmatch(pattern, ours) is not None

"""The one check of what a strategy hands over: it has to be JSON that can be stored, sent and shown.

It is made where a value comes in, so that the error names the key while the strategy is still there to be told. What
gets past here is written into the job's document, which every list and every event is made of.
"""

from __future__ import annotations

import math
import operator
from collections import UserDict
from collections.abc import Mapping
from datetime import date, time
from typing import Any, Final

from batchbus_strategies.strategy import Json, StrategyError

__all__ = ["MAX_DEPTH", "CheckedResult", "NotJson", "as_count", "as_json", "as_object", "as_text"]

MAX_DEPTH: Final = 62
"""How deep a value may be nested: an event may have 64 levels, and a job's context begins at the third."""

_INT64: Final = range(-(2**63), 2**63)
_SHOWN: Final = 64


class NotJson(StrategyError):
    """What a strategy handed over is no JSON value, or none that can be stored. The message names its key."""

    public = True


def as_json(value: object, name: str) -> Json:
    """A copy of `value`, made of nothing but JSON's own kinds: tuples become arrays, enums what they stand for.

    `name` stands in front of the path in errors. Raises `NotJson` for the first thing that is not JSON: a date, bytes,
    NaN, an integer beyond 64 bits, text that is not Unicode, a key that is not text or has a NUL in it, or more than
    62 levels.
    """
    return _copy(value, name, 1)


def as_object(value: object, name: str) -> dict[str, Json]:
    """As `as_json`, for what has to be an object. Raises `NotJson`."""
    if not isinstance(value, Mapping):
        raise NotJson(f"{name} has to be a dict, not {_kind(value)}")
    return _object(value, name, 1)


def as_text(value: object, name: str) -> str:
    """The text as a plain `str`. Raises `NotJson` for anything else; what is no Unicode in it the caller deals with."""
    if not isinstance(value, str):
        raise NotJson(f"{name} has to be text, not {_kind(value)}")
    return str.__str__(value)


def as_count(value: object, name: str) -> int:
    """A whole number of 64 bits; those of other libraries count as such. Raises `NotJson`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what is no number raises, as it should
    except TypeError:
        raise NotJson(f"{name} has to be a whole number, not {_kind(value)}") from None
    if number not in _INT64:
        raise NotJson(f"{name} is an integer beyond 64 bits")
    return int(number)


class CheckedResult(UserDict[str, Any]):
    """What `JobRun.result` is: raises `NotJson` in the strategy's own line when it sets what is not JSON.

    What is changed below its top level is seen when the engine takes it over, by `as_object`.
    """

    def __setitem__(self, key: str, value: object) -> None:
        as_object({key: value}, "result")
        self.data[key] = value


def _copy(value: object, path: str, depth: int) -> Json:
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, path)
        case int():
            return as_count(value, path)
        case float():
            if not math.isfinite(value):
                raise NotJson(f"{path} is {float(value)}, which JSON does not have: hand over None, or leave it out")
            return float(value)
        case Mapping():
            return _object(value, path, depth)
        case list() | tuple():
            _check_depth(path, depth)
            return [_copy(item, f"{path}.{n}", depth + 1) for n, item in enumerate(value)]
        case _:
            raise NotJson(f"{path} is {_kind(value)}, which JSON does not have: {_hint(value)}")


def _object(value: Mapping[object, object], path: str, depth: int) -> dict[str, Json]:
    _check_depth(path, depth)
    copy: dict[str, Json] = {}
    for key, item in list(value.items()):
        if not isinstance(key, str):
            raise NotJson(f"{path} has a key that is no text but {_kind(key)}: hand over str(…) of it")
        below = f"{path}.{_shown(key)}"
        if "\0" in key:
            raise NotJson(f"{below} has a NUL in its key")
        copy[_text(key, below)] = _copy(item, below, depth + 1)
    return copy


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotJson(f"{path} is text that is not Unicode: it has a lone surrogate in it") from None
    return str.__str__(value)


def _check_depth(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotJson(f"{path[:_SHOWN]}… is nested deeper than {MAX_DEPTH} levels, or contains itself")


def _hint(value: object) -> str:
    match value:
        case date() | time():
            return "hand over its isoformat()"
        case bytes() | bytearray() | memoryview():
            return "hand over text, or write a file and hand over its key"
        case set() | frozenset():
            return "hand over a sorted list"
        case _:
            return "hand over str(…) of it, or what it is made of"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _shown(key: str) -> str:
    shown = key if key.isprintable() else ascii(key)[1:-1]
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"

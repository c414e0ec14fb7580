"""Query strings with brackets in them, as Medusa's clients write them and its server (Express, with `qs`) reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

__all__ = ["Parameter", "parse_query"]

Parameter = str | list["Parameter"] | dict[str, "Parameter"]
"""`a=1` is text; `a=1&a=2`, `a[]=1` and `a[0]=1` are lists; `a[lt]=1` is an object."""

_MAX_PARAMETERS: Final = 1000
_MAX_DEPTH: Final = 5
_MAX_INDEX: Final = 999
_INSIDE: Final = re.compile(r"\[([^\[\]]*)\]|(\[.*)")
"""What is between two brackets; or, where one is not closed, all of the rest, with the bracket."""

_Entry = tuple[Sequence[str], str]
"""The way to a value, and the value."""


def parse_query(query: bytes) -> dict[str, Parameter]:
    """What is asked for, by name. A list with a single text in it is split at its commas, as Medusa does.

    Nothing is refused here: what makes no sense becomes an unknown name, or a value of an odd form.
    """
    entries: dict[str, list[_Entry]] = {}
    for part in query.decode("latin-1").split("&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]:
        name, way, value = _entry(part)
        if name not in ("", "__proto__"):
            entries.setdefault(name, []).append((way, value))
    return {name: _split_at_commas(_value(given)) for name, given in entries.items()}


def _entry(part: str) -> tuple[str, Sequence[str], str]:
    """The name, the way through the brackets, and the value."""
    part = re.sub("%5B", "[", part, flags=re.IGNORECASE)
    part = re.sub("%5D", "]", part, flags=re.IGNORECASE)
    end = part.find("]=") + 1 or part.find("=")
    key = unquote_plus(part if end == -1 else part[:end])
    value = "" if end == -1 else unquote_plus(part[end + 1 :])
    name, bracket, rest = key.partition("[")
    way = [match[1] if match[1] is not None else match[2] for match in _INSIDE.finditer(bracket + rest)][:_MAX_DEPTH]
    if name or not way:
        return name, way, value
    return way[0] or "0", way[1:], value


def _value(given: Sequence[_Entry]) -> Parameter:
    """One value of everything that is given for a name."""
    items: list[Parameter] = []
    named: dict[str, list[_Entry]] = {}
    for way, value in given:
        if not way:
            items.append(value)
        elif way[0] == "":
            inner = _value([(way[1:], value)])
            items += inner if isinstance(inner, list) else [inner]
        else:
            named.setdefault(way[0], []).append((way[1:], value))
    values = {name: _value(inner) for name, inner in named.items()}
    if all(_is_index(name) for name in values):
        items += [values[name] for name in sorted(values, key=int)]
    elif items and any(not way for way, _ in given):
        items.append(values)
    else:
        return {str(number): item for number, item in enumerate(items)} | values
    return items[0] if len(given) == 1 and not given[0][0] else items


def _is_index(name: str) -> bool:
    short = len(name) <= len(str(_MAX_INDEX))  # Python refuses to read a number of thousands of digits
    return short and name.isascii() and name.isdigit() and str(int(name)) == name and int(name) <= _MAX_INDEX


def _split_at_commas(value: Parameter) -> Parameter:
    match value:
        case [str(text)]:
            return list(text.split(","))
        case _:
            return value

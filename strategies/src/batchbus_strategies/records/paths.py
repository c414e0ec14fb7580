"""Paths of changes, as plans write them: `title`, `address.city`, `variants[variant_1].prices[reg_dk dkk].amount`.

What stands in brackets is the identity of an element of a list, or the key of a dict: not its place, which may have
changed by the time. A backslash is before each `]` and each backslash in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["ElementPath", "element_path", "parse_path"]

_IN_BRACKETS: Final = re.compile(r"((?:[^\\\]]|\\.)*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ElementPath:
    """An element of a list, or something in it."""

    field: str
    """Where the list is, with dots."""
    identity: str
    rest: str
    """What of the element: a path of its own; empty for all of it."""


def element_path(field: str, identity: str, rest: str = "") -> str:
    """`variants`, `variant_1` and `title` make `variants[variant_1].title`."""
    escaped = identity.replace("\\", "\\\\").replace("]", "\\]")
    return f"{field}[{escaped}]{'.' if rest else ''}{rest}"


def parse_path(path: str) -> ElementPath | None:
    """None for a path that leads into no list. Raises `ValueError`."""
    field, bracket, behind = path.partition("[")
    if not bracket:
        return None
    match = _IN_BRACKETS.match(behind)
    rest = behind[match.end() :] if match else ""
    if match is None or (rest and not rest.startswith(".")):
        raise ValueError(f"not a path: {path}")
    return ElementPath(field, re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), rest[1:])

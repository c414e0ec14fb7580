"""Whether a regular expression could take more than linear time, from its syntax tree.

Python's `re` backtracks, while it holds the lock of the interpreter: everything in the process waits for an expression that
is quadratic over a stranger's text. Three forms are looked for, with sets of the characters that each part may match:

* nested: a repeat in a repeat, where what is inside may go on with what the next round begins with;
* overlapping: two repeats without a limit that may share a text between them, with something behind that may fail;
* restarting: an expression that is searched for, whose repeat runs over places where it could begin anew.

The judgement is on the safe side: some expressions that it names are harmless, and can be written in another way.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

__all__ = ["faults"]

_parser: Final = importlib.import_module("re._parser")
_MANY: Final = 1000
"""A repeat up to here counts as one with a limit."""
_ALPHABET: Final = frozenset([*range(0x300), 0x0416, 0x0660, 0x2003, 0x2028, 0x3042, 0x4E00, 0xFFFD, 0x1F600])
"""Characters that stand for all."""

Set = frozenset[int]
_NONE: Final[Set] = frozenset()


@dataclass(frozen=True, slots=True)
class _Repeat:
    """A part that is repeated. `alphabet`: what it may match; `follows`: what may come behind it, within its loops too."""

    alphabet: Set
    follows: Set
    endless: bool
    inside: int
    """How many repeats without a limit it is in."""
    can_fail: bool
    """Whether something behind it may refuse the text."""
    atomic: bool


def faults(pattern: str | bytes, *, searched: bool, anchored: bool, flags: int = 0) -> list[str]:
    """What is wrong with an expression. `searched`: it may begin anywhere; `anchored`: the whole text has to match."""
    tree = _parser.parse(pattern, flags)
    reader = _Reader(tree.state.flags)
    repeats = list(reader.repeats(list(tree), _NONE, can_fail=anchored, inside=0, atomic=False))
    found = [
        f"nested: {_shown(each.alphabet & each.follows)} may go on or begin anew"
        for each in repeats
        if each.inside and each.alphabet & each.follows and not each.atomic
    ]
    endless = [each for each in repeats if each.endless]
    for number, first in enumerate(endless):
        for second in endless[number + 1 :]:
            shared = first.alphabet & second.alphabet
            if shared and first.alphabet & first.follows and second.can_fail and not first.atomic:
                found.append(f"overlapping: {_shown(shared)} may belong to either of two repeats")
    if searched:
        begins, not_behind = reader.begins(list(tree)), reader.not_behind(list(tree))
        found += [
            f"restarting: {_shown(each.alphabet & begins)} within a repeat may begin it anew"
            for each in endless
            if each.can_fail and each.alphabet & begins and not each.alphabet <= not_behind
        ]
    return found


class _Reader:
    def __init__(self, flags: int) -> None:
        self._flags = flags

    def repeats(
        self, items: Sequence[Any], behind: Set, *, can_fail: bool, inside: int, atomic: bool
    ) -> Iterator[_Repeat]:
        """Every repeat in a sequence. `behind`: what may come after the sequence."""
        for number, (name, value) in enumerate(items):
            rest = list(items[number + 1 :])
            follows = self._first(rest) | (behind if self._nullable(rest) else _NONE)
            fails = can_fail or any(self._may_refuse(item) for item in rest)
            if str(name).endswith("REPEAT"):
                least, most, body = value
                endless, alone = most is _parser.MAXREPEAT or most > _MANY, str(name) == "POSSESSIVE_REPEAT"
                if least != most:
                    yield _Repeat(self._all(body), follows, endless, inside, fails, atomic or alone)
                looped = follows | (self._first(list(body)) if most != 1 else _NONE)
                below = inside + (1 if endless else 0)
                yield from self.repeats(
                    list(body), looped, can_fail=fails or most != 1, inside=below, atomic=atomic or alone
                )
            else:
                held = atomic or str(name) == "ATOMIC_GROUP"
                for part in _parts(name, value):
                    zero_width = str(name).startswith("ASSERT")
                    yield from self.repeats(
                        part,
                        _NONE if zero_width else follows,
                        can_fail=fails and not zero_width,
                        inside=inside,
                        atomic=held,
                    )

    def begins(self, items: Sequence[Any]) -> Set:
        """What a match begins with; or, if it begins with a look behind, what that ends with."""
        if items and str(items[0][0]) == "ASSERT" and items[0][1][0] < 0:
            return self._of(*list(items[0][1][1])[-1])
        return self._first(items)

    def not_behind(self, items: Sequence[Any]) -> Set:
        """Where a match cannot begin: behind one of these characters."""
        if items and str(items[0][0]) == "ASSERT_NOT" and items[0][1][0] < 0 and len(items[0][1][1]) == 1:
            return self._of(*next(iter(items[0][1][1])))
        return _NONE

    def _first(self, items: Sequence[Any]) -> Set:
        found = _NONE
        for name, value in items:
            found |= self._first_of(name, value)
            if not self._nullable([(name, value)]):
                break
        return found

    def _first_of(self, name: Any, value: Any) -> Set:
        if str(name).startswith("ASSERT") or str(name) == "AT":
            return _NONE
        if str(name).endswith("REPEAT"):
            return self._first(list(value[2]))
        parts = list(_parts(name, value))
        return frozenset().union(*(self._first(part) for part in parts)) if parts else self._of(name, value)

    def _all(self, items: Iterable[Any]) -> Set:
        found = _NONE
        for name, value in items:
            if str(name).startswith("ASSERT") or str(name) == "AT":
                continue
            if str(name).endswith("REPEAT"):
                found |= self._all(value[2])
            elif parts := list(_parts(name, value)):
                found |= frozenset().union(*(self._all(part) for part in parts))
            else:
                found |= self._of(name, value)
        return found

    def _nullable(self, items: Sequence[Any]) -> bool:
        for name, value in items:
            if str(name).startswith("ASSERT") or str(name) == "AT":
                continue
            if str(name).endswith("REPEAT"):
                if value[0] > 0 and not self._nullable(list(value[2])):
                    return False
            elif parts := list(_parts(name, value)):
                if not any(self._nullable(part) for part in parts):
                    return False
            else:
                return False
        return True

    def _may_refuse(self, item: Any) -> bool:
        name, value = item
        return str(name).startswith("ASSERT") or str(name) == "AT" or not self._nullable([(name, value)])

    def _of(self, name: Any, value: Any) -> Set:
        """The characters that a part of one character matches."""
        match str(name):
            case "LITERAL":
                return self._cased({value} & _ALPHABET) or frozenset({value})
            case "NOT_LITERAL":
                return _ALPHABET - self._cased({value})
            case "ANY":
                return _ALPHABET if self._flags & re.DOTALL else _ALPHABET - {10}
            case "RANGE":
                return self._cased({one for one in _ALPHABET if value[0] <= one <= value[1]})
            case "CATEGORY":
                return _category(str(value), self._flags & re.ASCII)
            case "IN":
                negated = bool(value) and str(value[0][0]) == "NEGATE"
                members = frozenset().union(*(self._of(*each) for each in value[negated:]))
                return _ALPHABET - members if negated else members
            case "GROUPREF":
                return _ALPHABET
        raise AssertionError(f"{name} is not known to this test")

    def _cased(self, ones: set[int] | Set) -> Set:
        if not self._flags & re.IGNORECASE:
            return frozenset(ones)
        return frozenset(
            ord(other) for one in ones for other in (chr(one).lower(), chr(one).upper()) if len(other) == 1
        )


def _parts(name: Any, value: Any) -> Iterator[list[Any]]:
    """The sequences of which one has to match, for what has sequences in it."""
    match str(name):
        case "SUBPATTERN":
            yield list(value[3])
        case "BRANCH":
            yield from (list(branch) for branch in value[1])
        case "ATOMIC_GROUP":
            yield list(value)
        case "ASSERT" | "ASSERT_NOT":
            yield list(value[1])


@cache
def _category(category: str, flags: int) -> Set:
    letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[category.rpartition("_")[2]]
    one = re.compile(f"\\{letter.upper() if '_NOT_' in category else letter}", flags)
    return frozenset(each for each in _ALPHABET if one.fullmatch(chr(each)))


def _shown(ones: Set) -> str:
    some = sorted(ones)
    return " ".join(repr(chr(one)) for one in some[:3]) + (" …" if len(some) > 3 else "")

"""What strategies say of numbers, where there is one of a thing."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["with_one_as_one"]

_VERB: Final = "(were|will be|would have been)"
_NOUN: Final = "([A-Za-z_]{1,40}?)s"
_VERB_FIRST: Final = re.compile(rf"\b{_VERB} 1 {_NOUN}\b")
_NOUN_FIRST: Final = re.compile(rf"\b1 {_NOUN} {_VERB}\b")
_SINGULAR: Final = {"were": "was"}


def with_one_as_one(sentence: str) -> str:
    """What a strategy says of numbers, as `There will be 1 products created`, in the singular where there is one.

    Medusa's strategies, and ours that repeat them to the letter, do not look at the number.
    """
    sentence = _VERB_FIRST.sub(lambda found: f"{_of_one(found[1])} 1 {found[2]}", sentence)
    return _NOUN_FIRST.sub(lambda found: f"1 {found[1]} {_of_one(found[2])}", sentence)


def _of_one(verb: str) -> str:
    return _SINGULAR.get(verb, verb)

"""What pydantic finds wrong with a value, as a sentence for those who fill in the cells."""

from __future__ import annotations

from typing import Final

from pydantic_core import ErrorDetails

__all__ = ["message_of"]

_MESSAGES: Final = {
    "greater_than": "it has to be more than {gt}",
    "greater_than_equal": "it has to be {ge} or more",
    "less_than": "it has to be less than {lt}",
    "less_than_equal": "it has to be {le} or less",
    "multiple_of": "it has to be a multiple of {multiple_of}",
    "string_too_short": "it has to have {min_length} characters or more",
    "string_too_long": "it may have {max_length} characters at most",
    "too_short": "there have to be {min_length} values or more, and there are {actual_length}",
    "too_long": "there may be {max_length} values at most, and there are {actual_length}",
    "decimal_max_places": "it may have {decimal_places} digits after the point at most",
    "decimal_max_digits": "it may have {max_digits} digits at most",
    "decimal_whole_digits": "it may have {whole_digits} digits before the point at most",
}
_RAISED: Final = ("Value error, ", "Assertion failed, ")
"""What pydantic puts in front of what a validator of the author's says."""


def message_of(error: ErrorDetails, *, description: str = "", example: str = "") -> str:
    """`description` and `example` are those of the field, and say what a pattern asks for: nobody is shown the pattern."""
    if error["type"] == "string_pattern_mismatch":
        asked = f": {description}" if description else ""
        return f"it is not in the form that it has to have{asked}" + (f", such as {example}" if example else "")
    if error["type"] in _MESSAGES:
        limits = error.get("ctx", {})
        return _MESSAGES[error["type"]].format_map({name: _plain(limit) for name, limit in limits.items()})
    message = error["msg"]
    for before in _RAISED:
        message = message.removeprefix(before)
    return message


def _plain(limit: object) -> object:
    """A limit as people write it: 1, and not 1.0."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit

"""What PyMongo raises, in one sentence for people: which collection, which key, which value.

The driver's own text has all that the server said, twice, and for a bulk every document in it. That belongs into the log,
where the traceback is, and not into a job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final

from bson.errors import InvalidDocument
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from batchbus_strategies.strategy import Fields

__all__ = ["driver_sentence", "driver_sentence_without_values"]

_DUPLICATE_KEY: Final = 11000
_LONGEST_VALUE: Final = 80
_LONGEST_TEXT: Final = 300
_DUPLICATE: Final = re.compile(r"(?P<namespace>\S+) index: (?P<index>\S+)(?: dup key: (?P<key>\{.*\}))?", re.S)
_SIZES: Final = re.compile(r"(\d{1,20}) bytes")
_TAIL: Final = re.compile(r" \(configured timeouts: .*|, Timeout: .*|, full error: .*", re.S)
"""What the driver adds for those who configure it."""


def driver_sentence(error: BaseException) -> str | None:
    """The sentence, on one line; None for an error that is not the driver's. To be asked before its traceback is let go."""
    match error:
        case BulkWriteError():
            return _bulk(error)
        case DuplicateKeyError():
            details: Fields = error.details or {}
            return f"{_write(_collection(error))} was refused: {_reason({'errmsg': _text(error), **details})}"
        case ServerSelectionTimeoutError():
            return f"The database cannot be reached: {_text(error)}."
        case ConnectionFailure():
            return f"The connection to the database broke{_during(error)}: {_text(error)}."
        case DocumentTooLarge():
            return _too_large(error)
        case InvalidDocument():
            return f"A document{_for(error)} cannot be stored: {_text(error)}."
        case OperationFailure():
            name = (error.details or {}).get("codeName") or error.code
            return f"The database refused a call{_during(error)}: {_text(error)}" + (f" ({name})." if name else ".")
        case PyMongoError():
            return f"The database driver failed{_during(error)}: {_text(error)} ({type(error).__name__})."
        case _:
            return None


def driver_sentence_without_values(error: BaseException) -> str | None:
    """What events and logs say: without the values of keys, and without texts of the server that may have some."""
    match error:
        case BulkWriteError():
            failed: Sequence[Fields] = (error.details or {}).get("writeErrors", ())
            reason = _index_of(failed[0]) if failed else "it was not confirmed"
            return f"A bulk{_for(error)} was refused: {reason}."
        case DuplicateKeyError():
            return f"A write{_for(error)} was refused: {_index_of({'errmsg': _text(error), **(error.details or {})})}."
        case ConnectionFailure() | DocumentTooLarge():
            return driver_sentence(error)
        case OperationFailure():
            name = (error.details or {}).get("codeName") or error.code
            return f"The database refused a call{_during(error)} ({name})."
        case PyMongoError() | InvalidDocument():
            return f"The database driver failed{_during(error)} ({type(error).__name__})."
        case _:
            return None


def _index_of(refused: Fields) -> str:
    """Why one write was refused, as far as that is the same for every value."""
    found = _duplicate(str(refused.get("errmsg")))
    if found is None:
        return f"error {refused.get('code')}"
    return f"a value is taken already (unique index {found['index']})"


def _bulk(error: BulkWriteError) -> str:
    details: Fields = error.details or {}
    failed: Sequence[Fields] = sorted(details.get("writeErrors", ()), key=lambda each: each.get("index", 0))
    collection = _collection(error) or next(filter(None, map(_namespace, failed)), None)
    bulk = f"a bulk to {collection}" if collection else "a bulk"
    if not failed:
        unconfirmed = details.get("writeConcernErrors") or [{}]
        reason = _shortened(str(unconfirmed[0].get("errmsg") or "no reason is given"), _LONGEST_TEXT)
        return f"Not enough servers have confirmed {bulk}: {reason}."
    first = failed[0]
    if len(failed) == 1:
        return f"The write with index {first.get('index')} of {bulk} was refused: {_reason(first)}"
    return f"{len(failed)} writes of {bulk} were refused, the first with index {first.get('index')}: {_reason(first)}"


def _reason(refused: Fields) -> str:
    """Why one write was refused, with a full stop."""
    text = str(refused.get("errmsg") or "no reason is given")
    found = _duplicate(text)
    if refused.get("code") != _DUPLICATE_KEY and found is None:
        return f"{_shortened(text, _LONGEST_TEXT)}."
    key = refused.get("keyValue")
    if isinstance(key, Mapping):
        named = ", ".join(f"{field} {_value(value)}" for field, value in key.items())
    else:
        named = f"key {_shortened(found['key'], _LONGEST_VALUE)}" if found and found["key"] else "key"
    return f"its {named} is taken already" + (f" (unique index {found['index']})." if found else ".")


def _too_large(error: DocumentTooLarge) -> str:
    sizes = _SIZES.findall(str(error))
    if len(sizes) != 2:
        return f"A document{_for(error)} is too large for the database."
    size, most = map(int, sizes)
    return f"A document{_for(error)} is too large for the database: it has {size:,} bytes, of {most:,} at most."


def _write(collection: str | None) -> str:
    return f"A write to {collection}" if collection else "A write"


def _during(error: BaseException) -> str:
    return f" of {collection}" if (collection := _collection(error)) else ""


def _for(error: BaseException) -> str:
    return f" for {collection}" if (collection := _collection(error)) else ""


def _collection(error: BaseException) -> str | None:
    """Most errors do not name it; but the driver was working on it when it raised them."""
    return _namespace({"errmsg": str(error)}) or _worked_on(error.__traceback__)


def _duplicate(text: str) -> re.Match[str] | None:
    """What a message about a duplicate key names. It holds the key, which may be anybody's text: each step is linear."""
    return _DUPLICATE.match(text.partition("E11000 ")[2].partition("collection: ")[2])


def _namespace(refused: Fields) -> str | None:
    found = _duplicate(str(refused.get("errmsg")))
    return found["namespace"].partition(".")[2] if found else None


def _worked_on(traceback: TracebackType | None) -> str | None:
    while traceback is not None:
        worker = traceback.tb_frame.f_locals.get("self")
        if isinstance(worker, Cursor | CommandCursor):
            worker = getattr(worker, "_collection", None)
        if isinstance(worker, Collection):
            return str(worker.name)
        traceback = traceback.tb_next
    return None


def _text(error: BaseException) -> str:
    return _shortened(_TAIL.sub("", str(error)), _LONGEST_TEXT).rstrip(".")


def _value(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value)
    return _shortened(text, _LONGEST_VALUE)


def _shortened(text: str, longest: int) -> str:
    """On one line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

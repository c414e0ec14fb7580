"""What the driver is asked for, and what it raises.

This is the one place for how durable a write is, how long a call may take, and which error of the ports stands for
which of the driver's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Final

from bson.codec_options import CodecOptions
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from batchbus_service.domain.errors import StoreUnavailable, TooLarge
from batchbus_strategies.strategy import Document, Fields

__all__ = ["AWARE", "DURABLE", "NOTED", "TOO_LARGE", "Document", "Stored", "answered", "client_options", "refusal_of"]

Stored = Fields
"""A document as it was read: nothing is known yet of the kinds of its values."""

AWARE: Final[CodecOptions[Document]] = CodecOptions(tz_aware=True, tzinfo=UTC)
"""Times come as aware UTC."""
DURABLE: Final = WriteConcern(w="majority", j=True)
"""What is acknowledged is on the disks of a majority."""
NOTED: Final = WriteConcern(w=1)
"""For what does no harm if a crash takes it back."""

_SERVER_SELECTION_MS: Final = 5000
_TOO_LARGE_CODES: Final = frozenset({10334, 17419, 17420, 2})
TOO_LARGE: Final = "The job is too large for a document"
_DUPLICATE_KEY: Final = 11000


def client_options(answer_seconds: float) -> Document:
    """The options of every client, those lent to strategies included.

    A server that is frozen or cut off breaks no connection: without a limit, a call to it would never return, and
    neither would the process end.
    """
    return {
        "tz_aware": True,
        "tzinfo": UTC,
        "w": DURABLE.document["w"],
        "journal": DURABLE.document["j"],
        "serverSelectionTimeoutMS": _SERVER_SELECTION_MS,
        "socketTimeoutMS": int(answer_seconds * 1000),
        "appname": "batchbus",
    }


@contextmanager
def answered() -> Iterator[None]:
    """Around a call of the driver. Raises `StoreUnavailable`, `TooLarge`; a duplicate key is the caller's to deal with."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except DocumentTooLarge as error:
        raise TooLarge(TOO_LARGE) from error
    except OperationFailure as error:
        if error.code in _TOO_LARGE_CODES and "large" in str(error).lower():
            raise TooLarge(TOO_LARGE) from error
        if isinstance(error, BulkWriteError) and _only_duplicates(error.details):
            raise
        # A time limit, not primary, shutting down, disk full, not authorized: none of it is the caller's fault.
        raise StoreUnavailable(f"The database refuses: {_name(error)}") from error
    except PyMongoError as error:
        raise StoreUnavailable(f"The database did not answer: {type(error).__name__}") from error


def refusal_of(write_error: Stored) -> Exception:
    """Why one of several writes was refused: `DuplicateKeyError`, `TooLarge`, `StoreUnavailable`."""
    code, message = write_error.get("code"), str(write_error.get("errmsg"))
    if code == _DUPLICATE_KEY:
        return DuplicateKeyError(message)
    if code in _TOO_LARGE_CODES and "large" in message.lower():
        return TooLarge(TOO_LARGE)
    return StoreUnavailable(f"The database refuses: {code}")


def _name(error: OperationFailure) -> str:
    return str((error.details or {}).get("codeName") or error.code or type(error).__name__)


def _only_duplicates(details: Stored | None) -> bool:
    found = details or {}
    failed = found.get("writeErrors", [])
    return not found.get("writeConcernErrors") and all(each.get("code") == _DUPLICATE_KEY for each in failed)

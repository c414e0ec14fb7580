"""BSON without a database: what is checked and measured as MongoDB would, and sent to processes of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import bson
from bson.errors import BSONError, InvalidDocument
from pymongo.errors import DocumentTooLarge

from batchbus_service.domain.errors import NotStorable, TooLarge
from batchbus_service.storage.mongo.driver import AWARE, TOO_LARGE, Document

__all__ = ["decoded", "encodable", "encoded", "measure"]

_MOST_BYTES: Final = 16 * 1024 * 1024


@contextmanager
def encodable() -> Iterator[None]:
    """What keeps a document from being BSON, in the port's words, which name no value of the job."""
    try:
        yield
    except DocumentTooLarge:
        raise
    except OverflowError as error:
        raise NotStorable("The job holds an integer beyond 64 bits") from error
    except UnicodeError as error:
        raise NotStorable("The job holds text that is not Unicode") from error
    except InvalidDocument as error:
        raise NotStorable("The job holds a key or a value of a kind that the database does not have") from error


def encoded(document: Document) -> bytes:
    """Raises `NotStorable` for what the database could not hold either."""
    with encodable():
        return bson.encode(document)


def measure(document: Document) -> None:
    """Raises `NotStorable` for what the database could not hold, and `TooLarge`."""
    if len(encoded(document)) > _MOST_BYTES:
        raise TooLarge(TOO_LARGE)


def decoded(data: bytes) -> Document:
    """Raises `ValueError` for what is no document."""
    try:
        return bson.decode(data, codec_options=AWARE)
    except BSONError as error:
        raise ValueError(str(error)) from error

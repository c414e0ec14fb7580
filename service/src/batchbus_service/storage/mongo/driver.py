"""What the driver raises, in the words of `ports`: the one translation, for all that talks to MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from batchbus_service.domain.ports import StoreUnavailable, TooLarge

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

__all__ = ["answered", "try_out"]

_TOO_LARGE_CODES: Final = frozenset({10334, 17419, 17420, 2})
_DUPLICATE_KEY: Final = 11000


@contextmanager
def answered() -> Iterator[None]:
    """Around a call of the driver. Raises `StoreUnavailable`, `TooLarge`; a duplicate key is the caller's to deal with."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except DocumentTooLarge as error:
        raise TooLarge("The job is too large for a document") from error
    except OperationFailure as error:
        if error.code in _TOO_LARGE_CODES and "large" in str(error).lower():
            raise TooLarge("The job is too large for a document") from error
        if isinstance(error, BulkWriteError) and _only_duplicates(error.details):
            raise
        # A time limit, not primary, shutting down, disk full, not authorized: none of it is the caller's fault.
        raise StoreUnavailable(f"The database refuses: {_name(error)}") from error
    except PyMongoError as error:
        raise StoreUnavailable(f"The database did not answer: {type(error).__name__}") from error


async def try_out(database: AsyncIOMotorDatabase[dict[str, Any]], *, write: bool = True) -> None:
    """Read a job that is not there; and write a document of a few bytes, as durably as jobs are.

    A server that can be reached may be read-only, have a full disk, or allow nothing any more. Raises `StoreUnavailable`.
    """
    with answered():
        await database["jobs"].find_one({"_id": "batch_none"}, {"_id": True})
        if not write:
            return
        probe = {"$set": {"at": datetime.now(UTC)}}
        try:
            await database["readiness"].update_one({"_id": "probe"}, probe, upsert=True)
        except DuplicateKeyError:
            return  # another process has just written the first one


def _name(error: OperationFailure) -> str:
    return str((error.details or {}).get("codeName") or error.code or type(error).__name__)


def _only_duplicates(details: Mapping[str, Any] | None) -> bool:
    found = details or {}
    failed = found.get("writeErrors", [])
    return not found.get("writeConcernErrors") and all(each.get("code") == _DUPLICATE_KEY for each in failed)

"""What the driver raises when the database does not answer, in the words of `ports`: for all that talks to MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import ConnectionFailure, ExecutionTimeout, WTimeoutError

from batchbus_service.ports import StoreUnavailable

__all__ = ["answered"]


@contextmanager
def answered() -> Iterator[None]:
    """Around a call of the driver. Raises `StoreUnavailable`."""
    try:
        yield
    except (ConnectionFailure, WTimeoutError, ExecutionTimeout) as error:
        raise StoreUnavailable(f"The database did not answer: {type(error).__name__}") from error

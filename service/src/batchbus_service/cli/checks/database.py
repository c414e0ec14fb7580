"""Whether the database works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from batchbus_service.cli.checks.check import TIMEOUT, Check
from batchbus_service.cli.checks.clocks import Clocks

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["database"]

_NEWEST: Final = 1000
"""So many jobs are read, to see whether they can be."""
_NAMED: Final = 5
"""So many of those that cannot are named."""


async def database(settings: Settings, clocks: Clocks) -> Check:
    """Whether it can be reached, read and written; its clock is noted in `clocks`."""
    from batchbus_service.domain.errors import EmbeddedMongoError, StoreUnavailable
    from batchbus_service.storage.mongo.embedded import DataDirInUse

    try:
        async with _url(settings) as url:
            if url is None:
                return Check("database", True, "embedded; it is created by the first `batchbus up`")
            return await _jobs_in(settings, url, clocks)
    except DataDirInUse as error:
        process = f"process {error.holder.pid}" if error.holder else "another process"
        return Check("database", True, f"embedded, in use by {process}")
    except EmbeddedMongoError as error:
        return Check("database", False, str(error), "Set BATCHBUS_MONGODB_URL to use a MongoDB server instead.")
    except StoreUnavailable as error:
        cause = error.__cause__ or error  # the driver says more
        return Check(
            "database",
            False,
            f"MongoDB cannot be used: {type(cause).__name__}: {str(cause).split(', Timeout')[0]}",
            "Check BATCHBUS_MONGODB_URL, that the server runs, has room on its disk, and that its user may read and write.",
        )


async def _jobs_in(settings: Settings, url: str, clocks: Clocks) -> Check:
    """Whether the database works, and the jobs that were made last can be read. Raises `StoreUnavailable`."""
    from batchbus_service.storage.clock import SystemClock
    from batchbus_service.storage.mongo.connection import mongo_stores, open_database

    async with open_database(url, settings.mongodb_database, answer_seconds=TIMEOUT) as database:
        stores = mongo_stores(database, SystemClock(), embedded=settings.embedded)
        message = f"MongoDB {await stores.server.version()}, database {settings.mongodb_database}"
        await stores.server.try_out()
        if not settings.embedded:
            asked = clocks.now()
            clocks.compare("the database's server", await stores.server.time(), asked)
        unreadable = await stores.listings.unreadable(newest=_NEWEST)
    if not unreadable:
        return Check("database", True, message)
    named = "; ".join(str(error) for error in unreadable[:_NAMED])
    return Check(
        "database",
        False,
        f"{message}: of the newest {_NEWEST:,} jobs, {len(unreadable):,} cannot be read. {named}",
        "Nothing else is wrong with them: run the version of batchbus that wrote them, or mend them in the collection jobs.",
    )


@asynccontextmanager
async def _url(settings: Settings) -> AsyncIterator[str | None]:
    """Where the database is; None for an embedded one that is not there yet."""
    import importlib.util

    from batchbus_service.storage.mongo.embedded import EmbeddedMongo, EmbeddedMongoMissing

    if not settings.embedded:
        yield settings.mongodb_url
    elif importlib.util.find_spec("secantus") is None:
        raise EmbeddedMongoMissing
    elif not (settings.data_dir / "mongodb").exists():
        yield None
    else:
        async with EmbeddedMongo.start(settings.data_dir) as url:
            yield url

"""The client of the database that strategies are lent: usable where the engine runs strategies, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from contextlib import AsyncExitStack
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClient

from batchbus_service.storage.mongo.driver import client_options
from batchbus_strategies import Files, Services, StrategyError
from batchbus_strategies.strategy import Document

__all__ = ["LentClient", "UsedElsewhere", "lend"]

_CATALOG_SECONDS: Final = 120.0
"""How long the database may take to answer a strategy, which writes and reads in bulk."""


class UsedElsewhere(StrategyError):
    """`run.catalog` was used from a thread or an event loop of the strategy's own"""

    public = True

    def __init__(self) -> None:
        super().__init__(
            f"{self.__doc__}, which Motor cannot serve. Write the method as `async def` and await the catalogue, or, "
            "in a plain `def`, use `run.sync.catalog`: that is PyMongo's own database, whose calls block"
        )


class LentClient(AsyncIOMotorClient[Document]):
    """A Motor client that answers on `loops`: each call on the loop that makes it.

    Motor itself binds a client to the loop that happens to use it first. Were that one a strategy's own, its end would
    leave the client unusable for every other strategy.
    """

    def __init__(self, url: str, loops: Container[asyncio.AbstractEventLoop], **options: Any) -> None:
        super().__init__(url, **options)
        self._loops = loops

    def get_io_loop(self) -> asyncio.AbstractEventLoop:
        """Where the answer of a call goes. Raises `UsedElsewhere`."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsedElsewhere from None
        if loop not in self._loops:
            raise UsedElsewhere
        return loop


def lend(
    url: str,
    database: str,
    files: Files,
    stack: AsyncExitStack,
    loops: Container[asyncio.AbstractEventLoop],
) -> Services:
    """What strategies get; called on their loop, and closed with the stack."""
    client = LentClient(url, loops, **client_options(_CATALOG_SECONDS))
    stack.callback(client.close)
    return Services(files=files, catalog=client[database])

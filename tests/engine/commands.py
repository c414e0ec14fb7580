"""What the engine asks of the collection `jobs`, as the driver tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

__all__ = ["Commands"]

Command = Mapping[str, Any]


class Commands(CommandListener):
    """Commands on the jobs of one database, while `listening`. One per process: pymongo forgets no listener."""

    def __init__(self) -> None:
        self._registered = False
        self._database: str | None = None
        self._heard: list[tuple[str, Command]] = []

    @contextmanager
    def listening(self, database: str) -> Iterator[Commands]:
        """To the clients that are made from now on."""
        if not self._registered:
            monitoring.register(self)
            self._registered = True
        self._database = database
        self._heard.clear()
        try:
            yield self
        finally:
            self._database = None

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._heard}

    @property
    def finds(self) -> list[Command]:
        return [command for name, command in self._heard if name == "find"]

    @property
    def updates(self) -> list[Command]:
        """The single updates, those of a bulk write one by one."""
        return [update for name, command in self._heard if name == "update" for update in command["updates"]]

    @property
    def inserts(self) -> list[Command]:
        return [document for name, command in self._heard if name == "insert" for document in command["documents"]]

    def started(self, event: CommandStartedEvent) -> None:
        if event.database_name == self._database and event.command.get(event.command_name) == "jobs":
            self._heard.append((event.command_name, event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...

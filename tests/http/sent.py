"""The queries that a driver sends, and what the server tells of how it answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

__all__ = ["Query", "Sent", "explained", "scan_of"]

Query = dict[str, Any]
"""A `find` or `aggregate` command, without what belongs to the session."""


class Sent(CommandListener):
    """Every `find` and `aggregate` of a client, to whose `event_listeners` it belongs."""

    def __init__(self) -> None:
        self.queries: list[Query] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            own = ("lsid", "$db", "$clusterTime", "$readPreference")
            self.queries.append({name: value for name, value in event.command.items() if name not in own})

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


async def explained(database: AsyncIOMotorDatabase[dict[str, Any]], query: Query) -> Mapping[str, Any]:
    """The query is carried out for it."""
    told: Mapping[str, Any] = await database.command("explain", query, verbosity="executionStats")
    return told


def scan_of(explanation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The innermost stage of the plan: what is read from where."""
    stage: Mapping[str, Any] = explanation["queryPlanner"]["winningPlan"]
    while "inputStage" in stage:
        stage = stage["inputStage"]
    return stage

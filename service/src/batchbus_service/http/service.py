"""A running service, as the HTTP API and the commands see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from batchbus_events.bus import Bus
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.dispatcher import Worker
from batchbus_service.engine.rescuer import Watch
from batchbus_service.execution.executor import StrategyHost
from batchbus_service.journal.transitions import Ledger
from batchbus_service.operations.replay.player import Player
from batchbus_service.storage.files import FileStore
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.prometheus import PrometheusMeter
from batchbus_strategies import Registry

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service, as the HTTP API and the commands see it."""

    settings: Settings
    bus: Bus
    ledger: Ledger
    registry: Registry
    host: StrategyHost
    files: FileStore
    database: AsyncIOMotorDatabase[dict[str, Any]]
    """Jobs, users, tokens."""
    worker: Worker | None
    watch: Watch
    player: Player
    meter: PrometheusMeter
    background: Background

"""A running service, as the composition root has put it together: all that the HTTP API stands on."""

from __future__ import annotations

from dataclasses import dataclass

from batchbus_events.bus import Bus
from batchbus_service.domain.ports import Stores
from batchbus_service.domain.settings import Settings
from batchbus_service.engine.commands import Commands
from batchbus_service.engine.dispatcher import Dispatcher
from batchbus_service.engine.rescuer import Rescuer
from batchbus_service.execution.executor import StrategyExecutor
from batchbus_service.journal.transitions import Transitions
from batchbus_service.operations.replay.replayer import Replayer
from batchbus_service.storage.files import FileStore
from batchbus_service.telemetry.background import Background
from batchbus_service.telemetry.prometheus import PrometheusMeter
from batchbus_strategies import Registry

__all__ = ["Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service without the doors that people come through."""

    settings: Settings
    bus: Bus
    transitions: Transitions
    commands: Commands
    """As the HTTP API carries them out."""
    registry: Registry
    executor: StrategyExecutor
    files: FileStore
    stores: Stores
    """One store of each kind."""
    worker: Dispatcher | None
    rescuer: Rescuer
    replayer: Replayer
    meter: PrometheusMeter
    background: Background

"""Batch types: the contract for writing your own, and the built-in imports and exports."""

from batchbus_strategies.computing import ComputationDied
from batchbus_strategies.limits import Permit
from batchbus_strategies.lookup import look_up, look_up_blocking
from batchbus_strategies.registry import Registry, RegistryEntry, RegistryError
from batchbus_strategies.retrying import retry
from batchbus_strategies.strategy import (
    Actor,
    AnyContext,
    BatchStrategy,
    Catalog,
    CatalogCollection,
    ColumnHelp,
    Draft,
    FileMissing,
    Files,
    FileWriter,
    JobRefused,
    JobRun,
    JobView,
    Json,
    LeaseLost,
    Phase,
    RunCanceled,
    Services,
    StrategyError,
    SyncCatalog,
    SyncCatalogCollection,
)
from batchbus_strategies.sync import Sync, SyncFiles, SyncFileWriter
from batchbus_strategies.writes import RecordWrite, Written

__all__ = [
    "Actor",
    "AnyContext",
    "BatchStrategy",
    "Catalog",
    "CatalogCollection",
    "ColumnHelp",
    "ComputationDied",
    "Draft",
    "FileMissing",
    "FileWriter",
    "Files",
    "JobRefused",
    "JobRun",
    "JobView",
    "Json",
    "LeaseLost",
    "Permit",
    "Phase",
    "RecordWrite",
    "Registry",
    "RegistryEntry",
    "RegistryError",
    "RunCanceled",
    "Services",
    "StrategyError",
    "Sync",
    "SyncCatalog",
    "SyncCatalogCollection",
    "SyncFileWriter",
    "SyncFiles",
    "Written",
    "look_up",
    "look_up_blocking",
    "retry",
]

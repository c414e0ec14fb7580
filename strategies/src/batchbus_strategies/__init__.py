"""Batch types: the contract for writing your own, and the built-in imports and exports."""

from batchbus_strategies.registry import Registry, RegistryEntry, RegistryError
from batchbus_strategies.strategy import (
    Actor,
    AnyContext,
    BatchStrategy,
    Catalog,
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
)
from batchbus_strategies.writes import RecordWrite, Written

__all__ = [
    "Actor",
    "AnyContext",
    "BatchStrategy",
    "Catalog",
    "Draft",
    "FileMissing",
    "FileWriter",
    "Files",
    "JobRefused",
    "JobRun",
    "JobView",
    "Json",
    "LeaseLost",
    "Phase",
    "RecordWrite",
    "Registry",
    "RegistryEntry",
    "RegistryError",
    "RunCanceled",
    "Services",
    "StrategyError",
    "Written",
]

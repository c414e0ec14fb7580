"""What a child process is given by its worker, on the socket and nowhere else: nothing of it is in its environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from batchbus_service.telemetry.logs import LogFormat, LogLevel
from batchbus_strategies.strategy import Document, Fields

__all__ = ["Setup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The same for all children of a worker."""

    catalog_url: str
    """MongoDB, with credentials of the catalogue alone where `BATCHBUS_CATALOG_URL` has them."""
    catalog_database: str
    files_url: str
    strategies_folder: str | None
    memory_mib: int
    """The most memory that the process may have, in MiB."""
    progress_interval: float
    """Seconds between two messages about progress, at least."""
    log_format: LogFormat | None
    log_level: LogLevel
    path: list[str]
    """Where Python finds modules."""

    @property
    def folder(self) -> Path | None:
        return Path(self.strategies_folder) if self.strategies_folder is not None else None

    def to_document(self) -> Document:
        return asdict(self)

    @classmethod
    def from_document(cls, document: Fields) -> Setup:
        return cls(**{field.name: document[field.name] for field in fields(cls)})

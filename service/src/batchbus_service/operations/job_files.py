"""The files that jobs leave behind: plans, outcomes, error files, row errors. They hold values of customers, and end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from batchbus_service.domain.job import Job
from batchbus_service.storage.files import FileStore
from batchbus_service.telemetry.background import Background, Periodic
from batchbus_strategies import FileMissing

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from batchbus_service.domain.ports import Clock

__all__ = ["JOB_FOLDERS", "JobFiles"]

JOB_FOLDERS: Final = ("imports/", "errors/")
"""Where the engine and the built-in batch types keep them. What a strategy keeps elsewhere is its own."""
_EVERY: Final = 6 * 3600.0
"""Seconds. To look is to list all of them, which takes an object store a while."""


class JobFiles:
    """Ends them, when they are old or when somebody asks for it."""

    def __init__(self, files: FileStore, log: FilteringBoundLogger) -> None:
        self._files = files
        self._log = log

    async def remove_old(self, before: datetime) -> int:
        """Remove those that were last written before then. Returns how many."""
        removed = 0
        for folder in JOB_FOLDERS:
            async for key, written_at in self._files.listed(folder):
                if written_at < before:
                    await self._files.delete(key)
                    removed += 1
        return removed

    async def forget(self, job: Job) -> int:
        """Remove those of one job, whatever run they are of. Returns how many."""
        keys = {key for key in _named(job) if await self._is_there(key)}
        for folder in JOB_FOLDERS:
            keys |= {key async for key, _ in self._files.listed(folder) if job.id in key}
        for key in keys:
            await self._files.delete(key)
        return len(keys)

    async def _is_there(self, key: str) -> bool:
        try:
            await self._files.size(key)
        except FileMissing:
            return False
        return True

    def kept_short(self, background: Background, clock: Clock, days: int) -> Periodic:
        """Removes what is older than so many days, again and again."""

        async def remove() -> None:
            try:
                removed = await self.remove_old(clock.now() - timedelta(days=days))
            except OSError as error:
                self._log.warning("job_files_not_removed", reason=str(error))
            else:
                if removed:
                    self._log.info("old_job_files_removed", files=removed)

        return Periodic(background, "removing old files of jobs", remove, every=_EVERY, jitter=0.2)


def _named(job: Job) -> list[str]:
    """The keys that the job's result has under `files`. What an export has made is not among them."""
    files = job.result.value("files") if job.result else None
    return [key for key in files.values() if isinstance(key, str)] if isinstance(files, dict) else []

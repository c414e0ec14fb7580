"""The ports of what the HTTP API asks for beside single jobs: lists of jobs, and whose a file is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from batchbus_service.domain.errors import UnreadableJob
from batchbus_service.domain.job import Job
from batchbus_service.domain.listing import Listing

__all__ = ["JobListings", "Upload", "UploadStore"]


class JobListings(Protocol):
    """Questions about many jobs, which change nothing. Every method may raise `StoreUnavailable`."""

    async def find(self, listing: Listing) -> tuple[list[Job], int]:
        """The page that is asked for, and how many jobs there are in all.

        A large number may be a few seconds old. A job that cannot be read keeps its place in the list, as a stand-in
        with the reason in its result, so that it hides neither the others nor itself.
        """

    async def made_file(self, key: str, *, user_id: str | None = None, principal: str | None = None) -> bool:
        """Whether a job of that user made the file, or one that the principal asked for on the bus."""

    async def unreadable(self, *, newest: int) -> list[UnreadableJob]:
        """The errors of those documents that cannot be read, among the `newest` that have the latest ids."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a user put here."""

    key: str
    user_id: str
    public: bool
    """Whether anyone who has its address may fetch it."""
    services: tuple[str, ...] = ()
    """The services whose jobs on the bus may read it, by the names of their users at the broker."""


class UploadStore(Protocol):
    """Whose uploads are. Every method may raise `StoreUnavailable`; writes are durable once they return."""

    async def prepare(self) -> None:
        """Have the store find the uploads of a user."""

    async def insert(self, upload: Upload, at: datetime) -> None:
        """Note whose the file is."""

    async def get(self, key: str) -> Upload | None:
        """What was noted about the file, or None. Raises `UnreadableDocument`."""

    async def grant(self, key: str, services: Sequence[str]) -> None:
        """Let these services read the file, and no others. Does nothing if nothing is noted."""

    async def keep(self, key: str, counted: int) -> None:
        """Note with how many bytes the file counts among those of its user; 0 once it is gone. Does nothing if nothing is noted."""

    async def bytes_of(self, user_id: str) -> int:
        """The bytes with which the user's files count. Its cost grows with the number of these files."""

    async def remove(self, key: str) -> None:
        """Forget about the file. Does nothing if nothing is noted."""

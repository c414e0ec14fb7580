"""The ports of the database's server, of time as it has it, and of the processes that share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["Clock", "DatabaseServer", "ProcessStore", "Sign"]


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life: until when a process counts as alive, and what it serves."""

    until: datetime
    types: tuple[str, ...] | None
    """The batch types whose jobs it runs; None for a process of a version that does not say."""


class ProcessStore(Protocol):
    """The processes that are there. Every method may raise `StoreUnavailable`."""

    async def renew(self, name: str, until: datetime, types: Sequence[str] = ()) -> None:
        """The process counts as alive until then, and runs jobs of these batch types."""

    async def present(self) -> Mapping[str, Sign]:
        """The last sign of each process, by name; those long gone may be left out."""

    async def leave(self, name: str) -> None:
        """The process ends in good order."""


class DatabaseServer(Protocol):
    """The server that keeps everything. Every method may raise `StoreUnavailable`."""

    async def time(self) -> datetime:
        """The server's time of day: aware, in UTC, as it was at some moment of the call."""

    async def version(self) -> str:
        """The version that the server tells of itself."""

    async def try_out(self, *, write: bool = True) -> None:
        """Read a job that is not there; and with `write`, write a document of a few bytes, as durably as jobs are.

        Returns if both can be done. A server that can be reached may be read-only, have a full disk, or allow nothing
        any more: then it raises `StoreUnavailable`.
        """


class Clock(Protocol):
    """Time as the database server has it, so that a machine with a wrong clock steals no lease."""

    def now(self) -> datetime:
        """UTC, aware, cut to milliseconds."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps: for deadlines within this process."""

    def settled(self) -> bool:
        """Whether, as far as is known, no clock was set a moment ago; until then times of other processes say little."""

    def trusted(self) -> bool:
        """Whether, besides, this process has run for long enough to know that none was set just before it began."""

    async def sure(self, *, within: float = ...) -> bool:
        """Compare clocks, then say whether they are trusted, and `now` proved to be right within so many seconds.

        To be asked before `now` judges a deadline that another process has set, and anything is taken from that process.
        An answer that came slowly proves little: its round trip may hide that somebody has set the clock. Without `within`
        it has to be right enough for leases.
        """

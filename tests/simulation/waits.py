"""Nothing waits longer than docs/reliability.md says: its table is read here, and held against the simulated jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from batchbus_service.domain.job import Job
from batchbus_service.domain.replay import AT_WORK, Replay
from tests.engine.world import Process
from tests.simulation.checks import Violation

__all__ = ["CALM", "check_replay_waits", "check_waits", "limits"]

_PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
_ROW: Final = re.compile(r"^\| ([a-z][^|]+) \| ([^|]+) \|$", re.M)
_SECONDS: Final = re.compile(r"(\d+) s\b")
_AFTER_AN_OUTAGE: Final = "what could not go on while broker or database were away"
_READY: Final = "a job that is ready, or was given back by a worker that was stopped"
_LOST: Final = "a job whose worker was killed"
_REPLAY: Final = "a replay whose process was killed"
_UNPUBLISHED: Final = "an event that its process wrote and did not publish, because it was killed"


def limits() -> Mapping[str, timedelta]:
    """How long each thing waits at most, for the rows that give a number of seconds."""
    rows = _ROW.findall(_PAGE.read_text(encoding="utf-8"))
    return {what: timedelta(seconds=int(found[1])) for what, most in rows if (found := _SECONDS.search(most))}


_LIMITS: Final = limits()
CALM: Final = _LIMITS[_AFTER_AN_OUTAGE].total_seconds()
"""Seconds after the last fault from which on the limits hold."""


_CALLS: Final = 4
"""Calls of the database from the end of a lease until its job is written as lost, which take their time."""


def check_waits(
    jobs: Iterable[Job], processes: Sequence[Process], now: datetime, *, slowest: float, unreadable: bool = False
) -> None:
    """Called while nothing has been broken for `CALM` seconds. Raises `Violation`.

    `slowest`: seconds of a call. `unreadable`: processes of an older version cannot read what the others write, so that
    their slots are for few jobs.
    """
    noticed_by = _LIMITS[_LOST] + timedelta(seconds=_CALLS * slowest)
    working = [process for process in processes if not (unreadable and process.older)]
    free = {phase for process in working for phase in ("pre_process", "process") if process.free(phase)}
    for job in jobs:
        if job.unpublished and job.unpublished[0].time < now - _LIMITS[_UNPUBLISHED]:
            raise Violation(f"{job.id}: its {job.unpublished[0].type} waits to be published")
        if job.lease and job.lease.expires_at < now - noticed_by:
            raise Violation(f"{job.id}: its lease has ended, and nobody has noticed: {job.lease}")
        if job.ready_at and job.ready_at < now - _LIMITS[_READY] and job.phase in free:
            raise Violation(f"{job.id}: it waits for a slot, and slots are free")


def check_replay_waits(replays: Iterable[Replay], processes: Sequence[Process], now: datetime) -> None:
    """As `check_waits`. A process works on one replay at a time, so that some may wait for others."""
    at_work = [replay for replay in replays if replay.state in AT_WORK]
    for replay in at_work if len(at_work) <= len(processes) else ():
        if replay.claim and replay.claim.expires_at < now - _LIMITS[_REPLAY]:
            raise Violation(f"{replay.id}: its process has gone, and no other goes on with it: {replay.claim}")

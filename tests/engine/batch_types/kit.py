"""Batch types that use what a run offers besides its chunks, in an `async def`, in a thread, and in a child process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel

from batchbus_strategies import BatchStrategy, JobRun, retry


class KitContext(BaseModel):
    what: str = "sleep"
    per_second: float = 0.0001
    times: int = 1
    place: Path = Path()
    """Where a computation says which process it is in."""


def _computes(place: Path) -> int:
    """Writes its process id there, and returns it."""
    unfinished = place.with_suffix(".new")
    unfinished.write_text(str(os.getpid()))
    unfinished.replace(place)
    return os.getpid()


def _computes_for_ever(place: Path) -> None:
    _computes(place)
    while True:
        time.sleep(1)  # until somebody ends it


def _dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Kit(BatchStrategy[KitContext]):
    identifier = "kit-strategy"
    batch_type = "kit"
    context_model = KitContext

    async def process(self, run: JobRun[KitContext]) -> None:
        await run.advance(message="waiting")
        match run.context.what:
            case "sleep":
                await run.sleep(1000)
            case "retry":
                await self._ask()
            case "compute":
                process = await run.compute(_computes, run.context.place)
                run.result["alone"] = process != os.getpid()
            case "compute for ever":
                await run.compute(_computes_for_ever, run.context.place)
            case "compute and die":
                await run.compute(_dies)
            case "duplicate":
                await run.catalog["things"].insert_many([{"_id": run.job_id, "text": "x" * 5000} for _ in range(2)])
            case "limit":
                moments = []
                await run.limit(run.job_id, per_second=1000)
                for number in range(run.context.times):
                    async with run.limit("geo", per_second=run.context.per_second):
                        moments.append(time.time())
                    await run.advance(message=f"permit {number}")
                await run.catalog["permits"].insert_one({"_id": run.job_id, "moments": moments})

    async def on_canceled(self, run: JobRun[KitContext]) -> None:
        await run.sleep(0.001)
        run.result["cleaned_up"] = True

    @retry(on=TimeoutError, first=1000, longest=1000)
    async def _ask(self) -> None:
        raise TimeoutError


class KitIsolated(Kit):
    identifier = "kit-isolated-strategy"
    batch_type = "kit-isolated"
    isolation = "process"


class KitThread(BatchStrategy[KitContext]):
    identifier = "kit-thread-strategy"
    batch_type = "kit-thread"
    context_model = KitContext

    def process(self, run: JobRun[KitContext]) -> None:
        run.advance(message="waiting")
        match run.context.what:
            case "sleep":
                run.sleep(1000)
            case "retry":
                self._ask()
            case "compute":
                run.result["alone"] = run.sync.compute(_computes, run.context.place) != os.getpid()
            case "compute for ever":
                run.compute(_computes_for_ever, run.context.place)
            case "compute and die":
                run.compute(_dies)
            case "duplicate":
                run.sync.catalog["things"].insert_many([{"_id": run.job_id, "text": "x" * 5000} for _ in range(2)])
            case "limit":
                moments = []
                run.limit(run.job_id, per_second=1000)
                for number in range(run.context.times):
                    with run.limit("geo", per_second=run.context.per_second):
                        moments.append(time.time())
                    run.advance(message=f"permit {number}")
                run.sync.catalog["permits"].insert_one({"_id": run.job_id, "moments": moments})
            case "files":
                with run.sync.files.write(f"kit/{run.job_id}") as file:
                    file.write(b"written in a thread")
                written = b"".join(run.sync.files.read(f"kit/{run.job_id}")).decode()
                run.sync.catalog["traces"].insert_one({"job": run.job_id, "written": written})

    def on_canceled(self, run: JobRun[KitContext]) -> None:
        run.sleep(0.001)
        run.result["cleaned_up"] = True

    @retry(on=TimeoutError, first=1000, longest=1000)
    def _ask(self) -> None:
        raise TimeoutError


class KitIsolatedThread(KitThread):
    identifier = "kit-isolated-thread-strategy"
    batch_type = "kit-isolated-thread"
    isolation = "process"

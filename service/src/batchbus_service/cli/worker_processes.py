"""Several processes for one `batchbus worker`: Python uses one processor in each. They share nothing but broker and database.

This process starts them, starts one anew that ends, and has them end when it ends: it runs no job itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchbus_events.backoff import Backoff
from batchbus_events.tasks import end
from batchbus_service.cli.output import out, say
from batchbus_service.cli.refusals import ExitCode, Refusal
from batchbus_service.domain.settings import Settings
from batchbus_service.execution.cores import usable_cores

__all__ = ["METRICS", "READY", "STOPPING", "number_of", "run_processes", "shares"]

READY: Final = "batchbus worker is ready"
"""How the line begins that a worker prints once it takes jobs."""
STOPPING: Final = "Stopping; jobs that run are given back. Ctrl-C again to wait for nothing."
METRICS: Final = ", with metrics at "
"""What stands in that line before the address of its metrics, if it has some."""


def number_of(asked: int | None, settings: Settings) -> int:
    """How many processes: as many as are asked for, or one for each processor, but no more than there are slots.

    Raises `Refusal` if more are asked for than there are slots.
    """
    if asked is None:
        return min(usable_cores(), settings.worker_slots)
    if asked > settings.worker_slots:
        raise Refusal(
            f"{asked} processes need {asked} slots or more, and there are {settings.worker_slots}.",
            "BATCHBUS_WORKER_SLOTS is for the whole command, and is divided among its processes.",
        )
    return asked


def shares(total: int, number: int) -> list[int]:
    """So many slots, divided as evenly as can be; each process has one at least."""
    few, more = divmod(total, number)
    return [max(1, few + (place < more)) for place in range(number)]


async def run_processes(settings: Settings, number: int) -> None:
    """Until SIGINT or SIGTERM; a second SIGINT does not wait for anything. Raises `Refusal` if the first do not start."""
    slots, previews = shares(settings.worker_slots, number), shares(settings.worker_preview_slots, number)
    workers = [_Worker(place, _variables(settings, place, slots[place], previews[place])) for place in range(number)]
    _end_by_signals(workers)
    tasks = [asyncio.create_task(worker.keep_up(), name=f"worker process {worker.place}") for worker in workers]
    printing = asyncio.create_task(_print_when_ready(workers, slots), name="readiness of the worker processes")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            worker.end()
        await asyncio.wait(tasks)
        for task in done:
            task.result()
    finally:
        printing.cancel()
        for worker in workers:
            worker.kill()


async def _print_when_ready(workers: Sequence[_Worker], slots: Sequence[int]) -> None:
    """Once all of them take jobs."""
    for worker in workers:
        await worker.ready.wait()
    divided = " and ".join(map(str, sorted(set(slots), reverse=True)))
    console = out()
    for worker in workers:
        if worker.metrics:
            console.print(f"Worker process {worker.place + 1} has its metrics at {worker.metrics}", soft_wrap=True)
    console.print(f"{READY}: {len(workers)} processes with {divided} slots each; Ctrl-C stops it", soft_wrap=True)
    sys.stdout.flush()


def _end_by_signals(workers: Sequence[_Worker]) -> None:
    requested = False

    def signalled(number: signal.Signals) -> None:
        nonlocal requested
        if requested and number == signal.SIGINT:
            for worker in workers:
                worker.kill()
            os._exit(ExitCode.INTERRUPTED)
        if not requested:
            requested = True
            for worker in workers:
                worker.end()
            say(STOPPING)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled, number)


def _variables(settings: Settings, place: int, slots: int, previews: int) -> Mapping[str, str]:
    variables = {"BATCHBUS_WORKER_SLOTS": str(slots), "BATCHBUS_WORKER_PREVIEW_SLOTS": str(previews)}
    if settings.metrics_port:  # 0 is any port that is free
        variables["BATCHBUS_METRICS_PORT"] = str(settings.metrics_port + place)
    return variables


@dataclass(eq=False)
class _Worker:
    """One place for a process, and the process that is there at the moment."""

    place: int
    variables: Mapping[str, str]
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a first process has taken up work."""
    metrics: str = ""
    """The address of its metrics, if it has some."""
    _process: asyncio.subprocess.Process | None = None
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_up(self) -> None:
        """Until it is to end. Raises `Refusal` if the first process ends before it is ready: it has said why."""
        backoff = Backoff()
        while not self._ending.is_set():
            code = await self._run()
            if self._ending.is_set():
                return
            if not self.ready.is_set():
                raise Refusal(f"A worker process did not start: it ended with {code}.")
            say(f"Worker process {self.place + 1} ended with {code}, and is started anew.")
            waits = [asyncio.ensure_future(backoff.wait()), asyncio.ensure_future(self._ending.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await end(*waits)

    async def _run(self) -> int:
        """One process, from its start to its end. Returns its exit code."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "batchbus_service.cli", "worker", "--processes", "1", "--supervised"),
            env={**os.environ, **self.variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which tells the others
        )
        if self._ending.is_set():
            self.end()
        assert process.stdout is not None
        async for line in process.stdout:
            if (text := line.decode(errors="replace")).startswith(READY):
                self.metrics = text.partition(METRICS)[2].partition(";")[0]
                self.ready.set()
        return await process.wait()

    def end(self) -> None:
        """Have it give its jobs back, and end: it does when its standard input ends, as when this process is killed."""
        self._ending.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

"""A worker process for tests: says that it is ready once it takes triggers, and stops in good order on SIGTERM.

It ends at once when the process does that has asked for it, so that none is left behind by a test run that was killed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from batchbus_service.app.bootstrap import Timeouts, open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.telemetry.logs import configure
from tests.forking import become
from tests.mutants.plugin import break_if_asked

__all__ = ["run"]


def run(environment: Mapping[str, str], log: Path, timeouts: Timeouts, ready: Connection) -> None:
    """What the process does. `ready` gets an object when it takes triggers, `log` is for all that it prints."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    become(environment, log, log)
    break_if_asked()  # a mutant that is being tried breaks this process, too
    asyncio.run(_work(timeouts, ready))


async def _work(timeouts: Timeouts, ready: Connection) -> None:
    settings = Settings.load()
    configure(format=settings.log_format or "json", level=settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_service(settings, timeouts=timeouts):
        ready.send("ready")
        await stop.wait()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)

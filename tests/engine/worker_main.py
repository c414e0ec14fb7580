"""A worker process for tests: says `ready` once it takes triggers, and stops in good order on SIGTERM.

With the argument `--tied` it ends at once when its standard input does, so that none is left behind by a test run
that was killed. `BATCHBUS_TEST_PATIENCE` holds the fields of a `Timeouts` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading

from batchbus_service.app.bootstrap import Timeouts, open_service
from batchbus_service.domain.settings import Settings
from batchbus_service.telemetry.logs import configure
from tests.mutants.plugin import break_if_asked


async def main() -> None:
    settings = Settings.load()
    configure(format=settings.log_format or "json", level=settings.log_level)
    timeouts = Timeouts(**json.loads(os.environ.get("BATCHBUS_TEST_PATIENCE", "{}")))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_service(settings, timeouts=timeouts):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    break_if_asked()  # a mutant that is being tried breaks this process, too
    if "--tied" in sys.argv:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(main())

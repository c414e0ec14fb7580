"""A worker process for tests: says `ready` once it takes triggers, and stops in good order on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys

from batchbus_service.bootstrap import open_service
from batchbus_service.logs import configure
from batchbus_service.settings import Settings


async def main() -> None:
    settings = Settings.load()
    configure(format=settings.log_format or "json", level=settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_service(settings):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())

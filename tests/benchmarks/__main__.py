"""`python -m tests.benchmarks [NAME ...]`: every benchmark, or those named, in one run on the same servers."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.benchmarks import (
    backlog,
    bus,
    engine,
    handover,
    imports,
    jobs,
    latency,
    listing,
    queries,
    records,
    replay,
    streams,
    uploads,
)
from tests.benchmarks.ground import Ground, open_ground

BENCHMARKS: Final[Mapping[str, Callable[[Ground], Awaitable[None]]]] = {
    "bus": bus.run,
    "engine": engine.run,
    "jobs": jobs.run,
    "imports": imports.run,
    "records": records.run,
    "queries": queries.run,
    "listing": listing.run,
    "replay": replay.run,
    "backlog": backlog.run,
    "streams": streams.run,
    "uploads": uploads.run,
    "latency": latency.run,
    "handover": handover.run,
}


async def main(names: list[str]) -> None:
    async with open_ground() as ground:
        for name in names:
            await BENCHMARKS[name](ground)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all by default")
    chosen = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(chosen) - BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    asyncio.run(main(chosen))

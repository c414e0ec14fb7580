"""`python -m tests.chaos --minutes 30`: one round after the other, each with a fault, and a table at the end.

What was played is kept in a file, a line for each round, and the next run goes on behind it. `--steady 50000` breaks
nothing, and shows whether anything grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.rounds import play
from tests.chaos.servers import Servers
from tests.chaos.steady import steady
from tests.database import embedded_process

_KINDS = ("lost", "doubled", "stuck", "disordered", "said_wrong")


async def soak(minutes: float, faults: list[Fault], file: Path) -> list[dict[str, Any]]:
    """Returns all rounds that the file has at the end."""
    played = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    seeds = {fault.name: sum(each["fault"] == fault.name for each in played) for fault in faults}
    until = time.monotonic() + 60 * minutes
    async with Servers.started() as servers:
        while time.monotonic() < until:
            fault = min(faults, key=lambda fault: seeds[fault.name])
            played.append(await _round(fault, seeds[fault.name], servers))
            seeds[fault.name] += 1
            with file.open("a") as lines:
                lines.write(json.dumps(played[-1]) + "\n")
    return played


async def _round(fault: Fault, seed: int, servers: Servers) -> dict[str, Any]:
    began = time.monotonic()
    try:
        async with servers.installation(fault) as (installation, broker):
            judgment = asdict(await play(fault, seed, installation, broker, embedded_process()))
    except AssertionError as error:  # an event that is not as the catalogue says, or out of its sequence
        judgment = {kind: [] for kind in _KINDS} | {"disordered": [str(error)]}
    except TimeoutError as error:  # something did not start, or did not end
        judgment = {kind: [] for kind in _KINDS} | {"stuck": [f"the round was not played to its end: {error!r}"]}
    found = {"fault": fault.name, "seed": seed, "seconds": round(time.monotonic() - began, 1), **judgment}
    words = [f"{kind}: {words}" for kind in _KINDS for words in judgment[kind]]
    print(f"{fault.name}, seed {seed}: {'; '.join(words) or 'fine'} ({found['seconds']} s)", flush=True)
    return found


def _table(played: list[dict[str, Any]]) -> Table:
    table = Table("fault", "rounds", *_KINDS)
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in played:
        by_fault[each["fault"]].append(each)
    for name, rounds in by_fault.items():
        table.add_row(
            name, str(len(rounds)), *(str(sum(len(each.get(kind, ())) for each in rounds)) for kind in _KINDS)
        )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--file", type=Path, default=Path("soak.jsonl"), help="where the rounds are kept")
    parser.add_argument("--steady", type=int, metavar="JOBS", help="no faults: so many jobs, and what the workers take")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="all by default")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if not asked.faults or fault.name in asked.faults]
    if len(faults) < len(asked.faults):
        parser.error(f"the faults are: {', '.join(fault.name for fault in FAULTS)}")
    if asked.steady:
        return 0 if asyncio.run(steady(asked.steady)) else 1
    logging.disable(logging.CRITICAL)  # what our own connections complain of is what was done to them
    played = asyncio.run(soak(asked.minutes, faults, asked.file))
    Console().print(_table(played))
    return 1 if any(each.get(kind) for each in played for kind in _KINDS) else 0


if __name__ == "__main__":
    sys.exit(main())

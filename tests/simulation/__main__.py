"""`python -m tests.simulation small:0-2000 burst:0-10`: many runs, on all cores; the first that fail are told as stories.

`small:17~0-200` are 200 variations of one run.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.simulation.draws import planned
from tests.simulation.minimising import failure, minimised, story

_TOLD = 3
"""So many failures are told; of the others, their names."""


def _names(argument: str) -> Iterator[str]:
    start = max(argument.rfind(":"), argument.rfind("~")) + 1
    first, _, last = argument[start:].partition("-")
    yield from (f"{argument[:start]}{number}" for number in range(int(first), int(last) if last else int(first) + 1))


def _failed(name: str) -> str | None:
    return str(violation) if (violation := failure(planned(name))) else None


def main(arguments: list[str]) -> int:
    names = [name for argument in arguments for name in _names(argument)]
    started, failed = time.perf_counter(), list[str]()
    with multiprocessing.Pool(os.cpu_count(), maxtasksperchild=200) as pool:
        for done, (name, words) in enumerate(zip(names, pool.imap(_failed, names, chunksize=4), strict=True), 1):
            if words:
                failed.append(name)
                print(f"{name}: {words[:300]}", flush=True)
            if done % 1000 == 0:
                print(f"{done:,} of {len(names):,} in {time.perf_counter() - started:,.0f} s", flush=True)
    for name in failed[:_TOLD]:
        plan = planned(name)
        if violation := failure(plan):
            print("\n" + story(*minimised(plan, violation)))
    print(f"{len(names):,} runs in {time.perf_counter() - started:,.0f} s: {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["small:0-2000"]))

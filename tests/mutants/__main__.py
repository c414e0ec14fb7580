"""Tries every mutation and prints who noticed it; ends with 1 if one of them was not noticed.

python -m tests.mutants [NAME …]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.mutants.mutations import MUTATIONS, Mutation

_FELL: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)
_NOTHING_RAN: Final = 5


def main(names: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    if unknown := set(names) - {mutation.name for mutation in chosen}:
        print(f"There is no mutant {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    suites = sorted({suite for mutation in chosen for suite in mutation.noticed_by})
    broken = [suite for suite in suites if _tried(suite, None) is not None]
    if broken:
        print(f"These fail without any mutant: {', '.join(broken)}", file=sys.stderr)
        return 2
    table = Table("mutant", "what it breaks", "noticed by", "s")
    survived = 0
    for mutation in chosen:
        began = time.monotonic()
        noticed = next((fell for suite in mutation.noticed_by if (fell := _tried(suite, mutation))), None)
        survived += noticed is None
        seconds = f"{time.monotonic() - began:.0f}"
        table.add_row(mutation.name, mutation.breaks, noticed or "[bold red]nobody", seconds)
        print(f"{mutation.name}: {noticed or 'NOBODY'} ({seconds} s)", file=sys.stderr, flush=True)
    Console(width=160).print(table)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants were noticed")
    return 1 if survived else 0


def _tried(suite: str, mutation: Mutation | None) -> str | None:
    """The first test of the suite that fails; None if all pass. Raises `RuntimeError` if there is none."""
    path, _, words = suite.partition(" ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.mutants.plugin", "-p", "no:cacheprovider", path]
    if words:
        command += ["-k", words]
    environment = {**os.environ, "BATCHBUS_MUTANT": mutation.name if mutation else ""}
    # A mutant may wait for ever for what it broke: the tests' own patience ends that.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == _NOTHING_RAN:
        raise RuntimeError(f"{suite} has no test")
    if done.returncode == 0:
        return None
    fell = _FELL.search(done.stdout)
    return fell.group(1).rpartition("/")[2] if fell else done.stdout.strip().splitlines()[-1][:80]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

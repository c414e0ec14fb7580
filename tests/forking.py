"""Processes of tests as forks of one that has imported the product and done nothing else.

To import the product takes longer than most of what a test has a process do.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["FORKING", "become"]

FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["batchbus_service.cli.app", "tests.engine.worker_main"])


def become(environment: Mapping[str, str], out: Path, err: Path) -> None:
    """To be called in a fork: it has this environment from now on, and appends what it prints to these files."""
    os.environ.clear()
    os.environ.update(environment)
    for path, standard in ((out, 1), (err, 2)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), standard)

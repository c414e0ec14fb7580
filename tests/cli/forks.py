"""Client commands in processes of their own, which are forks: a start takes milliseconds."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchbus_service.cli import main
from tests.forking import FORKING, become

__all__ = ["run_forked"]


def run_forked(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run `batchbus` with these arguments to its end. Returns its exit code, its output, and its errors."""
    with tempfile.TemporaryDirectory() as printed:
        out, err = (Path(printed, name) for name in ("out", "err"))
        process = FORKING.Process(target=_run, args=(arguments, folder, environment, out, err))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode, out.read_text(), err.read_text()


def _run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path) -> None:
    """What the process does."""
    become(environment, out, err)
    os.chdir(folder)
    sys.argv = ["batchbus", *arguments]
    main()

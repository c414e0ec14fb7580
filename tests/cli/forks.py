"""Processes for client commands, as forks of one that has imported all that they need: a start takes milliseconds.

`Forks.run` asks, and `serve` answers in a process of its own. Each command has a process with an environment and a folder of its
own, as one that a shell starts.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final, NamedTuple

__all__ = ["Ended", "Forks", "serve"]

_ROOT: Final = Path(__file__).parents[2]


class Ended(NamedTuple):
    """What a process left behind."""

    code: int
    out: str
    err: str


class Forks:
    """Use `Forks.ours`: one for this process, which ends with it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self._end)

    @staticmethod
    @cache
    def ours() -> Forks:
        return Forks()

    def run(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
        """Run `batchbus` with these arguments to its end. One at a time, whichever thread asks."""
        asked = json.dumps([list(arguments), str(folder), dict(environment)])
        assert self._server.stdin and self._server.stdout
        with self._turn:
            self._server.stdin.write(asked.encode() + b"\n")
            self._server.stdin.flush()
            answer = self._server.stdout.readline()
        assert answer, "the process that forks has ended"
        return Ended(*json.loads(answer))

    def _end(self) -> None:
        self._server.communicate()


def serve() -> None:
    """Answer what `Forks.run` asks, until standard input ends."""
    importlib.import_module("batchbus_service.cli.app")  # what every command needs: the forks have it
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(_forked(*json.loads(line))) + "\n")
        answers.flush()


def _forked(arguments: list[str], folder: str, environment: dict[str, str]) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _run(arguments, folder, environment, out, err)
        _, status = os.waitpid(pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), *(_text(file) for file in (out, err)))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _run(arguments: list[str], folder: str, environment: dict[str, str], out: IO[bytes], err: IO[bytes]) -> None:
    """In the child. It never returns."""
    from batchbus_service.cli import main

    code = 1
    try:
        for file, standard in ((out, 1), (err, 2)):
            os.dup2(file.fileno(), standard)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["batchbus", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

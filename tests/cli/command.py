"""The `batchbus` command as tests call it, in a folder and with an environment of its own."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from batchbus_service.cli import main
from tests.cli.forks import run_forked
from tests.environment import without_settings
from tests.patience import PATIENCE

__all__ = ["Command", "Result"]

BATCH_TYPES = Path(__file__).parent.parent / "batch_types"
COMMAND = Path(sys.executable).with_name("batchbus")
_SERVICE = ("up", "serve", "worker")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Command:
    """`batchbus` in a folder, with an environment that names no other service."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def with_token(self, token: str) -> dict[str, str]:
        """An environment with another token for the service that `up` has started in this folder."""
        lines = (self.folder / ".batchbus" / "client.env").read_text().splitlines()
        url = next(line for line in lines if line.startswith("BATCHBUS_URL="))
        return {"BATCHBUS_URL": url.partition("=")[2], "BATCHBUS_TOKEN": token}

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """A client command runs in this process, which spares it the start of a Python; the service's own, in theirs."""
        if arguments[0] in _SERVICE:
            process = self.start(*arguments, environment=environment)
            printed = process.communicate(timeout=PATIENCE)
            return Result(process.returncode, *printed)
        out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with (
            mock.patch.dict(os.environ, self._environment(environment), clear=True),
            mock.patch.object(sys, "argv", ["batchbus", *arguments]),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
        return Result(code, _text(out), _text(err))

    def apart(self, *arguments: str) -> Result:
        """A client command in a process of its own: for a test whose own process writes to the standard output, too."""
        return Result(*run_forked(arguments, self.folder, self._environment({})))

    def fine(self, *arguments: str) -> Result:
        result = self(*arguments)
        assert result.code == 0, result
        return result

    def on_a_terminal(self, columns: int, *arguments: str) -> str:
        """What a command that ends well prints on a terminal so wide, escape sequences included."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = self.start(*arguments, terminal=theirs, environment={"TERM": "xterm", "COLUMNS": ""})
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how a pseudo-terminal says that its other side is closed
            pass
        os.close(ours)
        assert process.wait() == 0
        return shown.decode()

    def start(
        self,
        *arguments: str,
        terminal: int = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """`terminal`: a file descriptor to use as the process's terminal. `through`: a program that runs it."""
        return subprocess.Popen(
            [*through, str(COMMAND), *arguments],
            cwd=self.folder,
            env=self._environment(environment or {}),
            stdout=terminal,
            stderr=terminal,
            text=True,
            start_new_session=True,
        )

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**without_settings(), "BATCHBUS_STRATEGIES_DIR": str(BATCH_TYPES), **self.environment, **more}


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()

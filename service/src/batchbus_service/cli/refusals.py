"""How a command can end: its exit codes, and the errors that end it, each with a message, a way out and its code."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import ClassVar

__all__ = ["ExitCode", "JobCanceled", "JobFailed", "NotFound", "Refusal", "Unreachable", "code_of_all"]


class ExitCode(IntEnum):
    """What a command says to the shell. docs/commands.md has the same table for people."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    FAILED = 3
    CANCELED = 4
    UNREACHABLE = 5
    NOT_FOUND = 6
    INTERRUPTED = 130


class Refusal(Exception):
    """The command cannot do what was asked. `hint` says what to do about it."""

    code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class JobFailed(Refusal):
    """The job that was followed has failed."""

    code = ExitCode.FAILED


class JobCanceled(Refusal):
    """The job that was followed was canceled."""

    code = ExitCode.CANCELED


class Unreachable(Refusal):
    """No service answers, or none is known."""

    code = ExitCode.UNREACHABLE


class NotFound(Refusal):
    """There is no such thing."""

    code = ExitCode.NOT_FOUND


def code_of_all(codes: Collection[ExitCode]) -> ExitCode:
    """The code for several things that were asked for at once: that of those that went wrong, if they have one in common."""
    bad = {code for code in codes if code is not ExitCode.DONE}
    if not bad:
        return ExitCode.DONE
    return bad.pop() if len(bad) == 1 else ExitCode.REFUSED

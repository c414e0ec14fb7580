"""The same command for several jobs: what happens to one stops none of the others, and is said of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

from batchbus_service.cli.output import complain, print_json
from batchbus_service.cli.refusals import ExitCode, Refusal, Unreachable, code_of_all

__all__ = ["Several"]


class Several:
    """The jobs that one command was given, and how it came out for those that went wrong."""

    def __init__(self, ids: Iterable[str], *, as_json: bool) -> None:
        self.ids = list(dict.fromkeys(ids))
        self.alone = len(self.ids) == 1
        """Whether there is one alone: then its refusal is that of the command."""
        self._as_json = as_json
        self._codes: list[ExitCode] = []

    def each(self, act: Callable[[str], None], ids: Iterable[str] | None = None) -> None:
        """Call `act` once for each id, or each of `ids`; it says itself what it did.

        A refusal of one is said, with its id, on standard error; with `as_json`, also as a line on standard output. If the
        service is away, the rest is not tried, and that is said. Raises `Refusal` if there is one job alone.
        """
        waiting = list(self.ids if ids is None else ids)
        while waiting:
            one = waiting.pop(0)
            try:
                act(one)
            except Refusal as refusal:
                if self.alone:
                    raise
                self._refused(one, refusal)
                if isinstance(refusal, Unreachable):
                    for other in waiting:
                        self._refused(other, Unreachable("it was not tried"))
                    return

    def end(self) -> None:
        """Raises `Exit` if anything went wrong: with the code that all of it has in common, if there is one."""
        if code := code_of_all(self._codes):
            raise typer.Exit(code)

    def _refused(self, one: str, refusal: Refusal) -> None:
        self._codes.append(refusal.code)
        message = str(refusal)
        complain(Refusal(message if one in message else f"{one}: {message}", refusal.hint))
        if self._as_json:
            print_json({"id": one, "error": message, "exit_code": int(refusal.code)}, one_line=True)

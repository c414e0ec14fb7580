"""Where the command prints: text for people, JSON for programs, and refusals with the way out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from batchbus_service.cli.refusals import Refusal
from batchbus_service.domain.shown import shown

__all__ = [
    "complain",
    "error_out",
    "omissions_text",
    "out",
    "print_json",
    "say",
    "status_text",
]

_PIPE_WIDTH: Final = 1000
"""Columns where the output is no terminal: nothing is cut off for a program."""
_COLORS: Final = {
    "created": "cyan",
    "pre_processed": "yellow",
    "confirmed": "cyan",
    "processing": "blue",
    "completed": "green",
    "failed": "red",
    "canceled": "magenta",
}


class _SafeConsole(Console):
    """What a console is told to print may come from strangers: no character of it commands the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = Segment(shown(segment.text, lines=True), segment.style)
            yield segment


def out() -> Console:
    """Standard output, as it is right now."""
    return _SafeConsole(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, soft_wrap=True)


def error_out() -> Console:
    """Standard error, as it is right now."""
    return _SafeConsole(stderr=True, highlight=False, soft_wrap=True)


def complain(refusal: Refusal) -> None:
    console = error_out()
    console.print(f"[bold red]Error:[/] {escape(str(refusal))}")
    if refusal.hint:
        console.print(escape(refusal.hint))


def say(text: str) -> None:
    """On standard error, if somebody reads that: if not, it is no reason to stay, nor to end."""
    with suppress(OSError):
        sys.stderr.write(shown(f"{text}\n", lines=True))
        sys.stderr.flush()


def print_json(document: Mapping[str, object], *, one_line: bool = False) -> None:
    """One document on standard output; `one_line` where others follow."""
    text = json.dumps(document, ensure_ascii=False, indent=None if one_line else 2)
    sys.stdout.write(shown(text, lines=True) + "\n")
    sys.stdout.flush()


def status_text(status: str) -> str:
    """A status in its colour, as markup."""
    return f"[{_COLORS.get(status, 'default')}]{status}[/]"


def omissions_text(result: Mapping[str, object] | None) -> str:
    """What is said behind the status of a job in which records were left out, as markup."""
    number = (result or {}).get("left_out")
    return f" [red]({number:,} left out)[/]" if isinstance(number, int) and number else ""

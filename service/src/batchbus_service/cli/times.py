"""Times as people read and write them: on their own clock, or in UTC with `--utc`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

__all__ = ["Utc", "bounds", "local_time", "moment", "on_the_readers_clock"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"([0-9]{1,9}[smhdw])+")
_PART: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_IN_A_SENTENCE: Final = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) UTC\b")
_FULL: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(slots=True)
class _Clock:
    """The clock of this command: the reader's own, or UTC."""

    utc: bool = False


_clock: Final = _Clock()


def _choose(utc: bool) -> bool:
    _clock.utc = utc
    return utc


Utc = Annotated[
    bool, typer.Option("--utc", is_eager=True, callback=_choose, help="Times in UTC, and not on your own clock.")
]
"""The option of every command that shows times. Its callback sets the clock, so that no command has to look at it."""


def moment(text: str) -> datetime:
    """A time that somebody types: how long ago, as in `2h` or `1d12h`, or ISO 8601. Returns an aware one.

    One without a zone is on the clock on which times are shown. Raises `BadParameter`.
    """
    try:
        if _AGO.fullmatch(text):
            parts = {_UNITS[unit]: int(number) for number, unit in _PART.findall(text)}
            return datetime.now(UTC) - timedelta(**parts)
        time = datetime.fromisoformat(text)
        if time.tzinfo is None and _clock.utc:
            return time.replace(tzinfo=UTC)
        return time.astimezone()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text!r} is no time: give how long ago, such as 30m, 2h or 7d, or a date such as 2026-01-31, with a time "
            "and a zone if you like: 2026-01-31T14:00, 2026-01-31T14:00Z"
        ) from None


def bounds(since: datetime | None, until: datetime | None = None) -> dict[str, str]:
    """The times that options give, as the API takes them. Raises `BadParameter` if nothing is between them."""
    if since is not None and until is not None and since >= until:
        raise typer.BadParameter("--since is not before --until: nothing is between them")
    return {name: time.isoformat() for name, time in (("since", since), ("until", until)) if time is not None}


def local_time(timestamp: str | None, *, form: str = _FULL) -> str:
    """A time from the wire, on the reader's clock; in UTC it has a Z behind it."""
    return _shown(datetime.fromisoformat(timestamp), form) if timestamp else ""


def on_the_readers_clock(sentence: str) -> str:
    """A sentence of the service, which speaks of times in UTC, with these times as everything beside it has them."""
    return _IN_A_SENTENCE.sub(
        lambda found: _shown(datetime.strptime(found[1], _FULL).replace(tzinfo=UTC), _FULL), sentence
    )


def _shown(time: datetime, form: str) -> str:
    if _clock.utc:
        return f"{time.astimezone(UTC).strftime(form)}Z"
    return time.astimezone().strftime(form)

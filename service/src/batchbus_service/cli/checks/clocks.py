"""Whether the clock of this machine is right, as far as the servers can tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from batchbus_service.cli.checks.check import Check

__all__ = ["Clocks"]

_MAY_DIFFER: Final = timedelta(seconds=5)
"""By which clocks may differ without harm: tokens and links end by the clock of the process that looks at them."""


class Clocks:
    """This machine's clock, and by how much those of others differ from it.

    `now` is the time here: aware, UTC. The tests give another one.
    """

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self._ahead: dict[str, timedelta] = {}

    def compare(self, whose: str, time: datetime, asked: datetime, *, resolution: timedelta = timedelta(0)) -> None:
        """Note a clock that said `time`, cut to `resolution`, at some moment after `asked` and before now."""
        answered = self.now()
        if time > answered:
            self._ahead[whose] = time - answered
        elif time + resolution < asked:
            self._ahead[whose] = time + resolution - asked
        else:
            self._ahead[whose] = timedelta(0)

    def check(self) -> Check:
        """What is known now."""
        wrong = {whose: ahead for whose, ahead in self._ahead.items() if abs(ahead) > _MAY_DIFFER}
        if wrong:
            said = "; ".join(f"{_text(ahead)} that of {whose}" for whose, ahead in wrong.items())
            return Check(
                "clock",
                False,
                f"The clock of this machine is {said}",
                "Have the clocks of all machines set by NTP, such as with `timedatectl set-ntp true`. Leases are counted by the "
                "database's clock and hold all the same; tokens, links and the times in logs go by each machine's own.",
            )
        if not self._ahead:
            return Check("clock", True, "there is no other clock here to compare it with")
        return Check("clock", True, f"that of this machine agrees with that of {' and that of '.join(self._ahead)}")


def _text(ahead: timedelta) -> str:
    """How this machine's clock stands to one that is so much ahead of it."""
    seconds = abs(ahead).total_seconds()
    span = (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )
    return f"{span} {'behind' if ahead > timedelta(0) else 'ahead of'}"

"""What one look found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LONGEST_LOOK", "TIMEOUT", "Check"]

TIMEOUT: Final = 5.0
"""Seconds for each thing that is asked over the network."""
LONGEST_LOOK: Final = 2 * TIMEOUT
"""Seconds for what takes more than one question."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `hint` is there when something is wrong."""

    what: str
    fine: bool
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, str | bool | None]:
        return {"what": self.what, "fine": self.fine, "words": self.message, "way_out": self.hint}

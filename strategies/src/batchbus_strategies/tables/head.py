"""The head of a file: its first records, found in one scan that looks at each character once and stops at a limit."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

__all__ = ["Head"]

_DELIMITER: Final = re.compile(r'["\r\n]')


class Head:
    """Takes records off the front of a text that is still arriving.

    `more` gets the next piece; an empty one is the end. `limit`: about how many characters of one record are waited for.
    """

    def __init__(self, text: str, more: Callable[[], Awaitable[str]], limit: int) -> None:
        self._text = text
        self._at = 0
        self._more = more
        self._limit = limit

    @property
    def rest(self) -> str:
        """What has arrived and was not taken."""
        return self._text[self._at :]

    async def take(self) -> tuple[str, bool]:
        """The next record, and whether it ends with the line end that is its own, the first one outside of quotes.

        It does not where the file ends, or the limit is reached, before there is one; then all that has arrived is taken.
        """
        position, quoted = self._at, False
        while True:
            for found in _DELIMITER.finditer(self._text, position):
                end = found.end()
                if found[0] == '"':
                    quoted = not quoted
                elif not quoted and (found[0] == "\n" or end < len(self._text)):
                    return self._cut(end + self._text.startswith("\n", end) * (found[0] == "\r")), True
            scanned = len(self._text) - self._at
            # At the end of a piece, a carriage return may be half a line end: it is looked at again.
            scanned -= not quoted and self._text.endswith("\r", self._at)
            if scanned > self._limit or not (piece := await self._more()):
                return self._cut(len(self._text)), False
            self._text = self.rest + piece
            self._at, position = 0, scanned

    def _cut(self, end: int) -> str:
        record, self._at = self._text[self._at : end], end
        return record

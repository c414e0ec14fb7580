"""The formula guard: an apostrophe in front of cells that a spreadsheet would run as a formula.

See https://owasp.org/www-community/attacks/CSV_Injection. The guard can be taken off exactly, because a text that
already looks guarded gets one more apostrophe; a plain `'tis` is left alone both ways.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["guarded", "may_be_guarded", "unguarded"]

_RISKY: Final = re.compile(r"'*[=+\-@\t\r\0]")
_FIRST: Final = frozenset("'=+-@\t\r\0")
"""What such a text begins with: a look at that spares most texts the pattern."""
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r\0]")
_SOMEWHERE: Final = re.compile(r"'[=+\-@\t\r\0]")
"""The end of a guard. To search for all of it would try each of many apostrophes as the first one."""


def guarded(text: str) -> str:
    """The text as it is written into a cell."""
    return "'" + text if text[:1] in _FIRST and _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """The text that a cell was written from."""
    return cell[1:] if _GUARDED.match(cell) else cell


def may_be_guarded(text: str) -> bool:
    """Whether some cell in a piece of a file can have a guard: a quick look that spares looking at each cell."""
    return _SOMEWHERE.search(text) is not None

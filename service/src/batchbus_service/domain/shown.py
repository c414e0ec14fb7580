"""Text from strangers, as it is shown on a terminal and in a log: nothing in it commands the terminal or deceives the eye.

Cells, names of files, reasons and headers may hold escape sequences (ECMA-48) that set a window's title, hide lines or
write to the clipboard, and characters that turn the direction of what follows (Unicode TR36, "Trojan Source").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["shown"]

_CONTROLS: Final = (
    *range(0x20),  # C0, with ESC
    *range(0x7F, 0xA0),  # DEL, and C1, with CSI and OSC as single characters
    0x061C,  # the marks and isolates that set the direction of text
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),  # line and paragraph separator, embeddings and overrides
    *range(0x2066, 0x206A),
    *range(0x206A, 0x2070),  # deprecated ones, such as the swapping of symmetric signs
    0xFEFF,  # a mark of the byte order has no width
    *range(0xFFF9, 0xFFFC),  # annotations
    *range(0xD800, 0xE000),  # halves of pairs, which no output can encode
    *range(0xE0000, 0xE0080),  # tags, which nobody sees
)
_ESCAPED: Final[Mapping[int, str]] = {
    one: f"\\u{one:04x}" if one < 0x10000 else "".join(f"\\u{half:04x}" for half in (0xDB40, 0xDC00 + (one & 0x3FF)))
    for one in _CONTROLS
}
_ESCAPED_BUT_LINES: Final = {one: text for one, text in _ESCAPED.items() if one != 0x0A}


def shown(text: str, *, lines: bool = False) -> str:
    """The text with `\\u001b` in the place of each such character; with `lines`, line feeds stay.

    In a JSON document it says what it said before, since these are escapes of JSON's.
    """
    return text.translate(_ESCAPED_BUT_LINES if lines else _ESCAPED)

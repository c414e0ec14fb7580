"""Naming the encoding of text that is not UTF-8, by looking at it. A guess that is not a good one is no guess."""

from __future__ import annotations

from typing import Final

__all__ = ["guess_encoding", "utf_16_without_mark"]

_LOOKED_AT: Final = 4096
"""Bytes of the beginning in which zeros tell UTF-16."""


def utf_16_without_mark(start: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` if a file that starts so is one of them; None if it is not, or has a mark.

    Text of most scripts has control characters, zeros above all, at every second place and nowhere else.
    """
    start = start[: min(len(start), _LOOKED_AT) & ~1]
    for encoding, high in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        low = start[::2] if encoding == "utf-16-le" else start[1::2]
        if 0 not in high or 0 in low:
            continue
        controls = sum(byte < 9 for byte in high)
        if controls >= 0.6 * len(high) or (controls >= 0.05 * len(high) and not _is_utf_8(start)):
            text = start.decode(encoding, errors="replace")
            if any(mark in text for mark in "\n\r,;\t|"):
                return encoding
    return None


def _is_utf_8(start: bytes) -> bool:
    try:
        start.rsplit(b"\n", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def guess_encoding(sample: bytes) -> str | None:
    """Windows-1252, as ever; None if the sample is not that."""
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"

"""From bytes to text without knowing the encoding beforehand, in one pass.

A byte order mark decides. Without one the file is taken for UTF-8, which plain ASCII is too; at the first byte that is
not UTF-8 it is Windows-1252 (of which Latin-1 text is a part), provided that everything before it was ASCII. So the
answer is that of a look at the whole file, and nothing has to be read twice.
"""

from __future__ import annotations

import codecs
from typing import Final

from batchbus_strategies.tables.errors import NotATable, TableError

__all__ = ["Decoder"]

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FALLBACK: Final = "cp1252"


class Decoder:
    """Decodes one file, chunk by chunk. `encoding` is what it was told or has found out so far."""

    def __init__(self, encoding: str | None = None) -> None:
        """Raises `NotATable` for an encoding that there is not."""
        self.encoding = encoding or "utf-8"
        self._undecided = encoding is None
        self._at_start = True
        self._lines = 0
        try:
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
            self._decoder.decode(b"")
        except (LookupError, TypeError, AttributeError):
            raise NotATable(f"There is no text encoding {encoding!r}") from None

    def decode(self, chunk: bytes, *, final: bool = False) -> str:
        """Raises `TableError` at a byte that the encoding does not have."""
        if self._at_start and chunk:
            self._look_for_a_mark(chunk)
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            text = self._fall_back(error, final)
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if self._undecided and not text.isascii():
            self._undecided = False
        self._lines += text.count("\n")
        return text

    def _look_for_a_mark(self, chunk: bytes) -> None:
        if self._undecided:
            for mark, encoding in _MARKS:
                if chunk.startswith(mark):
                    self.encoding = encoding
                    self._undecided = False
                    self._decoder = codecs.getincrementaldecoder(encoding)()

    def _fall_back(self, error: UnicodeDecodeError, final: bool) -> str:
        """What could not be decoded, in the fallback encoding if all before it was ASCII."""
        data, start = error.object, error.start
        if self._undecided and data[:start].isascii():
            self._undecided = False
            self.encoding = _FALLBACK
            self._decoder = codecs.getincrementaldecoder(_FALLBACK)()
            try:
                return self._decoder.decode(data, final)
            except UnicodeDecodeError as second:
                error = second
        before = error.object[: error.start].decode(self.encoding, errors="ignore")
        raise TableError(
            f"the byte 0x{error.object[error.start]:02X} is not text in the encoding {self.encoding}; "
            "if the file is in another one, say so in the job's context (encoding)",
            line=self._lines + before.count("\n") + 1,
        ) from None

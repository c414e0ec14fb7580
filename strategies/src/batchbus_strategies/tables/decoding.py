"""From bytes to text without knowing the encoding beforehand, in one pass.

A byte order mark decides. Without one the file is taken for UTF-8, which plain ASCII is too; at the first byte that is
not UTF-8 it is Windows-1252 (of which Latin-1 text is a part), provided that everything before it was ASCII. So the
answer is that of a look at the whole file, and nothing has to be read twice.
"""

from __future__ import annotations

import codecs
from typing import Final

from batchbus_strategies.tables.errors import NotATable, TableError, shortened

__all__ = ["TEXT_ENCODINGS", "Decoder", "text_encoding"]

TEXT_ENCODINGS: Final = frozenset(
    """
    ascii utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be
    iso8859-1 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-9 iso8859-10 iso8859-11
    iso8859-13 iso8859-14 iso8859-15 iso8859-16
    cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 cp932 cp949 cp950
    cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869
    cp1006 cp1125 mac-roman mac-cyrillic mac-greek mac-latin2 mac-turkish mac-iceland mac-croatian mac-romanian
    koi8-r koi8-u koi8-t kz1048 ptcp154 tis-620 hp-roman8
    gb2312 gbk gb18030 hz big5 big5hkscs shift_jis shift_jis_2004 shift_jisx0213 euc_jp euc_jis_2004 euc_jisx0213
    iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr euc_kr johab
    """.split()  # noqa: SIM905 - a list of a hundred literals says no more
)
"""What a file may be in, by Python's own names. Python's other codecs inflate (`bz2`), or are none of text (`hex`)."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FALLBACK: Final = "cp1252"


def text_encoding(name: str) -> str:
    """Python's own name of a text encoding, for any of the names that it goes by. Raises `NotATable` if it is none."""
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):  # the latter for a NUL or a surrogate in the name
        known = ""
    if known not in TEXT_ENCODINGS:
        raise NotATable(
            f"There is no text encoding {shortened(name)!r} that a file may be in; "
            "there are utf-8, utf-16, windows-1252, iso-8859-1, shift_jis, gb18030 and others"
        )
    return known


class Decoder:
    """Decodes one file, chunk by chunk. `encoding` is what it was told or has found out so far."""

    def __init__(self, encoding: str | None = None) -> None:
        """Raises `NotATable` for what is no text encoding."""
        self.encoding = "utf-8" if encoding is None else text_encoding(encoding)
        self._undecided = encoding is None
        self._at_start = True
        self._taken = 0
        """Bytes so far."""
        self._lines = 0
        """Line ends so far."""
        self._half_line_end = False
        self._decoder = codecs.getincrementaldecoder(self.encoding)()

    def decode(self, chunk: bytes, *, final: bool = False) -> str:
        """Raises `TableError` at a byte that the encoding does not have."""
        if self._at_start and chunk:
            self._look_for_a_mark(chunk)
        self._taken += len(chunk)
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            text = self._fall_back(error, final)
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if self._undecided and not text.isascii():
            self._undecided = False
        self._lines += self._line_ends(text)
        self._half_line_end = text.endswith("\r") if text else self._half_line_end
        return text

    def _line_ends(self, text: str) -> int:
        ends = text.count("\n") + text.count("\r") - text.count("\r\n")
        return ends - (self._half_line_end and text.startswith("\n"))

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
        # What the decoder had kept back from the piece before is a part of what it names.
        place = self._taken - len(error.object) + error.start + 1
        before = error.object[: error.start].decode(self.encoding, errors="ignore")
        raise TableError(
            f"the byte 0x{error.object[error.start]:02X}, the file's byte {place:,}, is not text in the encoding "
            f"{self.encoding}; if the file is in another one, say so in the job's context (encoding)",
            line=self._lines + self._line_ends(before) + 1,
        ) from None

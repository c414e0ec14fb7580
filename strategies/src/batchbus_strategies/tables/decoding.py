"""From bytes to text without knowing the encoding beforehand, in one pass.

A byte order mark decides; so do the zeros of UTF-16 without one. Otherwise the text is taken for UTF-8, which plain ASCII
is too. At the first byte that is not UTF-8, what follows is looked at, up to a limit: it names an encoding of one country
or another (`guessing`), or it is refused. A file with UTF-8 in it is never taken for anything else.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator
from typing import Final

from batchbus_strategies.tables.errors import NotATable, TableError, shortened
from batchbus_strategies.tables.guessing import guess_encoding, utf_16_without_mark

__all__ = ["START", "TEXT_ENCODINGS", "Decoder", "beginning", "beginning_as_text", "is_unicode", "text_encoding"]

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
START: Final = 4096
"""Bytes that tell whether a file is UTF-16 without a mark."""
_SAMPLE: Final = 256 * 1024
"""Bytes behind the first one that is not UTF-8 which are looked at."""
_UTF_8: Final = re.compile(
    rb"[\xC2-\xC5\xCE-\xD1][\x80-\xBF]|[\xE1-\xE9\xEF][\x80-\xBF]{2}|\xF0[\x90-\xBF][\x80-\xBF]{2}"
)
"""Characters as they are in UTF-8, of the scripts that most texts are in: what is left out occurs by chance in others."""
_ASCII: Final = bytes(range(128))
_CONTEXT: Final = 64
"""Characters before the first byte that is not UTF-8 which help to name the encoding."""


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


def beginning_as_text(start: bytes, encoding: str | None) -> str:
    """The beginning of a file, decoded well enough to tell what kind of file it is.

    Raises `NotATable` for an encoding that there is not.
    """
    known = (text_encoding(encoding) if encoding else None) or _encoding_at_start(start) or "utf-8"
    return start.decode(known, errors="replace").removeprefix("\ufeff")


def _encoding_at_start(start: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    return utf_16_without_mark(start)


async def beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes of a file, enough to recognise UTF-16 without a mark; fewer only if the file has no more."""
    start = b""
    while len(start) < START and (chunk := await anext(chunks, b"")):
        start += chunk
    return start


def is_unicode(text: str) -> bool:
    """Whether there is no half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Decoder:
    """Decodes one file, chunk by chunk. `encoding` is what it was given or has found out so far.

    The first chunk that is not empty should have some kilobytes, if the file has: UTF-16 without a mark is recognised in
    it. Text may be kept back until more of the file has come, so a chunk may give none.
    """

    def __init__(self, encoding: str | None = None) -> None:
        """Raises `NotATable` for what is no text encoding."""
        self.encoding = "utf-8" if encoding is None else text_encoding(encoding)
        self.has_mark = False
        """Whether the file begins with a byte order mark."""
        self._undecided = encoding is None
        self._at_start = True
        self._taken = 0
        """Bytes that were decoded so far."""
        self._lines = 0
        """Line ends so far."""
        self._half_line_end = False
        self._context = ""
        """The end of the text so far."""
        self._sample: bytes | None = None
        """What follows a byte that is not UTF-8, while too little of it has come to name the encoding."""
        self._mixture: _Mixture | None = None
        """It looks for UTF-8 in a file that was taken for something else."""
        self._decoder = codecs.getincrementaldecoder(self.encoding)()

    def decode(self, chunk: bytes, *, final: bool = False) -> str:
        """Raises `TableError` at a byte that the encoding does not have, and `NotATable` if no encoding can be named."""
        if self._sample is not None:
            self._sample += chunk
            if len(self._sample) < _SAMPLE and not final:
                return ""
            chunk, self._sample = self._sample, None
            self._name_encoding(chunk, final=final)
        elif self._at_start and chunk and self._undecided and (found := _encoding_at_start(chunk)):
            self._decide(found)
        self._taken += len(chunk)
        if self._mixture:
            self._mixture.add(chunk, self._lines, final=final)
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            data, start = error.object, error.start
            if not (self._undecided and data[:start].isascii()):
                raise self._error(error) from None
            self._sample = b""
            self._taken -= len(data) - start
            return self._counted(data[:start].decode("ascii")) + self.decode(data[start:], final=final)
        return self._counted(text)

    async def texts(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bool]]:
        """The text of a whole file, piece by piece, and with each whether it is the last. Raises as `decode` does."""
        start = await beginning(chunks)
        if len(start) >= START:
            yield self.decode(start), False
            async for chunk in chunks:
                if text := self.decode(chunk):
                    yield text, False
            start = b""
        yield self.decode(start, final=True), True

    def _counted(self, text: str) -> str:
        if text:
            if self._at_start:
                self._at_start = False
                self.has_mark = text[0] == "\ufeff"
                text = text.removeprefix("\ufeff")
            if self._undecided:
                self._undecided = text.isascii()
                self._context = text[-_CONTEXT:]
            self._lines += self._line_ends(text)
            self._half_line_end = text.endswith("\r") if text else self._half_line_end
        return text

    def _line_ends(self, text: str) -> int:
        ends = text.count("\n") + text.count("\r") - text.count("\r\n")
        return ends - (self._half_line_end and text.startswith("\n"))

    def _decide(self, encoding: str) -> None:
        self.encoding = encoding
        self._undecided = False
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def _name_encoding(self, sample: bytes, *, final: bool) -> None:
        """Decide on the encoding that a text has which is not UTF-8 from the sample's first byte on."""
        if _mostly_utf_8(_UTF_8.findall(sample), sample):
            reason = "invalid start byte"
            raise self._error(UnicodeDecodeError("utf-8", sample, 0, 1, reason), before_sample=True)
        if b"\0" in sample:
            raise NotATable("The file is no text: it contains binary data")
        named = guess_encoding(self._context.encode("ascii", errors="ignore") + sample, final=final)
        if named is None:
            raise NotATable(
                f"The file is text in an encoding that cannot be told from its content: line {self._lines + 1} has the "
                f"byte 0x{sample[0]:02X}, the file's byte {self._taken + 1:,}, which is not UTF-8. Name the encoding with "
                "the option encoding, such as windows-1252, windows-1250, windows-1251, gb18030 or shift_jis, or save the "
                "file as UTF-8"
            )
        self._decide(named)
        self._mixture = _Mixture()

    def _error(self, error: UnicodeDecodeError, *, before_sample: bool = False) -> TableError:
        # What the decoder had kept back from the piece before is a part of what it names.
        begins = self._taken if before_sample else self._taken - len(error.object)
        before = error.object[: error.start].decode(self.encoding, errors="ignore")
        return TableError(
            f"the byte 0x{error.object[error.start]:02X}, the file's byte {begins + error.start + 1:,}, is not text in "
            f"the encoding {self.encoding}; if the file is in another one, name it with the option encoding",
            line=self._lines + self._line_ends(before) + 1,
        )


class _Mixture:
    """Sees whether a file that was taken for something else has UTF-8 further down, as one glued from two has."""

    def __init__(self) -> None:
        self._utf_8 = 0
        """Bytes of it."""
        self._all = 0
        """Bytes that are not ASCII."""
        self._line = 0
        """The first line with UTF-8."""

    def add(self, chunk: bytes, lines: int, *, final: bool) -> None:
        """`lines` are those before the chunk. Raises `TableError` at the end of such a file."""
        if not chunk.isascii():
            if found := _UTF_8.findall(chunk):
                self._utf_8 += sum(map(len, found))
                self._line = self._line or lines + chunk[: chunk.index(found[0])].count(b"\n") + 1
            self._all += len(chunk.translate(None, _ASCII))
        if final and 2 * self._utf_8 > self._all:
            reason = "there is UTF-8 from this line on, while lines before it are in another encoding"
            raise TableError(f"{reason}; save the whole file as UTF-8", line=self._line)


def _mostly_utf_8(found: list[bytes], sample: bytes) -> bool:
    return bool(found) and 2 * sum(map(len, found)) > len(sample.translate(None, _ASCII))

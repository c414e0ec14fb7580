"""The bytes of a file, inflated if it is compressed, in as many passes as a reader takes.

A gzip is inflated while it streams. A ZIP has its directory at the end, so it is copied into a temporary file first.
"""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import PurePosixPath
from typing import IO, Final, Protocol

from batchbus_strategies.strategy import Files
from batchbus_strategies.tables.errors import NotATable, shortened
from batchbus_strategies.tables.limits import BOMB_FREE, BOMB_RATIO
from batchbus_strategies.tables.options import Compression

__all__ = ["GZIP", "ZIP", "Source", "file_name", "open_source", "spooled"]

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
_PIECE: Final = 256 * 1024
"""Bytes that are inflated, or read from a temporary file, at a time."""
_START: Final = 64 * 1024
"""Bytes of the content that are enough to tell its format."""
_IN_MEMORY: Final = 4 * 1024 * 1024
"""Bytes of a temporary file that are kept in memory."""
_ENCRYPTED: Final = 0x1
"""The flag of a ZIP's member that has a password."""


class Source(Protocol):
    """The content of a file, inflated."""

    compression: Compression | None

    def chunks(self) -> AsyncIterator[bytes]:
        """The content from its beginning; each call is another pass. Raises `NotATable` where it cannot be inflated."""

    @property
    def progress(self) -> float:
        """How much of the file the last pass has read, from 0 to 1."""


async def open_source(files: Files, key: str) -> tuple[Source, bytes]:
    """The content of the file, and the beginning of it.

    A ZIP with one file in it is that file, unless it is a workbook, which is a ZIP itself. Raises `FileMissing`, and
    `NotATable` for a ZIP that has no file, or several.
    """
    plain = _Plain(files, key, await files.size(key))
    start = await _beginning(plain)
    source: Source = plain
    if start.startswith(GZIP):
        source = _Gzip(plain)
    elif start.startswith((ZIP, _EMPTY_ZIP)):
        archive = await spooled(plain)
        member = await asyncio.to_thread(_only_member, archive)
        if member is None:
            return plain, start
        source = _ZipMember(archive, member)
    else:
        return plain, start
    return source, await _beginning(source)


async def spooled(source: Source) -> IO[bytes]:
    """The content as a temporary file, which goes away when it is closed or forgotten."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - whoever asked for it closes it
    async for chunk in source.chunks():
        await asyncio.to_thread(file.write, chunk)
    file.seek(0)
    return file


async def _beginning(source: Source) -> bytes:
    start = b""
    chunks = source.chunks()
    async for chunk in chunks:
        start += chunk
        if len(start) >= _START:
            break
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
    return start


class _Plain:
    compression: Compression | None = None

    def __init__(self, files: Files, key: str, size: int) -> None:
        self._files = files
        self._key = key
        self._size = size
        self._read = 0

    @property
    def progress(self) -> float:
        return min(self._read / self._size, 1.0) if self._size else 1.0

    async def chunks(self) -> AsyncIterator[bytes]:
        self._read = 0
        chunks = self._files.read(self._key)
        try:
            async for chunk in chunks:
                self._read += len(chunk)
                yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


class _Gzip:
    compression: Compression | None = "gzip"

    def __init__(self, plain: Source) -> None:
        self._plain = plain

    @property
    def progress(self) -> float:
        return self._plain.progress

    async def chunks(self) -> AsyncIterator[bytes]:
        member = zlib.decompressobj(wbits=31)
        taken = made = 0
        async for chunk in self._plain.chunks():
            taken += len(chunk)
            try:
                while True:
                    if member.eof:  # another gzip may follow, or zeros that fill up a block
                        chunk = chunk.lstrip(b"\0")
                        if not chunk:
                            break
                        member = zlib.decompressobj(wbits=31)  # one that has ended would keep all that it is given
                    piece = member.decompress(chunk, _PIECE)
                    made += len(piece)
                    _refuse_a_bomb(taken, made)
                    if piece:
                        yield piece
                    chunk = member.unused_data if member.eof else member.unconsumed_tail
                    if not chunk and (member.eof or len(piece) < _PIECE):
                        break
            except zlib.error as error:
                raise NotATable(f"The gzip file is damaged: {error}") from None
        if not member.eof:
            raise NotATable("The gzip file breaks off: its end is missing")


class _ZipMember:
    compression: Compression | None = "zip"

    def __init__(self, archive: IO[bytes], name: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._member = name
        self._made = 0

    @property
    def progress(self) -> float:
        return min(self._made / self._member.file_size, 1.0) if self._member.file_size else 1.0

    async def chunks(self) -> AsyncIterator[bytes]:
        self._made = 0
        packed = min(self._member.compress_size, await asyncio.to_thread(_size, self._archive))  # the directory may lie
        try:
            with zipfile.ZipFile(self._archive) as archive, archive.open(self._member) as member:
                while piece := await asyncio.to_thread(member.read, _PIECE):
                    self._made += len(piece)
                    _refuse_a_bomb(packed, self._made)
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise NotATable(f"The ZIP archive cannot be read: {error}") from None


def _size(file: IO[bytes]) -> int:
    """Bytes."""
    return file.seek(0, 2)


def _refuse_a_bomb(taken: int, made: int) -> None:
    if made > BOMB_FREE and made > BOMB_RATIO * taken:
        raise NotATable(
            f"The file is compressed more than {BOMB_RATIO}:1, which is the limit beyond "
            f"{BOMB_FREE // 1024**2} MiB; upload it uncompressed"
        )


def file_name(key: str) -> str:
    """The name of the file of that key, without its endings."""
    return PurePosixPath(key).name.partition(".")[0] or "table"


def _only_member(archive: IO[bytes]) -> zipfile.ZipInfo | None:
    """The one file of a ZIP; None if it is a workbook. Raises `NotATable`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise NotATable(f"The ZIP archive cannot be read: {error}") from None
    names = {member.filename for member in members}
    if "[Content_Types].xml" in names or {"mimetype", "content.xml"} <= names:
        return None
    found = [member for member in members if not _is_hidden(member)]
    if len(found) != 1:
        shown = ", ".join(shortened(member.filename) for member in found[:5])
        of_them = f": {shown}{', …' if len(found) > 5 else ''}" if found else ""
        raise NotATable(f"The ZIP archive has to have exactly one file in it, and has {len(found)}{of_them}")
    if found[0].flag_bits & _ENCRYPTED:
        raise NotATable("The ZIP archive has a password; make one without")
    if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # `zipfile` inflates the others without a limit: a few kilobytes of LZMA become gigabytes in one read.
        raise NotATable("The ZIP archive is compressed by something else than deflate; make an ordinary one, or a gzip")
    return found[0]


def _is_hidden(member: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, or what a Mac adds for itself."""
    parts = member.filename.split("/")
    return member.is_dir() or parts[0] == "__MACOSX" or parts[-1].startswith(".")

"""The file store: uploads, plans and exports, in a folder or in any object store.

A file appears under its key whole or not at all, and is not changed afterwards. A write that fails or is canceled leaves
nothing behind. A process that is killed while it writes does: in a folder a file beside the place, whose name ends in
`#` and a number, until it is swept away; in an object store parts of an upload, which a rule of the bucket should expire.

Nothing here belongs to an event loop: one `FileStore` serves the engine's and the strategies'.
"""

from __future__ import annotations

import asyncio
import errno
import re
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, from_url

from batchbus_service.telemetry.background import Background, Periodic
from batchbus_strategies.strategy import FileMissing, StrategyError

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ObjectStore
    from structlog.typing import FilteringBoundLogger

__all__ = [
    "FileFacts",
    "FileStore",
    "FileTooLarge",
    "InvalidKey",
    "StoreFull",
    "StoreWriter",
    "check_key",
    "clean_name",
    "is_full",
]

_READ_BYTES: Final = 64 * 1024
_WRITE_BYTES: Final = 256 * 1024
"""What is gathered before it goes to the store: each write there costs a trip to another thread."""
_PART_BYTES: Final = 8 * 1024 * 1024
"""The size of a part of a multipart upload: object stores take 5 MiB or more, and 10,000 of them."""
_FOLDER_PART_BYTES: Final = 1024 * 1024
"""What is written to a folder at once. Three of them are in memory for each file that is being written."""
_UNFINISHED: Final = re.compile(r"#\d+\Z")
_ABANDONED_SECONDS: Final = 24 * 3600
"""How long an unfinished file has not been written to when it is deleted."""
_CLEAN_EVERY: Final = 3600
_KEY_BYTES: Final = 900
_SEGMENT_BYTES: Final = 240
_CAUSES: Final = 10
_NO_ROOM: Final = re.compile(r"os error (28|122)\b")
"""The numbers of `ENOSPC` and `EDQUOT` of Linux, in the words of an object store."""
_SCHEMES: Final = ("file", "s3", "gs", "az", "memory")


class InvalidKey(FileMissing):
    """That cannot be the key of a file."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key[:100]!r} cannot be the key of a file: {reason}")
        self.key = key


class FileTooLarge(StrategyError):
    """The file would be larger than allowed; nothing was kept of it."""

    public = True

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The file is larger than the {max_bytes:,} bytes allowed; nothing was kept of it.")


class StoreFull(OSError):
    """The file store has no room for what was to be written: its disk is full, or a quota is used up."""

    def __init__(self, reason: object) -> None:
        super().__init__(errno.ENOSPC, f"The file store has no room: {reason}")


def is_full(error: BaseException) -> bool:
    """Whether an exception, or what caused it, says that the file store has no room.

    A strategy that fills another disk, such as that of its temporary files, has a failure of its own.
    """
    known: BaseException | None = error
    for _ in range(_CAUSES):
        if known is None:
            return False
        if isinstance(known, StoreFull):
            return True
        known = known.__cause__ or known.__context__
    return False


@contextmanager
def _full_named() -> Iterator[None]:
    """Raises `StoreFull` where the store says that there is no room. What object stores raise has no number."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(error.strerror) from error
        raise
    except BaseError as error:
        if _NO_ROOM.search(str(error)):
            raise StoreFull(error) from error
        raise


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the store knows of a file."""

    size: int
    """In bytes."""
    modified: datetime
    etag: str | None
    """As in HTTP, in quotes: another one means other bytes."""


class FileStore:
    """The `Files` of strategies, with a limit on what is written for those who take files from strangers."""

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder
        self._part_bytes = _FOLDER_PART_BYTES if folder else _PART_BYTES

    @classmethod
    def open(cls, url: str) -> FileStore:
        """`file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`, or `memory://` for tests.

        Object stores find region, endpoint and credentials where their own tools do (`AWS_REGION` and so on).
        Raises `ValueError` for any other URL.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            folder = cls.folder_of(url)
            return cls(LocalStore(folder, mkdir=True), folder)
        if parts.scheme == "memory":
            return cls(MemoryStore())
        if parts.scheme in _SCHEMES:
            return cls(from_url(url))
        raise ValueError(
            f"Files are kept at {', '.join(f'{scheme}://' for scheme in _SCHEMES)}, not at {parts.scheme}://"
        )

    @property
    def folder(self) -> Path | None:
        """Where the files are; None in an object store."""
        return self._folder

    @staticmethod
    def folder_of(url: str) -> Path:
        """The folder that an address beginning with `file:` names. Raises `ValueError`."""
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"A folder is given as file:///absolute/path, not as {url!r}")
        return Path(unquote(parts.path))

    async def size(self, key: str) -> int:
        """Bytes. Raises `FileMissing`."""
        return (await self.facts(key)).size

    async def facts(self, key: str) -> FileFacts:
        """Raises `FileMissing`."""
        self._find(key)
        try:
            meta = await obstore.head_async(self._store, check_key(key))
        except FileNotFoundError:
            raise _missing(key) from None
        etag = meta["e_tag"]
        return FileFacts(meta["size"], meta["last_modified"], etag if etag is None or '"' in etag else f'"{etag}"')

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` on, in chunks of at most 64 KiB, up to but without `end`.

        Raises `FileMissing` on the first step.
        """
        self._find(key)
        if start or end is not None:
            size = await self.size(key)
            end = size if end is None else min(end, size)
            if start >= end:
                return  # stores refuse a range with nothing in it
        try:
            found = await obstore.get_async(
                self._store, check_key(key), options=None if end is None else {"range": (start, end)}
            )
        except FileNotFoundError:
            raise _missing(key) from None
        async for piece in found.stream(min_chunk_size=_READ_BYTES):
            for offset in range(0, len(piece), _READ_BYTES):
                yield bytes(piece[offset : offset + _READ_BYTES])

    @asynccontextmanager
    async def write(self, key: str, *, max_bytes: int | None = None) -> AsyncIterator[StoreWriter]:
        """Write a file; it replaces one of the same key. Left with an error, it leaves nothing behind.

        The writer raises `FileTooLarge` when it is given more than `max_bytes`, and `StoreFull`, as may the end of it.
        """
        self._refuse_links(key)
        writing = obstore.open_writer_async(
            self._store, check_key(key), buffer_size=self._part_bytes, max_concurrency=2
        )
        with _full_named():
            writer = StoreWriter(await writing.__aenter__(), max_bytes)
        try:
            yield writer
            await writer.flush()
        except BaseException as error:
            await writing.__aexit__(type(error), error, error.__traceback__)
            raise
        with _full_named():
            await writing.__aexit__(None, None, None)

    async def delete(self, key: str) -> None:
        """Does nothing if there is no such file. A folder is none: files in it are deleted by their own keys.

        Raises `InvalidKey`.
        """
        check_key(key)
        with suppress(FileNotFoundError, FileMissing):
            self._find(key)
            await obstore.delete_async(self._store, check_key(key))

    def _find(self, key: str) -> None:
        """Raise `FileMissing` if it is certain that there is no such file, which a folder and a link are not."""
        self._refuse_links(key)
        if self._folder and not (self._folder / check_key(key)).is_file():
            raise _missing(key)

    def _refuse_links(self, key: str) -> None:
        """Raise `FileMissing` if a symbolic link in the folder leads to the file: what it leads to is not in the store."""
        path = self._folder
        if path is None:
            return
        for name in check_key(key).split("/"):
            path /= name
            if path.is_symlink():
                raise _missing(key)

    async def listed(self, folder: str) -> AsyncIterator[tuple[str, datetime]]:
        """The keys that begin with that folder, which ends in `/`, and when each file was written last (UTC)."""
        async for batch in obstore.list(self._store, prefix=folder):
            for meta in batch:
                yield meta["path"], meta["last_modified"]

    def kept_clean(self, background: Background, log: FilteringBoundLogger) -> Periodic:
        """Sweeps when it starts, and every hour."""

        async def clean() -> None:
            try:
                removed = await self.remove_unfinished()
            except OSError as error:
                log.warning("files_not_swept", reason=str(error))
            else:
                if removed:
                    log.info("unfinished_files_swept", files=removed)

        return Periodic(background, "sweeping unfinished files", clean, every=_CLEAN_EVERY)

    async def remove_unfinished(self) -> int:
        """Remove what killed processes left unfinished in a folder, a day ago or earlier. Returns how many files."""
        return await asyncio.to_thread(_remove_unfinished, self._folder) if self._folder else 0


class StoreWriter:
    """A file being written."""

    def __init__(self, out: AsyncWritableFile, max_bytes: int | None) -> None:
        self._out = out
        self._max_bytes = max_bytes
        self._gathered = bytearray()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    async def write(self, chunk: bytes) -> None:
        """Raises `FileTooLarge` and `StoreFull`."""
        self._size += len(chunk)
        if self._max_bytes is not None and self._size > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        self._gathered += chunk
        if len(self._gathered) >= _WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Hand over to the store what is gathered so far. Raises `StoreFull`."""
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            with _full_named():
                await self._out.write(gathered)


def check_key(key: str) -> str:
    """The key in Unicode normal form C, if it is one that stays in the store and that every store can keep.

    Raises `InvalidKey`.
    """
    key = unicodedata.normalize("NFC", key)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        raise InvalidKey(key, "it contains a control character")
    if "\\" in key:
        raise InvalidKey(key, "it contains a backslash")
    if len(key.encode()) > _KEY_BYTES:
        raise InvalidKey(key, f"it is longer than {_KEY_BYTES} bytes")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise InvalidKey(key, f"{segment!r} is no name")
        if len(segment.encode()) > _SEGMENT_BYTES:
            raise InvalidKey(key, f"a name in it is longer than {_SEGMENT_BYTES} bytes")
        if _UNFINISHED.search(segment):
            raise InvalidKey(key, "names that end in '#' and a number are for files being written")
    return key


def clean_name(name: str, *, max_bytes: int = 120) -> str:
    """A file name from a stranger, made fit to be a segment of a key: no path, nothing invisible, not too long.

    Letters of every script, digits and `. _ - + @ ( )` and spaces stay, as does the extension of a long name.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(
        character if unicodedata.category(character)[0] in "LMN" or character in " ._-+@()" else "_"
        for character in last
        if unicodedata.category(character)[0] != "C"
    ).strip(" .")
    stem, dot, extension = kept.rpartition(".")
    if not stem or len(extension) > 10:
        stem, dot, extension = kept, "", ""
    room = max_bytes - len((dot + extension).encode())
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{stem or 'file'}{dot}{extension}"


def _remove_unfinished(folder: Path) -> int:
    removed, abandoned = 0, time.time() - _ABANDONED_SECONDS
    for path in folder.rglob("*#*"):
        with suppress(FileNotFoundError):  # finished or swept by another process in this moment
            if _UNFINISHED.search(path.name) and path.is_file() and path.stat().st_mtime < abandoned:
                path.unlink()
                removed += 1
    return removed


def _missing(key: str) -> FileMissing:
    return FileMissing(f"There is no file {key!r}.")

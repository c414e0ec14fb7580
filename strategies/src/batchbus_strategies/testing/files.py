"""A file store in a folder, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

from batchbus_strategies.strategy import FileMissing

__all__ = ["LocalFiles"]

_CHUNK: Final = 64 * 1024


class LocalFiles:
    """The file store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def size(self, key: str) -> int:
        path = self._folder / key
        if not path.is_file():
            raise FileMissing(f"There is no file {key}")
        return path.stat().st_size

    async def read(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        await self.size(key)
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    @asynccontextmanager
    async def write(self, key: str) -> AsyncIterator[_LocalWriter]:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with unfinished.open("wb") as file:
                yield _LocalWriter(file)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    async def delete(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)

    # -- for tests -------------------------------------------------------------------------------------------------

    def put(self, key: str, content: bytes) -> str:
        """Keep a file under that key, and return the key."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return key

    def get(self, key: str) -> bytes:
        """The whole file of that key. Raises `FileNotFoundError`."""
        return (self._folder / key).read_bytes()

    def all_keys(self) -> list[str]:
        """The keys of all files, sorted."""
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in files)


class _LocalWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    @property
    def size(self) -> int:
        return self._file.tell()

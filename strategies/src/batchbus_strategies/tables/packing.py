"""Compressing what is written, while it is written. The same content gives the same bytes, whenever that is."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from typing import Final

from batchbus_strategies.tables.options import Compression

__all__ = ["Packer", "packer"]

_LEVEL: Final = 6
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The first time that a ZIP can say."""


class Packer(ABC):
    """Takes the content of one file, piece by piece, and gives what belongs into the compressed one."""

    @abstractmethod
    def pack(self, content: bytes) -> bytes:
        """What there is to write by now."""

    @abstractmethod
    def finish(self) -> bytes:
        """The rest."""


def packer(compression: Compression | None, name: str) -> Packer:
    """`name` is that of the one file in a ZIP."""
    match compression:
        case "gzip":
            return _Gzip()
        case "zip":
            return _Zip(name)
        case None:
            return _Plain()


class _Plain(Packer):
    def pack(self, content: bytes) -> bytes:
        return content

    def finish(self) -> bytes:
        return b""


class _Gzip(Packer):
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_LEVEL, wbits=31)

    def pack(self, content: bytes) -> bytes:
        return self._compressor.compress(content)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Zip(Packer):
    def __init__(self, name: str) -> None:
        self._made = _Made()
        self._archive = zipfile.ZipFile(self._made, "w")
        member = zipfile.ZipInfo(name, _EARLIEST)
        member.compress_type = zipfile.ZIP_DEFLATED
        self._member = self._archive.open(member, "w", force_zip64=True)

    def pack(self, content: bytes) -> bytes:
        self._member.write(content)
        return self._made.taken()

    def finish(self) -> bytes:
        self._member.close()
        self._archive.close()
        return self._made.taken()


class _Made:
    """What an archive writes into, and is taken from. It cannot be sought in, so nothing is written over."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, content: bytes, /) -> int:
        self._pieces.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Archives ask for it; there is nothing to do."""

    def close(self) -> None:
        """Neither is there here."""

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken

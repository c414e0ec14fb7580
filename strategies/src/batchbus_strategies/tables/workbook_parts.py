"""The parts of a workbook as an archive: which is the XML of a sheet, and how much of it there is once it is inflated.

The directory of an archive says how large each part is, but it may lie. So each part that is going to be loaded is
inflated here first, and thrown away, which takes no memory. Nor may it be ambiguous which part is loaded: the library that
loads it tells names apart in its own way.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Final
from xml.parsers import expat

from batchbus_strategies.tables.errors import NotATable
from batchbus_strategies.tables.limits import BOMB_FREE, BOMB_RATIO, MAX_SHEET_XML

__all__ = ["WorkbookParts"]

_PIECE: Final = 256 * 1024
_LOCAL_HEADER: Final = 30
"""Bytes in front of the name of a member, see section 4.3.7 of https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT."""
_MAX_OTHER: Final = 64 * 1024 * 1024
"""Bytes that the parts may have which are neither cells nor texts, such as styles and the names of sheets."""
_MAX_SHEETS: Final = 10_000
_WORKBOOK: Final = "xl/workbook.xml"
_LINKS: Final = "xl/_rels/workbook.xml.rels"
_TEXTS: Final = "xl/sharedstrings.xml"
_NOT_LOADED: Final = (
    "xl/worksheets/",
    "xl/media/",
    "xl/drawings/",
    "xl/pivotcache/",
    _TEXTS,
    "pictures/",
    "content.xml",
)


class WorkbookParts:
    """The archive of an XLSX or ODS. Each method raises `NotATable` for what is damaged or too large."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise NotATable(f"The workbook cannot be read: {error}") from None
        self._members = {_part_name(member.filename): member for member in members}
        if len(self._members) < len(members):
            raise NotATable("The workbook is damaged: two parts of it have the same name")
        if not {_WORKBOOK, "content.xml"} & self._members.keys():
            raise NotATable("The file is an archive, and no XLSX or ODS: it has no sheets in it")

    def check_others(self) -> None:
        """Inflate all parts that are loaded with any sheet."""
        others = [member for name, member in self._members.items() if not name.startswith(_NOT_LOADED)]
        total = sum(member.file_size for member in others)
        if total > _MAX_OTHER:
            raise NotATable(
                f"The workbook has {total // 1024**2:,} MiB beside its sheets; it may have {_MAX_OTHER // 1024**2}. Save "
                "the sheet as CSV"
            )
        for member in others:
            for _ in self._inflated(member):
                pass

    def xlsx_sheet(self, sheet: str) -> tuple[Iterator[bytes], Iterator[bytes]]:
        """The XML of a sheet, and that of the texts which its cells share with those of other sheets."""
        path = self._path_of(sheet)
        if path not in self._members:
            raise NotATable(f"The XLSX is damaged: the sheet {sheet} is not in it")
        texts = [self._members[_TEXTS]] if _TEXTS in self._members else []
        self._check_sizes([self._members[path], *texts])
        return self._inflated(self._members[path]), chain.from_iterable(map(self._inflated, texts))

    def ods_sheets(self) -> Iterator[bytes]:
        """The XML of all sheets, which are loaded together."""
        content = self._members["content.xml"]
        self._check_sizes([content])
        return self._inflated(content)

    def _path_of(self, sheet: str) -> str | None:
        """The name of the part with that sheet, by the relationships of sections 12.3 and 9.3 in ECMA-376, part 1 and 2."""
        ids: dict[str | None, str | None] = {}
        for attributes in self._elements(_WORKBOOK, "sheet"):
            if len(ids) > _MAX_SHEETS:
                raise NotATable(f"The XLSX has more than {_MAX_SHEETS:,} sheets, which is the most that it may have")
            id_ = next((value for key, value in attributes.items() if key.endswith("}id")), None)
            if ids.setdefault(attributes.get("name"), id_) != id_:
                raise NotATable("The XLSX is damaged: two sheets of it have the same name")
        targets: dict[str | None, str] = {}
        for attributes in self._elements(_LINKS, "Relationship"):
            if len(targets) > 2 * _MAX_SHEETS:
                raise NotATable(f"The XLSX is damaged: it has more than {2 * _MAX_SHEETS:,} relationships")
            target = attributes.get("Target", "")
            if targets.setdefault(attributes.get("Id"), target) != target:
                raise NotATable("The XLSX is damaged: two relationships of it have the same Id")
        target_ = targets.get(ids.get(sheet))
        return None if target_ is None else _part_name(posixpath.join("/xl", target_))

    def _elements(self, part: str, wanted: str) -> Iterator[dict[str, str]]:
        """The attributes of all elements of that name in a part. Nothing else is kept of it."""
        found: list[dict[str, str]] = []

        def begins(name: str, attributes: dict[str, str]) -> None:
            if name.rpartition("}")[2] == wanted:
                found.append(attributes)

        parser = expat.ParserCreate(namespace_separator="}")
        parser.StartElementHandler = begins
        parser.StartDoctypeDeclHandler = _refuse_doctype
        if part not in self._members:
            raise NotATable(f"The XLSX is damaged: {part} is not in it")
        try:
            for piece in chain(self._inflated(self._members[part]), [b""]):
                parser.Parse(piece, not piece)
                yield from found
                found.clear()
        except expat.ExpatError as error:
            raise NotATable(f"The XLSX is damaged: {error}") from None

    def _check_sizes(self, members: Iterable[zipfile.ZipInfo]) -> None:
        total = sum(member.file_size for member in members)
        if total > MAX_SHEET_XML:
            raise NotATable(
                f"The sheet has {total // 1024**2:,} MiB of XML with its texts; it may have {MAX_SHEET_XML // 1024**2:,} MiB. "
                "Save it as CSV"
            )
        if total > BOMB_FREE and total > BOMB_RATIO * sum(member.compress_size for member in members):
            raise NotATable(
                f"The workbook is compressed more than {BOMB_RATIO}:1, which is the limit beyond {BOMB_FREE // 1024**2} MiB"
            )

    def _inflated(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a part. `zipfile` would stop where the directory says that it ends; this notices more."""
        file = self._file
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER)
        at = member.header_offset + _LOCAL_HEADER
        at += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        remaining = member.compress_size
        made = 0
        decoder = zlib.decompressobj(wbits=-15)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotATable("The workbook cannot be read: it is compressed by something else than deflate")
        while remaining > 0 and not decoder.eof:
            file.seek(at)  # others read from the file between two pieces
            packed = file.read(min(_PIECE, remaining))
            if not packed:
                raise NotATable("The workbook is damaged: it breaks off")
            at += len(packed)
            remaining -= len(packed)
            if member.compress_type == zipfile.ZIP_STORED:
                made += len(packed)
                yield packed
                continue
            try:
                while (piece := decoder.decompress(packed, 4 * _PIECE)) or decoder.unconsumed_tail:
                    made += len(piece)
                    if made > member.file_size:
                        raise NotATable("The workbook is damaged: a part is larger than its directory says")
                    yield piece
                    packed = decoder.unconsumed_tail
            except zlib.error as error:
                raise NotATable(f"The workbook is damaged: {error}") from None
        if made != member.file_size:
            raise NotATable("The workbook is damaged: a part has another size than its directory says")


def _part_name(name: str) -> str:
    """One name for all spellings under which a part may be looked for."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lower().lstrip("/")


def _refuse_doctype(*_: object) -> None:
    raise NotATable("The XLSX is damaged: it declares a document type, which section 9.1 of ECMA-376, part 2, forbids")

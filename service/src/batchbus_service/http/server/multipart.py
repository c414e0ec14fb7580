"""Multipart bodies as a stream of events, so that an upload of any size never lies in memory or in a temporary file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["BadMultipart", "PartBegins", "PartEnds", "read_parts"]

_MAX_HEADER_BYTES: Final = 8192
_MAX_PARTS: Final = 1000
_MAX_FIELD_BYTES: Final = 64 * 1024
"""In all fields together that are no files."""


class BadMultipart(ValueError):
    """The body is no multipart form that can be read. The message says why."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part of the form. Its bytes follow, in any number of pieces, and then `PartEnds`."""

    name: str
    file_name: str | None
    """None for a field that is no file."""


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part that began last is complete."""


async def read_parts(content_type: str, body: AsyncIterator[bytes]) -> AsyncIterator[PartBegins | bytes | PartEnds]:
    """What is in a multipart body, in order. Raises `BadMultipart`."""
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if kind.lower() != b"multipart/form-data" or not boundary:
        raise BadMultipart("the body must be multipart/form-data, with a boundary")
    gathered = _Gatherer()
    try:
        parser = MultipartParser(boundary, gathered.callbacks())
        async for chunk in body:
            parser.write(chunk)
            for event in gathered.taken():
                yield event
        parser.finalize()
    except FormParserError as error:
        raise BadMultipart("the multipart body cannot be read") from error
    if not gathered.ended:
        raise BadMultipart("the multipart body ends before its last boundary")


class _Gatherer:
    """Turns the parser's callbacks into events."""

    def __init__(self) -> None:
        self.ended = False
        self._events: list[PartBegins | bytes | PartEnds] = []
        self._headers: dict[str, str] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._parts = 0
        self._is_field = False
        self._field_bytes = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._part_begins,
            "on_part_data": self._data,
            "on_part_end": lambda: self._events.append(PartEnds()),
            "on_header_field": lambda data, start, end: self._header(self._header_name, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._header_value, data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_end": self._end,
        }

    def taken(self) -> list[PartBegins | bytes | PartEnds]:
        events, self._events = self._events, []
        return events

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise BadMultipart(f"the multipart body has more than {_MAX_PARTS:,} parts")
        self._headers = {}

    def _header(self, target: bytearray, piece: bytes) -> None:
        target += piece
        if len(target) > _MAX_HEADER_BYTES:
            raise BadMultipart(f"a header in the multipart body is longer than {_MAX_HEADER_BYTES:,} bytes")

    def _header_ends(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        if b"name" not in options:
            raise BadMultipart("a part of the multipart body has no name")
        name, file_name = options[b"name"], options.get(b"filename")
        self._events.append(PartBegins(_text(name), None if file_name is None else _text(file_name)))

        self._is_field = file_name is None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_field:
            self._field_bytes += end - start
            if self._field_bytes > _MAX_FIELD_BYTES:
                raise BadMultipart(f"the fields that are no files are longer than {_MAX_FIELD_BYTES:,} bytes")
        self._events.append(data[start:end])

    def _end(self) -> None:
        self.ended = True


def _text(raw: bytes) -> str:
    """Browsers and scripts send names in UTF-8; what is not UTF-8 is read as Latin-1, which always works."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")

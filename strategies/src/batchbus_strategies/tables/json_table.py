"""JSON Lines, or a JSON array of objects, as a `Table`.

The header is all keys in the order in which they first appear; a pass of its own over the file finds them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Literal, cast

from batchbus_strategies.tables.decoding import Decoder, is_unicode
from batchbus_strategies.tables.errors import NotATable, TableError
from batchbus_strategies.tables.json_objects import ArrayElements, JsonObject, LineObjects, Objects, Value
from batchbus_strategies.tables.limits import MAX_CELL, MAX_COLUMNS
from batchbus_strategies.tables.options import ERRORS_COLUMN, TableFacts, TableOptions, Unit
from batchbus_strategies.tables.source import Source
from batchbus_strategies.tables.table import Row, Table

__all__ = ["JsonTable", "objects_of"]

_ABSENT: Final = object()
_MAX_BATCH: Final = 8 * MAX_CELL
"""Characters of the objects that are given out at a time, about."""

Found = tuple[list[JsonObject], TableError | None]


class JsonTable(Table):
    """Objects, each with its line or its place in the array."""

    def __init__(self, source: Source, options: TableOptions, found: Literal["json", "jsonl"]) -> None:
        self._source = source
        self._options = options
        self._format = found
        self._decoder = Decoder(options.encoding)
        self._keys: list[str] = []
        """The names of the columns as they are in the objects."""
        self.header = []

    @classmethod
    async def open(cls, source: Source, options: TableOptions, found: Literal["json", "jsonl"]) -> JsonTable:
        """Raises `NotATable`."""
        table = cls(source, options, found)
        await table._find_keys()
        return table

    @property
    def facts(self) -> TableFacts:
        return TableFacts(
            format=self._format, compression=self._source.compression, header_line=1, encoding=self._decoder.encoding
        )

    @property
    def progress(self) -> float:
        return self._source.progress

    async def batches(self, size: int = 1000) -> AsyncIterator[list[Row]]:
        rows: list[Row] = []
        waiting = 0
        self._decoder = Decoder(self._options.encoding)
        async for objects, error in objects_of(self._source, self._decoder, self._objects()):
            for found in objects:
                try:
                    cells = self._cells(found)
                except TableError as of_cell:
                    error = of_cell
                    break
                if any(cells):
                    rows.append((found.number, cells))
            waiting += sum([found.size for found in objects])
            if rows and (error or len(rows) >= size or waiting >= _MAX_BATCH):
                yield rows
                rows, waiting = [], 0
            if error:
                raise error
        if rows:
            yield rows

    def _objects(self) -> Objects:
        return ArrayElements() if self._format == "json" else LineObjects()

    async def _find_keys(self) -> None:
        seen: dict[str, None] = {}
        alike: set[tuple[str, ...]] = set()
        first_error: TableError | None = None
        async for objects, error in objects_of(self._source, self._decoder, self._objects()):
            for found in objects:
                keys = tuple([key for key, _ in found.pairs])
                if keys in alike:  # most objects of a file have the same keys
                    continue
                seen.update(dict.fromkeys(keys))
                if len(seen) > MAX_COLUMNS:
                    raise NotATable(
                        f"The file has more than {MAX_COLUMNS:,} columns, which is the most that it may have"
                    )
                if len(alike) < MAX_COLUMNS:
                    alike.add(keys)
            first_error = error
        seen.pop(ERRORS_COLUMN, None)
        if not seen:
            raise first_error or NotATable("The file is empty")
        # Otherwise an error is raised by the pass that gives out the rows, behind those that come before it.
        self._keys = list(seen)
        self.header = [key.strip() for key in seen]

    def _cells(self, found: JsonObject) -> list[str | None]:
        """The cells of an object. Raises `TableError` for a value that no cell can hold."""
        values = dict(found.pairs)
        if len(values) < len(found.pairs):
            keys = [key for key, _ in found.pairs]
            twice = next(key for index, key in enumerate(keys) if key in keys[:index])
            raise self._error("the key comes twice in one object", found, twice)
        cells: list[str | None] = []
        for key in self._keys:
            value = values.get(key, _ABSENT)
            if type(value) is str:
                cells.append(value)
            elif value is _ABSENT:
                cells.append(None)
            else:
                cells.append(self._text(cast("Value", value), found, key))
        if found.escaped or found.size > MAX_CELL:
            self._check(cells, found)
        return cells

    def _text(self, value: Value, found: JsonObject, key: str) -> str:
        match value:
            case str():
                return value
            case None:
                return ""
            case bool():
                return "TRUE" if value else "FALSE"
            case tuple():
                raise self._error("an object cannot be in a cell", found, key)
            case list():
                return ",".join([self._item(item, found, key) for item in value])

    def _item(self, item: Value, found: JsonObject, key: str) -> str:
        """A part of a list, which has to be recognisable between its commas."""
        if not isinstance(item, str):
            raise self._error("a list in a cell may have strings and numbers in it, and nothing else", found, key)
        if not item or "," in item or item[0] == '"' or item != item.strip():
            reason = "a string in a list is empty, or has a comma, a quote or blanks around it: give one string instead"
            raise self._error(reason, found, key, item)
        return item

    def _check(self, cells: list[str | None], found: JsonObject) -> None:
        for key, cell in zip(self._keys, cells, strict=True):
            if cell is not None and len(cell) > MAX_CELL:
                raise self._error(f"a cell may have {MAX_CELL:,} characters at most", found, key, cell)
            if cell is not None and not is_unicode(cell):
                raise self._error("the text is not Unicode: it has half of a surrogate pair in it", found, key, cell)

    def _error(self, reason: str, found: JsonObject, key: str, value: str | None = None) -> TableError:
        unit: Unit = self.facts.unit
        return TableError(reason, line=found.number, column=key, value=value, unit=unit)


async def objects_of(source: Source, decoder: Decoder, objects: Objects) -> AsyncIterator[Found]:
    """The objects of a file, as they come. After an error comes nothing more. Raises `NotATable`, `TableError`."""
    async for text, final in decoder.texts(source.chunks()):
        found = objects.take(text, final=final)
        yield found
        if found[1]:
            return

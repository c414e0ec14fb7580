"""`RecordExport`: a batch type that exports a declared record, as a file that can be imported again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.records.header import load_families
from batchbus_strategies.records.of_record import OfRecord
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import DeclaredColumn
from batchbus_strategies.records.selecting import RecordExportContext, Selection, chosen_columns, order_of, query_of
from batchbus_strategies.records.written_columns import (
    ReferencedNames,
    Shape,
    WrittenColumn,
    WrittenRow,
    columns_of,
    rows_of,
)
from batchbus_strategies.strategy import Actor, Draft, FileWriter, JobRun, StrategyError
from batchbus_strategies.tables import (
    WriteOptions,
    WrittenCell,
    csv_cell,
    csv_line,
    file_ending,
    shortened,
    write_table,
)

__all__ = ["RecordExport"]

R = TypeVar("R", bound=Record)

_CHUNK: Final = 1000

_TRIES: Final = 5

Document = Mapping[str, Any]


class _Outgrown(Exception):
    """A record has more values than the file has columns for."""

    def __init__(self, advanced: int) -> None:
        super().__init__()
        self.advanced = advanced


class RecordExport(OfRecord[RecordExportContext], Generic[R]):
    """Writes the records of a collection into a file, and changes nothing in it.

    A record that spans several rows has one for each of its elements, which repeats the cells of the record itself; one
    without elements has one row, in which the cells of elements are empty.

    class CustomerExport(RecordExport[Customer]):
        batch_type = "customer-export"
    """

    context_model: ClassVar[type[BaseModel]] = RecordExportContext
    delimiter: ClassVar[str] = ","
    """Of a CSV."""
    columns_field: ClassVar[str] = "fields"
    """Where in the context the names of the columns are that are to be written."""

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for a filter, an order or a column that there is not."""
        context = checked_context(self.context_model, draft.context)
        assert isinstance(context, RecordExportContext)
        self.selection(context)
        self._chosen(context)

    # -- for what is special about a type --------------------------------------------------------------------------

    def selection(self, context: RecordExportContext) -> Selection:
        """Which records a job exports. Raises `JobRefused` for a filter or an order that there is not."""
        query, sort = query_of(self.schema, context.filterable_fields), order_of(self.schema, context.order)
        return Selection(query, sort, limit=context.batch_size)

    def description(self, count: int) -> tuple[str, str]:
        """A name and a message, for people, that say how many records there are to export, or rows of records that span
        several."""
        return f"{self.schema.name.capitalize()} records to export", f"There will be {count:,} {self._noun} exported."

    def file_key(self, run: JobRun[RecordExportContext], ending: str) -> str:
        """The key of the file: another one for each run, so that a worker that lost its job cannot write over the file of
        the next."""
        return f"exports/{run.job_type}/{run.job_type}-{int(time.time() * 1000)}-{run.run_number}{ending}"

    # -- the phases ------------------------------------------------------------------------------------------------

    async def pre_process(self, run: JobRun[RecordExportContext]) -> None:
        shape, count = Shape(), 0
        async for documents in self._documents(run):
            rows = sum(shape.fit(self.schema, document) for document in documents)
            count += rows
            await run.advance(rows, message=f"{count:,} {self._noun} found")
        run.expect(count)
        run.result["shape"] = shape.as_json()
        run.describe(f"{run.job_type}-count", *self.description(count))

    async def process(self, run: JobRun[RecordExportContext]) -> None:
        """Writes the file from its beginning, in every run and as often as it takes: it appears when it is whole.

        Raises `StrategyError` for a record that has a value which no cell can hold.
        """
        context, shape = run.context, Shape.from_json(run.result["shape"])
        families = await load_families(self.schema, run.catalog)
        key = self.file_key(run, file_ending(context.format, context.compression))
        advanced = 0
        for _ in range(_TRIES):
            columns = list(columns_of(self._chosen(context), shape, families))
            try:
                async with run.files.write(key) as file:
                    written = await self._write(run, file, columns, shape, advanced)
                    size = file.size
            except _Outgrown as outgrown:
                advanced = outgrown.advanced
                continue
            run.expect(max(advanced, written))
            run.result["shape"] = shape.as_json()
            run.result["file_key"] = key
            run.result["file_size"] = size
            return
        raise StrategyError(
            f"Others gave {self.schema.name} records more values than the file had columns for, {_TRIES} times while it was "
            "written; export them again when that is over",
            public=True,
        )

    async def _write(
        self,
        run: JobRun[RecordExportContext],
        file: FileWriter,
        columns: Sequence[WrittenColumn],
        shape: Shape,
        advanced: int,
    ) -> int:
        """Returns how many rows there are. Raises `_Outgrown`, with the shape that all of them have by then, if a record
        does not fit: without that, what others have added since the columns were counted would be missing."""
        options = WriteOptions(format=run.context.format, compression=run.context.compression, delimiter=self.delimiter)
        references = ReferencedNames(run.catalog, self.schema)
        written, fits = 0, True
        async with write_table(file, [column.header for column in columns], options) as table:
            async for documents in self._documents(run):
                before = shape.as_json()
                count = sum(shape.fit(self.schema, document) for document in documents)
                fits = fits and shape.as_json() == before
                if not fits:
                    await run.advance(0, message="Others add values; beginning anew")
                    continue
                await references.look_up(documents)
                rows = [
                    self._cells(row, columns, references)
                    for document in documents
                    for row in rows_of(self.schema, document)
                ]
                for first in range(0, len(rows), _CHUNK):
                    await table.write(rows[first : first + _CHUNK])
                written += count
                await run.advance(max(0, written - advanced))
                advanced = max(advanced, written)
            if not fits:
                raise _Outgrown(advanced)
        return written

    def _cells(
        self, row: WrittenRow, columns: Sequence[WrittenColumn], references: ReferencedNames
    ) -> list[WrittenCell]:
        cells: list[WrittenCell] = []
        try:
            for column in columns:
                cells.append(column.cell(row, references))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The same would come of every further try, and nobody would learn which record it is.
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise StrategyError(
                f"The {self.schema.name} {row.document.get('_id')} cannot be exported, as its "
                f'"{columns[len(cells)].header}" is not what it has to be: {shortened(reason, 200)}'
            ) from error
        return cells

    async def build_template(self) -> bytes:
        """The header."""
        columns = columns_of(chosen_columns(self.schema, None), Shape(), {})
        return csv_line((csv_cell(column.header) for column in columns), delimiter=self.delimiter).encode()

    @property
    def _noun(self) -> str:
        """What the file has one of a line."""
        return "rows" if self.schema.rows else "records"

    def _chosen(self, context: RecordExportContext) -> list[DeclaredColumn]:
        return chosen_columns(self.schema, getattr(context, self.columns_field), field=self.columns_field)

    async def _documents(self, run: JobRun[RecordExportContext]) -> AsyncIterator[Sequence[Document]]:
        selection = self.selection(run.context)
        documents = run.catalog[self.record.collection]
        cursor = documents.find(selection.query, batch_size=_CHUNK).sort(selection.sort).allow_disk_use(True)
        if selection.skip:
            cursor = cursor.skip(selection.skip)
        if selection.limit is not None:
            cursor = cursor.limit(selection.limit)
        while found := await cursor.to_list(_CHUNK):
            yield await self.with_shown(run, found)

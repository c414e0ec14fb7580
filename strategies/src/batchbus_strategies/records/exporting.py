"""`RecordExport`: a batch type that exports a declared record, as a file that can be imported again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.records.header import load_families
from batchbus_strategies.records.of_record import OfRecord
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import DeclaredColumn
from batchbus_strategies.records.selecting import RecordExportContext, Selection, chosen_columns, order_of, query_of
from batchbus_strategies.records.written_columns import ReferencedNames, Shape, columns_of, rows_of
from batchbus_strategies.strategy import Actor, Draft, JobRun
from batchbus_strategies.tables import WriteOptions, csv_cell, csv_line, file_ending, write_table

__all__ = ["RecordExport"]

R = TypeVar("R", bound=Record)

_CHUNK: Final = 1000

Document = dict[str, Any]


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
        context, shape = run.context, Shape.from_json(run.result["shape"])
        families = await load_families(self.schema, run.catalog)
        columns = list(columns_of(self._chosen(context), shape, families))
        key = self.file_key(run, file_ending(context.format, context.compression))
        options = WriteOptions(format=context.format, compression=context.compression, delimiter=self.delimiter)
        references = ReferencedNames(run.catalog, self.schema)
        async with run.files.write(key) as file:
            async with write_table(file, [column.header for column in columns], options) as table:
                async for documents in self._documents(run):
                    await references.look_up(documents)
                    rows = [
                        [column.cell(row, references) for column in columns]
                        for document in documents
                        for row in rows_of(self.schema, document)
                    ]
                    for first in range(0, len(rows), _CHUNK):
                        await table.write(rows[first : first + _CHUNK])
                    await run.advance(len(rows))
            size = file.size
        run.result["file_key"] = key
        run.result["file_size"] = size

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
            yield found

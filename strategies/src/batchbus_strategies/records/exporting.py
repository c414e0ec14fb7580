"""`RecordExport`: a batch type that exports a declared record, as a file that can be imported again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.records.copying import load_copies
from batchbus_strategies.records.header import load_families
from batchbus_strategies.records.of_record import OfRecord
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import DeclaredColumn
from batchbus_strategies.records.selecting import RecordExportContext, Selection, chosen_columns, order_of, query_of
from batchbus_strategies.records.shape import Fitting, Shape, fields_for_shape
from batchbus_strategies.records.written_columns import ReferencedNames, WrittenColumn, columns_of
from batchbus_strategies.records.written_rows import RowWriter, Sources
from batchbus_strategies.strategy import Actor, Draft, Fields, FileWriter, JobRun, StrategyError
from batchbus_strategies.tables import (
    TableWriter,
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
_UNUSABLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of a value that no cell can hold."""


class _Outgrown(Exception):
    """A record has more values than the file has columns for."""


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
    truth: ClassVar[tuple[str, str]] = ("TRUE", "FALSE")
    """The cells of true and of false."""
    counts_rows: ClassVar[bool] = True
    """Whether a job counts the rows of records that span several; else it counts the records."""

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

    def empty_shape(self) -> Shape:
        """Which columns an export of no records has: of numbered ones the first, unless it says of how many there are none."""
        return Shape()

    def keep_shape(self, run: JobRun[RecordExportContext], shape: Shape, families: Fields) -> None:
        """Say in the job which columns the export takes. `families`: what the columns of families were looked up in."""
        run.result["shape"] = shape.as_json()

    def kept_shape(self, run: JobRun[RecordExportContext]) -> Shape:
        """What `keep_shape` has kept."""
        return Shape.from_json(run.result["shape"])

    def keep_count(self, run: JobRun[RecordExportContext], count: int) -> None:
        """Say in the job how many rows, or records, were written."""
        run.expect(count)

    # -- the phases ------------------------------------------------------------------------------------------------

    async def pre_process(self, run: JobRun[RecordExportContext]) -> None:
        count = await self.look_ahead(run)
        run.expect(count)
        run.describe(f"{run.job_type}-count", *self.description(count))

    async def look_ahead(self, run: JobRun[RecordExportContext]) -> int:
        """Find out which columns the export takes. Returns how many rows, or records, it has."""
        fitting = Fitting(self.schema, await load_copies(self.schema, run.catalog), self.empty_shape())
        count = 0
        async for documents in self._documents(run, looking_ahead=True):
            rows = await asyncio.to_thread(_fit, fitting, documents)
            done = rows if self.counts_rows else len(documents)
            count += done
            await run.advance(done, message=f"{count:,} {self._noun} found")
        self.keep_shape(run, fitting.shape, await load_families(self.schema, run.catalog))
        return count

    async def process(self, run: JobRun[RecordExportContext]) -> None:
        """Writes the file from its beginning, in every run and as often as it takes: it appears when it is whole.

        Raises `StrategyError` for a record that has a value which no cell can hold.
        """
        writing = _Writing(self, run, await load_families(self.schema, run.catalog), self.kept_shape(run))
        key = self.file_key(run, file_ending(run.context.format, run.context.compression))
        for _ in range(_TRIES):
            try:
                async with run.files.write(key) as file:
                    written = await writing.write(file)
                    size = file.size
            except _Outgrown:
                continue
            self.keep_count(run, max(writing.advanced, written))
            self.keep_shape(run, writing.shape, writing.families)
            run.result["file_key"] = key
            run.result["file_size"] = size
            return
        raise StrategyError(
            f"Others gave {self.schema.name} records more values than the file had columns for, {_TRIES} times while it was "
            "written; export them again when that is over",
            public=True,
        )

    async def build_template(self) -> bytes:
        """The header."""
        columns = columns_of(chosen_columns(self.schema, None), self.empty_shape(), {})
        return csv_line((csv_cell(column.header) for column in columns), delimiter=self.delimiter).encode()

    @property
    def _noun(self) -> str:
        """What is counted."""
        return "rows" if self.schema.rows and self.counts_rows else "records"

    def _chosen(self, context: RecordExportContext) -> list[DeclaredColumn]:
        return chosen_columns(self.schema, getattr(context, self.columns_field), field=self.columns_field)

    async def _documents(
        self, run: JobRun[RecordExportContext], *, looking_ahead: bool = False
    ) -> AsyncIterator[Sequence[Fields]]:
        """The records, in their order; to look ahead, what is needed of them, and if all of them are, in any order."""
        selection = self.selection(run.context)
        shows = type(self).with_shown is not OfRecord.with_shown
        fields = fields_for_shape(self.schema) if looking_ahead and not shows else None
        cursor = run.catalog[self.record.collection].find(selection.query, fields, batch_size=_CHUNK)
        if not looking_ahead or selection.skip or selection.limit is not None:
            cursor = cursor.sort(selection.sort).allow_disk_use(True)
        if selection.skip:
            cursor = cursor.skip(selection.skip)
        if selection.limit is not None:
            cursor = cursor.limit(selection.limit)
        following = cursor.to_list(_CHUNK)
        while found := await following:
            following = cursor.to_list(_CHUNK)  # read by the driver while these are worked on
            following.add_done_callback(_looked_at)
            yield await self.with_shown(run, found)


class _Writing:
    """One run's tries at a file."""

    def __init__(
        self,
        export: RecordExport[Any],
        run: JobRun[RecordExportContext],
        families: Fields,
        shape: Shape,
    ) -> None:
        self._export = export
        self._run = run
        self._schema = export.schema
        self.families = families
        self.shape = shape
        """It has room for all records that were read so far."""
        self.advanced = 0
        """How many rows, or records, the run was told of, in all tries."""

    async def write(self, file: FileWriter) -> int:
        """Returns how many rows, or records, there are. Raises `_Outgrown` if a record does not fit: without that, what others
        have added since the columns were counted would be missing."""
        export, run = self._export, self._run
        context, columns = run.context, self._columns()
        copies = await load_copies(self._schema, run.catalog)
        sources = Sources(ReferencedNames(run.catalog, self._schema), copies, export.truth)
        fitting, writer = Fitting(self._schema, copies, self.shape), RowWriter(self._schema, columns, sources)
        options = WriteOptions(format=context.format, compression=context.compression, delimiter=export.delimiter)
        written, fits = 0, True
        async with write_table(file, [column.header for column in columns], options) as table:
            async for documents in export._documents(run):
                rows = await asyncio.to_thread(_fit, fitting, documents)
                fits = fits and self._columns() == columns
                if not fits:
                    await run.advance(0, message="Others add values; beginning anew")
                    continue
                await sources.references.look_up(documents)
                await self._write_rows(table, writer, documents)
                written += rows if export.counts_rows else len(documents)
                await run.advance(max(0, written - self.advanced))
                self.advanced = max(self.advanced, written)
            if not fits:
                raise _Outgrown
        return written

    def _columns(self) -> list[WrittenColumn]:
        return list(columns_of(self._export._chosen(self._run.context), self.shape, self.families))

    async def _write_rows(self, table: TableWriter, writer: RowWriter, documents: Sequence[Fields]) -> None:
        """Some rows at a time, since a record may have thousands of them."""
        remaining = iter(documents)

        def some_rows() -> list[list[WrittenCell]]:
            rows: list[list[WrittenCell]] = []
            for document in remaining:
                try:
                    rows += writer.rows(document)
                except _UNUSABLE as error:
                    raise self._refusal(document, writer, error) from error
                if len(rows) >= _CHUNK:
                    break
            return rows

        while rows := await asyncio.to_thread(some_rows):
            await table.write(rows)

    def _refusal(self, document: Fields, writer: RowWriter, error: Exception) -> StrategyError:
        """Names the record and the column, since every further try would fail there too, and would not say where."""
        header = next((each.header for each in writer.columns if _fails(writer.of_one(each), document)), "")
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return StrategyError(
            f'The {self._schema.name} {document.get("_id")} cannot be exported, as its "{header}" is not what it has to be: '
            f"{shortened(reason, 200)}"
        )


def _fails(writer: RowWriter, document: Fields) -> bool:
    try:
        writer.rows(document)
    except _UNUSABLE:
        return True
    return False


def _looked_at(reading: asyncio.Future[Any]) -> None:
    """An export that has ended does not wait for what it was reading ahead, so an error of that is not to be logged."""
    if not reading.cancelled():
        reading.exception()


def _fit(fitting: Fitting, documents: Sequence[Fields]) -> int:
    """Returns how many rows the records have."""
    return sum(map(fitting.fit, documents))

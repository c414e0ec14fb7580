"""`RecordImport`: a batch type that imports a declared record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import ClassVar, Final, Generic, Literal, TypeVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.records.applying import Applied
from batchbus_strategies.records.carrying_out import carry_out_plan
from batchbus_strategies.records.context import RecordImportContext
from batchbus_strategies.records.errors import CellError, HeaderRefused
from batchbus_strategies.records.header import known_names, load_families, read_header
from batchbus_strategies.records.hooks import Hooks
from batchbus_strategies.records.of_record import OfRecord
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import PlanForm
from batchbus_strategies.records.preview import Preview
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.templates import explained
from batchbus_strategies.strategy import Actor, ColumnHelp, Document, Draft, Fields, FileMissing, JobRefused, JobRun
from batchbus_strategies.tables import NotATable, Table, TableError, TableFacts, open_table
from batchbus_strategies.templates import csv_template

__all__ = ["RecordImport"]

R = TypeVar("R", bound=Record)

_LOOKED_INTO: Final = 4 * 1024 * 1024
"""Bytes up to which a file is opened before the job exists; a larger one takes too long for whoever waits for an answer."""
_READ_WHOLE: Final = 256 * 1024
"""Bytes up to which the rows of the file are looked at, too: that it stops being a table further down is known at once."""
_ROWS_LOOKED_AT: Final = 10_000
"""Of a small file: one that is compressed may have any number of them."""


class RecordImport(OfRecord[RecordImportContext], Generic[R]):
    """Creates, updates and, if that is allowed, deletes the records that a file names.

    class CustomerImport(RecordImport[Customer]):
        batch_type = "customer-import"
    """

    context_model: ClassVar[type[BaseModel]] = RecordImportContext
    template_formats: ClassVar[Sequence[Literal["csv", "xlsx"]]] = ("csv", "xlsx")
    deletes: ClassVar[bool] = False
    """Whether a file may delete records, by a column `_delete`."""
    chunk_size: ClassVar[int] = 250
    """How many records are planned, and written, at a time."""
    by_rows: ClassVar[bool] = False
    """Whether of a record that spans several rows only those are left out that cannot be used; else all of them are."""
    whole_rows: ClassVar[bool] = False
    """Whether a line of a CSV that ends before its last cell is an error; else those cells say nothing."""
    counts_elements: ClassVar[bool] = False
    """Whether the job counts the elements of records besides the records."""
    plan_form: ClassVar[PlanForm] = PlanForm()

    # -- for what is special about a type --------------------------------------------------------------------------

    async def before_plan(self, run: JobRun[RecordImportContext], facts: TableFacts) -> None:
        """Called before the rows are read, with what was found out about the file. Raise `StrategyError` to refuse it."""

    def check(self, new: Fields, old: Fields | None) -> Iterable[str]:
        """What is wrong with a record as it will be, in sentences for people; nothing if it is right.

        `new` is its document, `old` the one that there is, or None. It is called in a thread, and must not do I/O.
        """
        return ()

    def complete(self, values: Document, old: Fields | None) -> None:
        """Complete what a file says of a record, in place: `values` are by path, with what references stand for, and `old`
        is the document that there is, or None. It is called in a thread, and must not do I/O."""

    def new_element(self, element: Document, place: int) -> None:
        """Complete a new element of the rows, in place. `place`: how many the record has before it. No I/O here either."""

    def reword(self, error: CellError) -> CellError:
        """The error as people are told of it, for a batch type that has codes or words of its own."""
        return error

    async def after_apply(self, run: JobRun[RecordImportContext], applied: Sequence[Applied]) -> None:
        """Called for each chunk when it is written, and again if the chunk is repeated after a crash."""

    # -- the phases ------------------------------------------------------------------------------------------------

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for a context that is not right, and for a file that is not there or cannot be read."""
        context = checked_context(self.context_model, draft.context)
        assert isinstance(context, RecordImportContext)
        try:
            size = await self.services.files.size(context.fileKey)
            if size <= _LOOKED_INTO:
                table = await self._look_into(context)
                await _look_at_rows(table, _ROWS_LOOKED_AT if size <= _READ_WHOLE else 0)
        except FileMissing:
            raise JobRefused(f"There is no file with the key {context.fileKey}", field="fileKey") from None
        except (NotATable, TableError, HeaderRefused) as error:
            raise JobRefused(str(error), field="fileKey", without_values=error.for_events()) from error

    async def _look_into(self, context: RecordImportContext) -> Table:
        """The file, whose header is right. Raises `NotATable`, `TableError`, `HeaderRefused`."""
        table = await open_table(self.services.files, context.fileKey, context.table, known=known_names(self.schema))
        read_header(
            table.header,
            self.schema,
            line=table.header_line,
            mapping=context.columns,
            deletes=self.deletes,
            families=await load_families(self.schema, self.services.catalog),
        )
        return table

    async def pre_process(self, run: JobRun[RecordImportContext]) -> None:
        preview = self.preview(run)
        table = await preview.open()
        await self.before_plan(run, table.facts)
        await preview.write(table)

    async def process(self, run: JobRun[RecordImportContext]) -> None:
        async def after_apply(applied: Sequence[Applied]) -> None:
            await self.after_apply(run, applied)

        await carry_out_plan(run, self.schema, self.options, after_apply=after_apply)

    def preview(self, run: JobRun[RecordImportContext]) -> Preview:
        """What plans a job."""
        return Preview(run, self.schema, self.options, self.hooks_of(run))

    def hooks_of(self, run: JobRun[RecordImportContext]) -> Hooks:
        return Hooks(
            check=self.check,
            complete=self.complete,
            new_element=self.new_element,
            reword=self.reword,
            with_shown=partial(self.with_shown, run),
        )

    @property
    def options(self) -> ImportOptions:
        return ImportOptions(
            chunk_size=self.chunk_size,
            deletes=self.deletes,
            by_rows=self.by_rows,
            whole_rows=self.whole_rows,
            counts_elements=self.counts_elements,
            form=self.plan_form,
        )

    async def build_template(self) -> bytes:
        """The header, and an example row."""
        return csv_template(self.explain_columns())

    def explain_columns(self) -> Sequence[ColumnHelp]:
        return explained(self.schema)


async def _look_at_rows(table: Table, most: int) -> None:
    """Raises `NotATable`, `TableError` where one of the first rows cannot be read."""
    seen = 0
    if most:
        async for batch in table.batches():
            seen += len(batch)
            if seen >= most:
                return

"""Pre-processing an import: read the file, check every row, and write the plan. The catalogue is only read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from batchbus_strategies.catalog.ids import ulids
from batchbus_strategies.records.context import RecordImportContext, most
from batchbus_strategies.records.copying import Copies, load_copies
from batchbus_strategies.records.errors import CellError, HeaderRefused, RecordsRefused
from batchbus_strategies.records.header import columns_of, known_names, load_families, read_header
from batchbus_strategies.records.hooks import Hooks
from batchbus_strategies.records.layout import Layout
from batchbus_strategies.records.leftovers import BadLines, messages_by_line, write_error_file
from batchbus_strategies.records.lookup import look_up_existing
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import (
    Counts,
    Create,
    CreateReferenced,
    Operation,
    PlanDigest,
    PlannedError,
    Update,
    encode,
    plan_key,
)
from batchbus_strategies.records.planning import Planner
from batchbus_strategies.records.references import References, Resolved
from batchbus_strategies.records.rows import RowReader
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.sizes import Size, size_of
from batchbus_strategies.records.staged import StagedRecord
from batchbus_strategies.records.staging import ReadRow, Staging
from batchbus_strategies.records.staging_rows import RowStaging
from batchbus_strategies.strategy import JobRun
from batchbus_strategies.tables import Row, Table, TableFacts, open_table, shortened

__all__ = ["Preview"]

_ROWS: Final = 1000
"""Checked at a time, in a thread: some 50 ms."""
_READING: Final = 0.6
"""The share of a preview that reading the file takes, about; the rest is comparing and planning."""
_MAX_DOCUMENT: Final = 12 * 1024 * 1024
"""Bytes. MongoDB's limit for a document is 16 MiB, and this one is to have room to grow."""
_NO_HOOKS: Final = Hooks()
_ABORT_AFTER: Final = 1000
"""Records that cannot be used, after which an import that will be refused anyway gives up."""


class Preview:
    """The preview of one job."""

    def __init__(
        self, run: JobRun[RecordImportContext], schema: Schema, options: ImportOptions, hooks: Hooks = _NO_HOOKS
    ) -> None:
        self._run = run
        self._context = run.context
        self._schema = schema
        self._options = options
        self._hooks = hooks
        self._references = References(run.catalog, schema.references)
        self._copies: dict[str, Copies] = {}
        self._counts = Counts()
        self._size = Size()
        self._bad_lines = BadLines()
        """What is wrong, by line, for the error file."""
        self._first: PlannedError | None = None
        self._found: list[PlannedError] = []
        """Errors that have not been reported."""

    async def open(self) -> Table:
        """Raises `NotATable` and `TableError` for a file that is none."""
        return await open_table(
            self._run.files, self._context.fileKey, self._context.table, known=known_names(self._schema)
        )

    async def write(self, table: Table) -> None:
        """Write the plan and set the result. Raises `StrategyError` for a file that cannot be imported."""
        run, form = self._run, self._options.form
        key = plan_key(run.job_type, run.job_id, run.run_number, form)
        digest = PlanDigest()
        with (RowStaging if self._schema.rows else Staging).open(self._schema) as staging:
            layout = await self._layout(table)
            self._copies = await load_copies(self._schema, run.catalog)
            await self._stage(table, layout, staging)
            await asyncio.to_thread(staging.finish_reading)
            size = await look_up_existing(run, self._schema, staging)
            await asyncio.to_thread(staging.find_duplicates)
            async with run.files.write(key) as file:
                async for lines in self._planned(staging, self._planner(layout)):
                    digest.of_plan(lines)
                    await file.write(lines)
                self._before_keeping()
            records = staging.records
        async for chunk in run.files.read(self._context.fileKey):
            digest.of_file(chunk)
        await self._set_result(table.facts, {"PLAN": key}, digest)
        self._refuse(records, size)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _stage(self, table: Table, layout: Layout, staging: Staging) -> None:
        whole_rows = self._options.whole_rows and table.facts.format in ("csv", "tsv")
        stager = _Stager(RowReader(layout, self._schema, self._copies, whole_rows=whole_rows), staging)
        staged = 0
        async for batch in table.batches(_ROWS):
            await asyncio.to_thread(stager.add, batch)
            staged += len(batch)
            await self._run.advance(len(batch), message=f"{staged:,} rows read", share=_READING * table.progress)
            if self._gives_up(stager.bad):
                break  # the plan is made of what was read so far, to tell what is wrong with it

    def _gives_up(self, bad: int) -> bool:
        """Whether so many bad rows are enough to stop reading."""
        return self._context.on_error == "abort" and self._context.max_errors is None and bad >= _ABORT_AFTER

    async def _layout(self, table: Table) -> Layout:
        try:
            return read_header(
                table.header,
                self._schema,
                line=table.header_line,
                mapping=self._context.columns,
                deletes=self._options.deletes,
                families=await load_families(self._schema, self._run.catalog),
            )
        except HeaderRefused as refused:
            errors = [self._hooks.reword(error) for error in refused.errors]
            for error in errors:
                self._run.row_error(line=error.line, column=error.column, code=error.code, message=error.message)
            raise HeaderRefused(errors) from None

    # -- planning --------------------------------------------------------------------------------------------------

    def _planner(self, layout: Layout) -> Planner:
        return Planner(
            self._schema,
            self._run.job_id,
            ulids(),
            self._context.on_error,
            self._hooks,
            by_rows=self._options.by_rows,
            columns=columns_of(layout, self._schema),
            element_columns=layout.element_columns,
            copies=self._copies,
        )

    async def _planned(self, staging: Staging, planner: Planner) -> AsyncIterator[bytes]:
        """The lines of the plan, some at a time."""
        batches = staging.batches(self._options.chunk_size)
        done = 0
        while batch := await asyncio.to_thread(next, batches, None):
            await self._show(batch)
            resolved = await self._references.resolve([each.values for each in batch])
            await self._references.resolve_elements(self._schema, batch)
            lines = await asyncio.to_thread(b"".join, self._lines(planner, staging, batch, resolved))
            found, self._found = sorted(self._found, key=lambda error: error["line"]), []
            self._report(found)
            yield lines
            done += len(batch)
            share = _READING + (1 - _READING) * done / max(staging.records, done)
            await self._run.advance(0, message=f"{done:,} records planned", share=share)

    async def _show(self, batch: Sequence[StagedRecord]) -> None:
        if not self._schema.compared:
            return
        existing = [(each, each.existing) for each in batch if each.existing is not None]
        shown = await self._hooks.with_shown([document for _, document in existing])
        for (each, _), document in zip(existing, shown, strict=True):
            each.shown = document

    def _lines(
        self,
        planner: Planner,
        staging: Staging,
        batch: Sequence[StagedRecord],
        resolved: Sequence[Mapping[str, Resolved]],
    ) -> Iterator[bytes]:
        """It blocks, and is to be iterated in a thread."""
        for staged, references in zip(batch, resolved, strict=True):
            operation = planner.plan(staged, references)
            line = encode(operation, self._options.form)
            if len(line) > _MAX_DOCUMENT:
                message = "the record is too large for one document"
                error = CellError(staged.line, None, "record_too_large", message)
                staged.errors.append(error)
                operation = planner.plan(staged, references)
                line = encode(operation, self._options.form)
            if operation["op"] == "create" or operation["op"] == "update":
                for made in (*self._made_of_references(staged, staging), *self._made_of_copies(operation, staging)):
                    self._counts.add(made)
                    yield encode(made, self._options.form)
            self._note(operation)
            if operation["op"] != "unchanged" or self._options.form.unchanged:
                yield line

    def _made_of_references(self, staged: StagedRecord, staging: Staging) -> Iterator[CreateReferenced]:
        yield from self._references.made(staged.values, staging)
        for values in staged.named:
            yield from self._references.made(values, staging, self._schema.references_in_elements)

    def _made_of_copies(self, operation: Create | Update, staging: Staging) -> Iterator[CreateReferenced]:
        for path, copies in self._copies.items():
            if operation["op"] == "create":
                value = operation["document"].get(path)
            else:
                value = operation["changes"].get(path, {}).get("new")
            for made in copies.made(value):
                if staging.is_new(made["collection"], made["id"]):
                    yield made

    def _note(self, operation: Operation) -> None:
        self._counts.add(operation)
        if self._options.counts_elements:
            self._size = self._size.plus(size_of(operation, self._schema))
        errors: Sequence[PlannedError] = ()
        if operation["op"] == "error":
            errors = operation["errors"]
            self._bad_lines.add(messages_by_line(operation["lines"], errors))
        elif operation["op"] == "create" or operation["op"] == "update":
            errors = operation.get("left_out", ())
            if self._options.by_rows:
                self._bad_lines.add(messages_by_line([], errors))
        self._found += errors

    def _report(self, errors: Sequence[PlannedError]) -> None:
        """Tell the run of errors, which are in the order of their lines."""
        for error in errors:
            self._first = self._first or error
            value = None if error["value"] is None else shortened(error["value"])
            self._run.row_error(
                line=error["line"], column=error["column"], code=error["code"], message=error["message"], value=value
            )

    def _before_keeping(self) -> None:
        """Called when all is planned. Raise `StrategyError` to leave no plan behind."""

    # -- the result ------------------------------------------------------------------------------------------------

    async def _set_result(self, facts: TableFacts, files: dict[str, str], digest: PlanDigest) -> None:
        run, counts, name = self._run, self._counts, self._schema.name
        if key := await write_error_file(run, self._bad_lines):
            files["ERRORS"] = key
        run.result["files"] = files
        run.result["plan_digest"] = digest.value
        run.result["operations"] = counts.as_json()
        run.result["table"] = {name: value for name, value in asdict(facts).items() if value}
        self._warn()
        run.expect(counts.changes)
        sentence = f"{counts.create:,} created, {counts.update:,} updated, {counts.unchanged:,} unchanged"
        sentence += f", {counts.delete:,} deleted" if self._options.deletes else ""
        sentence += f", {counts.error:,} cannot be used" if counts.error else ""
        run.describe(f"{run.job_type}-count", f"{name.capitalize()} records to import", f"There will be {sentence}.")

    def _warn(self) -> None:
        skipped = [*self._references.skipped, *(each for copies in self._copies.values() for each in copies.skipped)]
        if skipped:
            self._run.log.warning("references_skipped", count=len(skipped))
            self._run.result["warnings"] = skipped

    def _refuse(self, records: int, size: int) -> None:
        """Raises `RecordsRefused` if errors forbid the import, or it would change too much."""
        self._refuse_errors(records)
        self._refuse_changes(size)

    def _refuse_errors(self, records: int) -> None:
        context, counts = self._context, self._counts
        if counts.error and (context.on_error == "abort"):
            raise self._refused("")
        if context.max_errors is not None and counts.error > most(context.max_errors, records):
            raise self._refused(f"More than {context.max_errors} cannot be used: ")

    def _refuse_changes(self, size: int) -> None:
        context, counts = self._context, self._counts
        if self._run.dry_run:
            return
        for limit, count, what in (
            (context.max_changes, counts.changes, "change"),
            (context.max_deletes, counts.delete, "delete"),
        ):
            if limit is not None and count > most(limit, size):
                raise RecordsRefused(
                    f"The import would {what} {count:,} records, and the limit is {limit}. Nothing was changed. Make a dry "
                    "run and confirm it, if that is what is wanted",
                    public=True,
                )

    def _refused(self, limit: str) -> RecordsRefused:
        """`limit`: which one there are too many for, with a colon, or nothing."""
        first, count = self._first, self._counts.error
        assert first
        column = f', column "{shortened(first["column"])}"' if first["column"] else ""
        value = f', value "{shortened(first["value"])}"' if first["value"] is not None else ""
        records = "1 record cannot be used" if count == 1 else f"{count:,} records cannot be used; the first"
        place = f"{limit}{records}: line {first['line']}{column}"
        return RecordsRefused(f"{place}{value}: {first['message']}", without_values=f"{place}: {first['code']}")


class _Stager:
    """Puts rows into the staging database, each under its record."""

    def __init__(self, rows: RowReader, staging: Staging) -> None:
        self._rows = rows
        self._staging = staging
        self.bad = 0
        """Rows with errors so far."""

    def add(self, batch: Sequence[Row]) -> None:
        read: list[ReadRow] = []
        for row in batch:
            errors: list[CellError] = []
            values = self._rows.read(row, errors)
            self.bad += bool(errors or (values is not None and values.errors))
            read.append((values, errors))
        self._staging.add(read)

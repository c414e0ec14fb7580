"""Pre-processing an import: read the file, check every row, and write the plan. The catalogue is only read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from batchbus_events.ids import new_ulids
from batchbus_strategies.records.context import RecordImportContext, most
from batchbus_strategies.records.errors import CellError, HeaderRefused, RecordsRefused
from batchbus_strategies.records.header import columns_of, known_names, load_families, read_header
from batchbus_strategies.records.layout import Layout
from batchbus_strategies.records.leftovers import messages_by_line, write_error_file
from batchbus_strategies.records.lookup import look_up_existing
from batchbus_strategies.records.plan import Counts, Operation, PlanDigest, PlannedError, encode, plan_key
from batchbus_strategies.records.planning import Check, Planner
from batchbus_strategies.records.references import References
from batchbus_strategies.records.rows import RowReader
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staging import ReadRow, StagedRecord, Staging
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
_ABORT_AFTER: Final = 1000
"""Records that cannot be used, after which an import that will be refused anyway gives up."""


WithShown = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[Mapping[str, Any]]]]


class Preview:
    """The preview of one job."""

    def __init__(
        self,
        run: JobRun[RecordImportContext],
        schema: Schema,
        *,
        check: Check,
        deletes: bool,
        chunk_size: int,
        with_shown: WithShown | None = None,
    ) -> None:
        """`with_shown`: documents as `Shown` columns show them; as they are if it is None."""
        self._run = run
        self._context = run.context
        self._schema = schema
        self._deletes = deletes
        self._with_shown = with_shown
        self._chunk_size = chunk_size
        self._references = References(run.catalog, schema.references)
        self._planner = Planner(schema, run.job_id, _ulids(), run.context.on_error, check)
        self._counts = Counts()
        self._bad_lines: dict[int, str] = {}
        """What is wrong, by line, for the error file."""
        self._first: PlannedError | None = None

    async def open(self) -> Table:
        """Raises `NotATable` and `TableError` for a file that is none."""
        return await open_table(
            self._run.files, self._context.fileKey, self._context.table, known=known_names(self._schema)
        )

    async def write(self, table: Table) -> None:
        """Write the plan and set the result. Raises `StrategyError` for a file that cannot be imported."""
        run, key = self._run, plan_key(self._run.job_type, self._run.job_id, self._run.run_number)
        digest = PlanDigest()
        with (RowStaging if self._schema.rows else Staging).open(self._schema) as staging:
            await self._stage(table, staging)
            await asyncio.to_thread(staging.find_duplicates)
            size = await look_up_existing(run, self._schema, staging)
            async with run.files.write(key) as file:
                async for lines in self._planned(staging):
                    digest.of_plan(lines)
                    await file.write(lines)
            records = staging.records
        async for chunk in run.files.read(self._context.fileKey):
            digest.of_file(chunk)
        await self._set_result(table.facts, {"PLAN": key}, digest)
        self._refuse(records, size)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _stage(self, table: Table, staging: Staging) -> None:
        layout = await self._layout(table)
        self._planner.columns = columns_of(layout, self._schema)
        stager = _Stager(RowReader(layout, self._schema), staging)
        staged = 0
        async for batch in table.batches(_ROWS):
            await asyncio.to_thread(stager.add, batch)
            staged += len(batch)
            await self._run.advance(len(batch), message=f"{staged:,} rows read", share=_READING * table.progress)
            if self._context.on_error == "abort" and self._context.max_errors is None and stager.bad >= _ABORT_AFTER:
                break  # the plan is made of what was read so far, to tell what is wrong with it

    async def _layout(self, table: Table) -> Layout:
        try:
            return read_header(
                table.header,
                self._schema,
                line=table.header_line,
                mapping=self._context.columns,
                deletes=self._deletes,
                families=await load_families(self._schema, self._run.catalog),
            )
        except HeaderRefused as refused:
            for error in refused.errors:
                self._run.row_error(line=error.line, column=error.column, code=error.code, message=error.message)
            raise

    # -- planning --------------------------------------------------------------------------------------------------

    async def _planned(self, staging: Staging) -> AsyncIterator[bytes]:
        """The lines of the plan, some at a time."""
        batches = staging.batches(self._chunk_size)
        done = 0
        while batch := await asyncio.to_thread(next, batches, None):
            await self._show(batch)
            resolved = await self._references.resolve([each.values for each in batch])

            def plan(batch: Sequence[StagedRecord] = batch, resolved: Any = resolved) -> bytes:
                return b"".join(self._lines(batch, resolved))

            yield await asyncio.to_thread(plan)
            done += len(batch)
            share = _READING + (1 - _READING) * done / max(staging.records, done)
            await self._run.advance(0, message=f"{done:,} records planned", share=share)

    async def _show(self, batch: Sequence[StagedRecord]) -> None:
        if self._with_shown is None or not any(field.shown for field in self._schema.fields):
            return
        existing = [(each, each.existing) for each in batch if each.existing is not None]
        shown = await self._with_shown([document for _, document in existing])
        for (each, _), document in zip(existing, shown, strict=True):
            each.shown = document

    def _lines(self, batch: Sequence[StagedRecord], resolved: Sequence[Any]) -> Iterator[bytes]:
        for staged, references in zip(batch, resolved, strict=True):
            operation = self._planner.plan(staged, references)
            line = encode(operation)
            if len(line) > _MAX_DOCUMENT:
                message = "the record is too large for one document"
                error = CellError(staged.line, None, "record_too_large", message)
                staged.errors.append(error)
                operation = self._planner.plan(staged, references)
                line = encode(operation)
            if operation["op"] == "create" or operation["op"] == "update":
                for made in self._references.made(staged.values):
                    self._counts.add(made)
                    yield encode(made)
            self._note(operation)
            yield line

    def _note(self, operation: Operation) -> None:
        self._counts.add(operation)
        errors: Sequence[PlannedError] = ()
        if operation["op"] == "error":
            errors = operation["errors"]
        elif operation["op"] == "update":
            errors = operation.get("left_out", ())
        for error in errors:
            self._first = self._first or error
            value = None if error["value"] is None else shortened(error["value"])
            self._run.row_error(
                line=error["line"], column=error["column"], code=error["code"], message=error["message"], value=value
            )
        if operation["op"] == "error":
            self._bad_lines |= messages_by_line(operation["lines"], errors)

    # -- the result ------------------------------------------------------------------------------------------------

    async def _set_result(self, facts: TableFacts, files: dict[str, str], digest: PlanDigest) -> None:
        run, counts, name = self._run, self._counts, self._schema.name
        if key := await write_error_file(run, self._bad_lines):
            files["ERRORS"] = key
        run.result["files"] = files
        run.result["plan_digest"] = digest.value
        run.result["operations"] = counts.as_json()
        run.result["table"] = {name: value for name, value in asdict(facts).items() if value}
        warnings = list(self._references.skipped)
        if warnings:
            run.result["warnings"] = warnings
        run.expect(counts.changes)
        sentence = f"{counts.create:,} created, {counts.update:,} updated, {counts.unchanged:,} unchanged"
        sentence += f", {counts.delete:,} deleted" if self._deletes else ""
        sentence += f", {counts.error:,} cannot be used" if counts.error else ""
        run.describe(f"{run.job_type}-count", f"{name.capitalize()} records to import", f"There will be {sentence}.")

    def _refuse(self, records: int, size: int) -> None:
        """Raises `RecordsRefused` if errors forbid the import, or it would change too much."""
        context, counts = self._context, self._counts
        if counts.error and (context.on_error == "abort"):
            raise RecordsRefused(self._summary())
        if context.max_errors is not None and counts.error > most(context.max_errors, records):
            raise RecordsRefused(f"More than {context.max_errors} cannot be used: {self._summary()}")
        if self._run.dry_run:
            return
        for limit, count, what in (
            (context.max_changes, counts.changes, "change"),
            (context.max_deletes, counts.delete, "delete"),
        ):
            if limit is not None and count > most(limit, size):
                raise RecordsRefused(
                    f"The import would {what} {count:,} records, and the limit is {limit}. Nothing was changed. Make a dry "
                    "run and confirm it, if that is what is wanted"
                )

    def _summary(self) -> str:
        first, count = self._first, self._counts.error
        assert first
        column = f', column "{shortened(first["column"])}"' if first["column"] else ""
        value = f', value "{shortened(first["value"])}"' if first["value"] is not None else ""
        records = "1 record cannot be used" if count == 1 else f"{count:,} records cannot be used; the first"
        return f"{records}: line {first['line']}{column}{value}: {first['message']}"


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
            self.bad += bool(errors)
            read.append((values, errors))
        self._staging.add(read)


def _ulids() -> Iterator[str]:
    while True:
        yield from new_ulids(1000)

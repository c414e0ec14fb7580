"""Pre-processing an import: read the file, check every row, and write the plan. The catalogue is only read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from batchbus_strategies.catalog.references import References, load_references
from batchbus_strategies.product_import.header import KNOWN_NAMES, HeaderRefused, Layout, read_header
from batchbus_strategies.product_import.lookup import look_up_existing
from batchbus_strategies.product_import.plan import Counts, encode, plan_key
from batchbus_strategies.product_import.planning import Planner
from batchbus_strategies.product_import.row_errors import RowErrors
from batchbus_strategies.product_import.rows import RowError, RowReader
from batchbus_strategies.product_import.staging import NewProduct, NewVariant, StagedProduct, Staging
from batchbus_strategies.records.fields import trimmed
from batchbus_strategies.tables import MAX_COLUMNS, CsvReader, CsvRow, is_header_again

if TYPE_CHECKING:
    from batchbus_strategies.product_import.context import ProductImportContext
    from batchbus_strategies.strategy import JobRun

__all__ = ["plan_import"]

_ROWS: Final = 1000
"""Checked at a time, in a thread: some 50 ms."""
_READING: Final = 0.6
"""The share of a preview that reading the file takes, about; the rest is comparing and planning."""
_MAX_PRODUCT_BYTES: Final = 12 * 1024 * 1024
"""MongoDB's limit for a document is 16 MiB, and this one is to have room to grow."""


async def plan_import(run: JobRun[ProductImportContext], *, chunk_size: int) -> None:
    """Write the plan and set the result. Raises `StrategyError` for a file that cannot be imported."""
    errors = RowErrors(run, run.context.on_error, run.context.max_errors)
    references = await load_references(run.catalog)
    file = _Metered(run.files.read(run.context.fileKey), await run.files.size(run.context.fileKey))
    reader = await CsvReader.open(
        file.chunks(),
        encoding=run.context.encoding,
        delimiter=run.context.delimiter,
        known=KNOWN_NAMES,
    )
    layout = _read_header(run, reader, references)
    rows = RowReader(layout, references)
    with Staging.open() as staging:
        stager = _Stager(reader.header, layout, rows, staging)
        await _stage(run, reader, stager, file, errors)
        await _report(staging.drop_duplicates(), errors)
        await look_up_existing(run, staging)
        await _report(staging.drop_clashes(), errors)
        planner = Planner(layout, references, run.job_id)
        counts = await _write_plan(run, planner, staging.batches(chunk_size), stager.products, errors)
    _set_result(run, counts, sorted(rows.unknown_channels))


def _read_header(run: JobRun[ProductImportContext], reader: CsvReader, references: References) -> Layout:
    try:
        return read_header(reader.header, references)
    except HeaderRefused as refused:
        for error in refused.errors:
            run.row_error(line=reader.header_line, column=error.column, code=error.code, message=error.message)
        raise


class _Metered:
    """The bytes of a file, and how much of it has been read."""

    def __init__(self, chunks: AsyncIterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self._read = 0

    @property
    def share(self) -> float:
        return min(self._read / self._size, 1.0) if self._size else 1.0

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._read += len(chunk)
            yield chunk


async def _stage(
    run: JobRun[ProductImportContext], reader: CsvReader, stager: _Stager, file: _Metered, errors: RowErrors
) -> None:
    staged = 0
    async for batch in reader.batches(_ROWS):
        errors.report(await asyncio.to_thread(stager.add, batch))
        staged += len(batch)
        await run.advance(len(batch), message=f"{staged:,} rows read", share=_READING * file.share)


class _Stager:
    """Puts rows into the staging database, each under its product."""

    def __init__(self, header: Sequence[str], layout: Layout, rows: RowReader, staging: Staging) -> None:
        self._header = header
        self._layout = layout
        self._rows = rows
        self._staging = staging
        self.products = 0
        """How many the file names so far."""

    def add(self, batch: Sequence[CsvRow]) -> list[RowError]:
        """The rows that cannot be used, in the order of the file."""
        layout = self._layout
        errors: list[RowError] = []
        usable: list[CsvRow] = []
        for line, cells in batch:
            if is_header_again((line, cells), self._header):
                continue  # the file was glued from two
            if error := _shape_error(line, cells, layout):
                errors.append(error)
            else:
                usable.append((line, cells))
        products: list[NewProduct] = []
        variants: list[NewVariant] = []
        id_index = layout.fixed.get("Product Id")
        variant_index = layout.fixed.get("Variant Id")
        handles = [_handle(cells, layout, id_index) for _, cells in usable]
        known = self._staging.known_products(list(set(handles)))
        for handle, (line, cells) in zip(handles, usable, strict=True):
            product_id = (trimmed(cells[id_index]) or None) if id_index is not None else None
            of_row: list[RowError] = []
            found = known.get(handle)
            if found is None:
                self.products += 1
                found = known[handle] = (self.products, line, product_id)
                row = self._rows.product(line, cells, of_row)
                products.append(NewProduct(self.products, handle, line, product_id, None if of_row else row))
            elif product_id is not None and product_id != found[2]:
                message = f"the same product has another id, or none, in line {found[1]}"
                of_row.append(RowError(line, "Product Id", "conflicting_id", message, product_id))
            before = len(of_row)
            variant = self._rows.variant(line, cells, of_row)
            if len(of_row) == before:
                variant_id = (trimmed(cells[variant_index]) or None) if variant_index is not None else None
                variants.append(NewVariant(found[0], line, variant_id, variant))
            errors += of_row
        self._staging.add(products, variants)
        return sorted(errors, key=lambda error: error.line)


def _handle(cells: Sequence[str], layout: Layout, id_index: int | None) -> str:
    """Without blanks around it, which make twins; but products that are there may be such twins, and are named by id."""
    handle = cells[layout.handle]
    return handle if id_index is not None and trimmed(cells[id_index]) else trimmed(handle)


def _shape_error(line: int, cells: list[str], layout: Layout) -> RowError | None:
    """A row that does not fit the header, or does not say which product it is about."""
    if len(cells) > layout.width and not any(cells[layout.width :]):
        del cells[layout.width :]
    if len(cells) != layout.width:
        number = len(cells) if len(cells) <= MAX_COLUMNS else f"more than {MAX_COLUMNS:,}"
        message = f"the row has {number} cells, the header has {layout.width}"
        return RowError(line, None, "ragged_row", message)
    if not trimmed(cells[layout.handle]):
        return RowError(line, "Product Handle", "missing_handle", "every row needs a handle")
    return None


async def _report(found: Iterator[RowError], errors: RowErrors) -> None:
    while batch := await asyncio.to_thread(lambda: list(islice(found, 1000))):
        errors.report(batch)


async def _write_plan(
    run: JobRun[ProductImportContext],
    planner: Planner,
    batches: Iterator[list[StagedProduct]],
    total: int,
    errors: RowErrors,
) -> Counts:
    """What is in it. Raises `RowsRefused`, with no plan left behind, if errors forbid the import."""

    def plan_batch() -> tuple[int, bytes, Counts, list[RowError]] | None:
        products = next(batches, None)
        if products is None:
            return None
        lines: list[bytes] = []
        counts = Counts()
        found: list[RowError] = []
        for product in products:
            for operation in planner.plan(product, found):
                line = encode(operation)
                if len(line) > _MAX_PRODUCT_BYTES:
                    message = "the product with all its variants is too large for one document"
                    found.append(RowError(product.line, None, "product_too_large", message, product.handle))
                    continue
                lines.append(line)
                if operation["op"] != "type":
                    counts = counts.plus(operation["counts"])
        return len(products), b"".join(lines), counts, found

    counts, done = Counts(), 0
    key = plan_key(run.job_id, run.run_number)
    async with run.files.write(key) as file:
        while planned := await asyncio.to_thread(plan_batch):
            products, lines, added, found = planned
            errors.report(found)
            await file.write(lines)
            counts = counts.plus(added)
            done += products
            share = _READING + (1 - _READING) * done / max(total, done)
            await run.advance(0, message=f"{counts.total:,} operations planned", share=share)
        errors.refuse()
    run.result["files"] = {"PLAN": key}
    return counts


def _set_result(run: JobRun[ProductImportContext], counts: Counts, unknown_channels: Sequence[str]) -> None:
    run.expect(counts.total)
    run.result["operations"] = {
        "PRODUCT_CREATE": counts.product_create,
        "PRODUCT_UPDATE": counts.product_update,
        "VARIANT_CREATE": counts.variant_create,
        "VARIANT_UPDATE": counts.variant_update,
    }
    # Clients compare this text with Medusa's, so it is Medusa's to the last space.
    run.describe(
        "product-import-count",
        "Products/variants to import",
        f"There will be {counts.product_create} products created ({counts.product_update}  updated).\n"
        f"             {counts.variant_create} variants will be created and {counts.variant_update} updated",
    )
    if unknown_channels:
        run.log.warning("sales_channels_skipped", count=len(unknown_channels))
        run.result["warnings"] = [
            f"There is no sales channel {channel}; it was skipped" for channel in unknown_channels
        ]

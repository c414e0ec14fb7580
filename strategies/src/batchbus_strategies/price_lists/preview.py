"""Pre-processing a price list's import: from the rows of its file to the plan, an operation for each variant.

All prices of a list are in one document, so the whole file fits into memory, or it fits into no price list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import bson

from batchbus_strategies.catalog.ids import Prefix, ulids
from batchbus_strategies.catalog.living import living
from batchbus_strategies.catalog.money import parse_amount
from batchbus_strategies.catalog.regions import load_regions
from batchbus_strategies.price_lists.document import find_price_list, fingerprint, revision_of
from batchbus_strategies.price_lists.header import PricedVariant, PriceLayout, read_price_header
from batchbus_strategies.price_lists.variants import Variants, load_variants
from batchbus_strategies.records import CellError, HeaderRefused
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import (
    Change,
    Create,
    Delete,
    Operation,
    PlanDigest,
    Refused,
    Unchanged,
    Update,
    encode,
    plan_key,
    planned_error,
)
from batchbus_strategies.records.preview import Preview
from batchbus_strategies.records.rows import RowReader
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.strategy import Document, StrategyError
from batchbus_strategies.tables import Row, Table

if TYPE_CHECKING:
    from batchbus_strategies.records import RecordImportContext
    from batchbus_strategies.strategy import JobRun

__all__ = ["plan_prices"]

_ROWS: Final = 1000
"""Checked at a time, in a thread."""
_MAX_PRICES: Final = 100_000
"""More than fit into one document, whatever their ids are: reading on would only take memory."""
_MAX_BYTES: Final = 12 * 1024 * 1024
"""MongoDB's limit for a document is 16 MiB, and this one is to have room to grow."""


@dataclass(slots=True)
class _PricedRow:
    """What a row says."""

    line: int
    id: str | None = None
    sku: str | None = None
    amounts: dict[tuple[str | None, str], int] = field(default_factory=dict)
    """By region, or None, and currency."""
    errors: list[CellError] = field(default_factory=list)


async def plan_prices(run: JobRun[RecordImportContext], price_list_id: str) -> None:
    """Write the plan and set the result. Raises `StrategyError` for a file that cannot be imported."""
    preview = _PricePreview(run, price_list_id)
    await preview.write(await preview.open())


class _PricePreview(Preview):
    """The preview of records, with rows and operations of its own."""

    def __init__(self, run: JobRun[RecordImportContext], price_list_id: str) -> None:
        super().__init__(run, schema_of(PricedVariant), ImportOptions(chunk_size=_ROWS, deletes=True))
        self._price_list_id = price_list_id

    async def write(self, table: Table) -> None:
        run, key = self._run, plan_key(self._run.job_type, self._run.job_id, self._run.run_number)
        price_list = await find_price_list(run.catalog, self._price_list_id)
        rows = await self._rows(table)
        ids, skus = [row.id for row in rows if row.id], [row.sku for row in rows if row.sku and not row.id]
        variants = await load_variants(run, ids, skus)
        operations = list(_operations(rows, variants, price_list, revision_of(run.job_id)))
        digest = PlanDigest()
        async with run.files.write(key) as file:
            for first in range(0, len(operations), _ROWS):
                lines = b"".join(map(encode, operations[first : first + _ROWS]))
                digest.of_plan(lines)
                await file.write(lines)
        async for chunk in run.files.read(self._context.fileKey):
            digest.of_file(chunk)
        for operation in operations:
            self._note(operation)
        self._report(self._found)
        if self._bad_lines:  # the file replaces all prices, so the one that is mended has to have all rows
            self._bad_lines.add({row.line: self._bad_lines.get(row.line, "") for row in rows})
        await self._set_result(table.facts, {"PLAN": key}, digest)
        run.result["price_list"] = {"id": self._price_list_id, "fingerprint": fingerprint(price_list)}
        used = [row for row in rows if not row.errors]
        run.expect(len(used))
        count = sum(len(row.amounts) for row in used)
        run.describe("price-list-import-count", "PriceList to import", f"{count} prices will be added")
        self._refuse(len(rows), len({price.get("variant_id") for price in living(price_list.get("prices"))}))
        _refuse_too_large(operations)

    async def _rows(self, table: Table) -> list[_PricedRow]:
        regions = await load_regions(self._run.catalog)
        try:
            layout = read_price_header(table.header, regions, line=table.header_line, mapping=self._context.columns)
        except HeaderRefused as refused:
            for error in refused.errors:
                self._run.row_error(line=error.line, column=error.column, code=error.code, message=error.message)
            raise
        reader = _PriceReader(layout)
        async for batch in table.batches(_ROWS):
            await asyncio.to_thread(reader.add, batch)
            await self._run.advance(0, message=f"{len(reader.rows):,} rows read", share=table.progress)
        return reader.rows


class _PriceReader:
    def __init__(self, layout: PriceLayout) -> None:
        self._rows = RowReader(layout.names, schema_of(PricedVariant))
        self._prices = layout.prices
        self._count = 0
        self.rows: list[_PricedRow] = []

    def add(self, batch: Sequence[Row]) -> None:
        for line, cells in batch:
            errors: list[CellError] = []
            named = self._rows.read((line, cells), errors)
            if named is None and not errors:
                continue  # it repeats the header
            row = _PricedRow(line)
            if named is not None:
                row.id, row.sku = named.id, named.key[0] if named.key else None
                self._read_prices(row, cells)
            for error in errors:
                if error.code == "missing_key":
                    error = CellError(line, None, "missing_key", "SKU or ID is required")
                row.errors.append(error)
            self.rows.append(row)
            self._count += max(1, len(row.amounts))
            if self._count > _MAX_PRICES:
                raise StrategyError(
                    f"A price list has room for {_MAX_PRICES:,} prices at most, and the file has more", public=True
                )

    def _read_prices(self, row: _PricedRow, cells: Sequence[str | None]) -> None:
        for price in self._prices:
            if not (cell := (cells[price.index] or "").strip()):
                continue
            try:
                row.amounts[price.region_id, price.currency] = parse_amount(cell, price.currency)
            except ValueError as error:
                row.errors.append(CellError(row.line, price.header, "bad_amount", str(error), cell))


def _operations(
    rows: Sequence[_PricedRow], variants: Variants, price_list: Document, revision: str
) -> Iterator[Operation]:
    """One for each row, and one for each variant that has prices and that no row names: it loses them. A variant keeps its
    prices if a row names it that cannot be used."""
    now: dict[str, list[Document]] = {}
    for price in living(price_list.get("prices")):
        now.setdefault(price.get("variant_id") or "", []).append(price)
    ids, first_lines = ulids(), dict[str, int]()
    for row in rows:
        id_ = _variant_of(row, variants)
        if id_ is not None and (first := first_lines.setdefault(id_, row.line)) != row.line:
            message = f"line {first} is about the same variant already"
            row.errors.append(CellError(row.line, None, "duplicate_record", message))
        yield _operation(row, id_, now.get(id_ or "", []), ids, revision)
    for id_, old in now.items():
        if id_ not in first_lines:
            key, document = [variants.skus.get(id_) or id_], {"prices": old}
            yield Delete(op="delete", line=0, lines=[], key=key, id=id_, revision=revision, document=document)


def _operation(
    row: _PricedRow, id_: str | None, old: Sequence[Document], ids: Iterator[str], revision: str
) -> Operation:
    line, lines = row.line, [row.line]
    key = [row.sku or row.id or ""] if row.sku or row.id else []
    if id_ is None or row.errors:
        errors = [planned_error(error) for error in row.errors]
        return Refused(op="error", line=line, lines=lines, key=key, errors=errors)
    new = _prices(id_, row.amounts, old, ids)
    if new == old:
        return Unchanged(op="unchanged", line=line, lines=lines, key=key, id=id_)
    if not old:
        document = {"prices": new}
        return Create(op="create", line=line, lines=lines, key=key, id=id_, revision=revision, document=document)
    changes = {"prices": Change(old=old, new=new)}
    return Update(op="update", line=line, lines=lines, key=key, id=id_, revision=revision, changes=changes)


def _variant_of(row: _PricedRow, variants: Variants) -> str | None:
    """Adds an error to the row if there is no such variant, or the id and the SKU are not of the same one."""
    if row.id is not None:
        if row.id not in variants.skus:
            row.errors.append(_unknown(row.line, PricedVariant.id_column, "id", row.id))
            return None
        if row.sku and variants.skus[row.id] != row.sku:
            message = (
                f"the variant with this id has the SKU {variants.skus[row.id]}"
                if variants.skus[row.id]
                else "the variant with this id has no SKU"
            )
            row.errors.append(CellError(row.line, "SKU", "other_variant", message, row.sku))
        return row.id
    if row.sku is not None and row.sku not in variants.ids:
        row.errors.append(_unknown(row.line, "SKU", "SKU", row.sku))
    return variants.ids.get(row.sku or "")


def _unknown(line: int, column: str | None, what: str, value: str) -> CellError:
    return CellError(line, column, "unknown_record", f"there is no variant with this {what} in the catalogue", value)


def _prices(
    variant_id: str, amounts: Mapping[tuple[str | None, str], int], old: Sequence[Document], ids: Iterator[str]
) -> list[Document]:
    """As the list will have them. A price that is there already keeps its id, and its place."""
    rest = dict(amounts)
    result: list[Document] = []
    for price in old:
        of_some = price.get("min_quantity") is not None or price.get("max_quantity") is not None
        amount = None if of_some else rest.pop((price.get("region_id"), price["currency_code"].lower()), None)
        if amount is not None:
            result.append({**price, "amount": amount})
    for (region_id, currency), amount in rest.items():
        result.append(
            {
                "id": Prefix.PRICE + next(ids),
                "variant_id": variant_id,
                "currency_code": currency,
                "amount": amount,
                "region_id": region_id,
                "min_quantity": None,
                "max_quantity": None,
            }
        )
    return result


def _refuse_too_large(operations: Sequence[Operation]) -> None:
    size = sum(len(bson.encode(each["document"])) for each in operations if each["op"] == "create")
    size += sum(
        len(bson.encode({"prices": each["changes"]["prices"]["new"]})) for each in operations if each["op"] == "update"
    )
    if size > _MAX_BYTES:
        raise StrategyError(
            f"The prices take {size / 2**20:.0f} MiB, and a price list has room for {_MAX_BYTES // 2**20}", public=True
        )

"""From the cells of a row to what it says about a product and a variant, with every cell that says nothing sensible.

This is the hot loop of an import's preview: what a column means is looked up once for the file, not once for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from batchbus_strategies.catalog.columns import COLUMNS, Kind
from batchbus_strategies.catalog.documents import Collection, Document
from batchbus_strategies.catalog.money import parse_amount
from batchbus_strategies.catalog.references import References
from batchbus_strategies.product_import.cells import boolean, integer, number, split_tags, status
from batchbus_strategies.product_import.header import Layout
from batchbus_strategies.records.fields import trimmed

__all__ = ["ProductRow", "RowError", "RowReader", "VariantRow"]

_PARSERS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.NUMBER: number,
    Kind.INTEGER: integer,
    Kind.BOOLEAN: boolean,
    Kind.STATUS: status,
}


@dataclass(frozen=True, slots=True)
class RowError:
    """A cell, or a row where `column` is None, that cannot be imported."""

    line: int
    column: str | None
    code: str
    message: str
    value: str | None = None


class ProductRow(TypedDict, total=False):
    """What the first row of a product says about it. A key is there if the file has the column."""

    fields: Document
    """By the document's field names; None for an empty cell."""
    collection: Collection | None
    type: str | None
    tags: list[str]
    images: list[str]
    sales_channels: list[str]
    """Ids."""
    sales_channels_skipped: bool
    """Whether the row names one that there is not."""
    categories: list[str]
    """Ids."""


class VariantRow(TypedDict):
    """What a row says about its variant."""

    fields: Document
    prices: list[int | None]
    """One for each of `Layout.prices`."""
    options: list[tuple[str, str | None]]
    """Title and value."""


class RowReader:
    """Reads the rows of one file."""

    def __init__(self, layout: Layout, references: References) -> None:
        self._layout = layout
        self._references = references
        self._product_texts = _texts(layout, "product")
        self._product_typed = _typed(layout, "product")
        self._variant_texts = _texts(layout, "variant")
        self._variant_typed = _typed(layout, "variant")
        self.unknown_channels: set[str] = set()
        """Names or ids of sales channels that were skipped; at most 20."""

    def variant(self, line: int, cells: list[str], errors: list[RowError]) -> VariantRow:
        """Errors are added to `errors`; if there are any, the row is not to be used."""
        fields: Document = {field: _text(cells[index], field) for index, field in self._variant_texts}
        _read_typed(self._variant_typed, line, cells, fields, errors)
        prices: list[int | None] = []
        for price in self._layout.prices:
            cell = cells[price.index].strip()
            amount: int | None = None
            if cell:
                try:
                    amount = parse_amount(cell, price.currency)
                except ValueError as error:
                    errors.append(RowError(line, price.header, "bad_amount", str(error), cell))
            prices.append(amount)
        return {"fields": fields, "prices": prices, "options": self._options(line, cells, errors)}

    def product(self, line: int, cells: list[str], errors: list[RowError]) -> ProductRow:
        """Errors are added to `errors`; if there are any, the product is not to be used."""
        layout = self._layout
        fields: Document = {field: cells[index] or None for index, field in self._product_texts}
        _read_typed(self._product_typed, line, cells, fields, errors)
        row: ProductRow = {"fields": fields}
        self._collection(line, cells, row, errors)
        if (index := layout.fixed.get("Product Type")) is not None:
            row["type"] = trimmed(cells[index]) or None
        if (index := layout.fixed.get("Product Tags")) is not None:
            row["tags"] = split_tags(cells[index])
        if layout.images:
            row["images"] = list(dict.fromkeys(cells[index] for index in layout.images if cells[index]))
        if layout.sales_channels:
            row["sales_channels"], skipped = self._sales_channels(cells)
            if skipped:
                row["sales_channels_skipped"] = True
        if layout.categories:
            row["categories"] = self._categories(line, cells, errors)
        return row

    def _options(self, line: int, cells: list[str], errors: list[RowError]) -> list[tuple[str, str | None]]:
        options: dict[str, str | None] = {}
        for n, name_index, value_index in self._layout.options:
            name, value = trimmed(cells[name_index]), cells[value_index]
            if name in options and name:
                message = f"the option {name} is named twice in this row"
                errors.append(RowError(line, f"Option {n} Name", "duplicate_option", message, name))
            elif name:
                options[name] = value or None
            elif value:
                message = "an option's value without its name"
                errors.append(RowError(line, f"Option {n} Value", "option_without_name", message, value))
        return list(options.items())

    def _collection(self, line: int, cells: list[str], row: ProductRow, errors: list[RowError]) -> None:
        handle_index = self._layout.fixed.get("Product Collection Handle")
        title_index = self._layout.fixed.get("Product Collection Title")
        if handle_index is None and title_index is None:
            return
        handle = cells[handle_index] if handle_index is not None else ""
        title = cells[title_index] if title_index is not None else ""
        try:
            row["collection"] = self._references.find_collection(handle, title)
        except LookupError as error:
            column = "Product Collection Handle" if handle else "Product Collection Title"
            errors.append(RowError(line, column, "unknown_collection", str(error), handle or title))

    def _sales_channels(self, cells: list[str]) -> tuple[list[str], bool]:
        """The ids of those that there are, and whether any was skipped."""
        found: dict[str, None] = {}
        skipped = False
        for parts in self._layout.sales_channels:
            named = {part: cells[index] for part, index in parts.items()}
            channel = self._references.find_sales_channel(named.get("Id", ""), named.get("Name", ""))
            if channel:
                found[channel["id"]] = None
            elif any(named.values()):
                skipped = True
                if len(self.unknown_channels) < 20:
                    self.unknown_channels.add(named.get("Name") or named["Id"])
        return list(found), skipped

    def _categories(self, line: int, cells: list[str], errors: list[RowError]) -> list[str]:
        found: dict[str, None] = {}
        for name, index in self._layout.categories:
            handle = cells[index]
            if not handle:
                continue
            if category := self._references.find_category(handle):
                found[category["id"]] = None
            else:
                message = "there is no category with this handle"
                errors.append(RowError(line, name, "unknown_category", message, handle))
        return list(found)


def _text(cell: str, field: str) -> str | None:
    return (trimmed(cell) if field in ("sku", "barcode") else cell) or None


_Typed = tuple[int, str, str, Callable[[str], Any]]


def _texts(layout: Layout, of: str) -> list[tuple[int, str]]:
    return [
        (layout.fixed[column.name], column.field)
        for column in COLUMNS
        if column.of == of and column.kind is Kind.TEXT and column.name in layout.fixed
    ]


def _typed(layout: Layout, of: str) -> list[_Typed]:
    return [
        (layout.fixed[column.name], column.field, column.name, _PARSERS[column.kind])
        for column in COLUMNS
        if column.of == of and column.kind in _PARSERS and column.name in layout.fixed
    ]


def _read_typed(columns: list[_Typed], line: int, cells: list[str], fields: Document, errors: list[RowError]) -> None:
    for index, field, name, parse in columns:
        cell = cells[index].strip()
        value: object = None
        if cell:
            try:
                value = parse(cell)
            except ValueError as error:
                errors.append(RowError(line, name, f"bad_{parse.__name__}", str(error), cell))
        fields[field] = value

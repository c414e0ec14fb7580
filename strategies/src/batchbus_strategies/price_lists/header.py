"""The header of a price list's file: the columns that name a variant as those of a record, and its price columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from batchbus_strategies.catalog.columns import price_column
from batchbus_strategies.catalog.prices import priced
from batchbus_strategies.catalog.regions import Regions
from batchbus_strategies.records import CellError, ColumnError, HeaderRefused, Key, Record
from batchbus_strategies.records.header import nearest_of, read_header
from batchbus_strategies.records.layout import Layout
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.tables import shortened

__all__ = ["PriceLayout", "PricedVariant", "read_price_header"]

_HINTED: Final = 5
"""The errors that the nearest region is looked for in, since that takes its time."""


class PricedVariant(Record, collection="products", id_prefix="variant_", id_column="Product Variant ID"):
    """What a row is about: a variant, by its id or by its SKU. Its prices are in columns that regions give names to, for
    which a record has no declaration."""

    sku: Annotated[str, Key("SKU"), Field(examples=["TABLE-OAK-1"])]


@dataclass(frozen=True, slots=True)
class PriceCell:
    """A price column: where its cell is, and which price of a variant it holds."""

    index: int
    header: str
    region_id: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class PriceLayout:
    """Where in a row everything is."""

    names: Layout
    prices: tuple[PriceCell, ...]


def read_price_header(
    header: Sequence[str], regions: Regions, *, line: int, mapping: Mapping[str, str | None]
) -> PriceLayout:
    """Raises `HeaderRefused` with all that is wrong with it. `mapping` is as in `records.header.read_header`."""
    errors: list[CellError] = []
    prices: list[PriceCell] = []
    others = dict(mapping)
    for index, name in enumerate(header):
        meant = mapping.get(name, name)
        if meant is None or price_column(meant) is None:
            continue
        others[name] = None  # it is no column of the record
        try:
            prices.append(PriceCell(index, name, *priced(meant, regions)))
        except ColumnError as error:
            hint = nearest_of(error) if len(errors) < _HINTED else ""
            errors.append(CellError(line, name, error.code, f'column "{shortened(name)}": {error}{hint}', name))
    errors += _same(prices, line)
    errors += _twice(header, [price.header for price in prices], line)
    if not prices and not errors:
        message = 'there is no price column, such as "Price EUR" or "Price Europe [EUR]"'
        errors.append(CellError(line, None, "missing_column", message))
    try:
        names = read_header(header, schema_of(PricedVariant), line=line, mapping=others)
    except HeaderRefused as refused:
        raise HeaderRefused([*refused.errors, *errors]) from None
    if errors:
        raise HeaderRefused(errors)
    return PriceLayout(names, tuple(prices))


def _same(prices: Sequence[PriceCell], line: int) -> Iterator[CellError]:
    seen: dict[tuple[str | None, str], PriceCell] = {}
    for price in prices:
        first = seen.setdefault((price.region_id, price.currency), price)
        if first.header != price.header:
            message = f'the columns "{first.header}" and "{price.header}" are for the same price'
            yield CellError(line, price.header, "duplicate_column", message, price.header)


def _twice(header: Sequence[str], prices: Sequence[str], line: int) -> list[CellError]:
    return [
        CellError(line, name, "duplicate_column", f'there are two columns "{shortened(name)}"', name)
        for name in dict.fromkeys(prices)
        if list(header).count(name) > 1
    ]

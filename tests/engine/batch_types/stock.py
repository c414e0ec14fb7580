"""Batch type `stock-import`, for benchmarks: a record of six columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Record, RecordImport


class Stock(Record, collection="stock", id_prefix="stk_"):
    sku: Annotated[str, Key("SKU")]
    title: Annotated[str | None, Column("Title")] = None
    quantity: Annotated[int, Column("Quantity")] = 0
    price: Annotated[int | None, Column("Price", currency="EUR")] = None
    available: Annotated[bool, Column("Available")] = True
    tags: Annotated[list[str], Column("Tags")] = Field(default_factory=list)


class StockImport(RecordImport[Stock]):
    batch_type = "stock-import"

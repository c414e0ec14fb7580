"""Stock of an item at a place: a key of two columns, one of which is a number elsewhere."""

from datetime import date
from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Record, RecordExport, RecordImport
from batchbus_strategies.testing import RecordContract


class Stock(Record, collection="stock", id_prefix="st_"):
    sku: Annotated[str, Key("SKU", also=["Item"]), Field(examples=["A-1"])]
    place: Annotated[str, Key("Place"), Field(examples=["Berlin"])]
    quantity: Annotated[int, Column("Quantity"), Field(ge=0)]
    incoming: Annotated[int | None, Column("Incoming")] = None
    counted_on: Annotated[date | None, Column("Counted On")] = None


class StockImport(RecordImport[Stock]):
    batch_type = "stock-import"
    deletes = True


class StockExport(RecordExport[Stock]):
    batch_type = "stock-export"


class TestStock(RecordContract):
    import_type, export_type = StockImport, StockExport
    content = (
        "Item,Place,Quantity,Counted On,_delete\n007,Berlin,5,2025-01-31,\n007,Oslo,0,,\nB-1,Oslo,2,,\nC-1,Oslo,,,x\n"
    )
    wrong = "A-2,Berlin,-3,,"
    mended = "A-2,Berlin,3,,"

    async def furnish(self) -> None:
        stored = [("st_1", "007", 9), ("st_2", "C-1", 4)]
        await self.catalog["stock"].insert_many(
            [{"_id": id_, "sku": sku, "place": "Oslo", "quantity": quantity} for id_, sku, quantity in stored]
        )

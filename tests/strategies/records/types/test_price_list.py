"""Prices of a price list, one in each row, with money and its currency in one cell."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from batchbus_strategies.records import Column, Key, Money, Record, RecordExport, RecordImport, Reference
from batchbus_strategies.testing import RecordContract


class ListPrice(Record, collection="list_prices", id_prefix="lp_"):
    list_code: Annotated[str, Key("Price List"), Field(examples=["summer"])]
    sku: Annotated[str, Key("SKU"), Field(examples=["A-1"])]
    price: Annotated[Money, Column("Price")]
    deposit: Annotated[int | None, Column("Deposit", currency="JPY")] = None
    starts_at: Annotated[datetime | None, Column("Starts At")] = None
    season: Annotated[str | None, Reference("seasons", by="name", column="Season", missing="create", prefix="s_")] = (
        None
    )


class PriceListImport(RecordImport[ListPrice]):
    batch_type = "price-list-import"


class PriceListExport(RecordExport[ListPrice]):
    batch_type = "price-list-export"


class TestPriceLists(RecordContract):
    import_type, export_type = PriceListImport, PriceListExport
    content = (
        "SKU,Price List,Price,Deposit,Season,Starts At\nA-1,summer,10.50 EUR,12,Hot,2025-06-01T00:00:00+02:00\n"
        "A-2,summer,1050 JPY,,Hot,\nA-1,winter,1.234 KWD,,Cold,\n"
    )
    wrong = "A-3,summer,12,,,"
    mended = "A-3,summer,12 EUR,,,"

    async def furnish(self) -> None:
        old = {"amount": 9, "currency_code": "jpy"}
        await self.catalog["list_prices"].insert_one({"_id": "lp_1", "list_code": "summer", "sku": "A-2", "price": old})

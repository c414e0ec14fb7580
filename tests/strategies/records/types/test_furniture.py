"""Furniture in several sizes, a row each, with prices in columns of regions."""

from typing import Annotated

from batchbus_strategies.catalog.prices import PriceColumns
from batchbus_strategies.records import Column, Combination, Family, Key, Part, Record, RecordExport, RecordImport, Rows
from batchbus_strategies.testing import RecordContract


class Price(Part):
    id: str
    currency_code: str
    amount: int
    region_id: str | None = None


class Size(Part):
    sku: Annotated[str | None, Column("SKU", unique=True, index="skus")] = None
    differs: Annotated[dict[str, str], Combination("Option <n> Name", "Option <n> Value")]
    prices: Annotated[list[Price], Family(PriceColumns(), id_prefix="ma_")]


class Furniture(Record, collection="furniture", id_prefix="fu_"):
    handle: Annotated[str, Key("Handle")]
    title: Annotated[str, Column("Title")]
    sizes: Annotated[list[Size], Rows(id_column="Size Id", id_prefix="size_")]


class FurnitureImport(RecordImport[Furniture]):
    batch_type = "furniture-import"


class FurnitureExport(RecordExport[Furniture]):
    batch_type = "furniture-export"


class TestFurniture(RecordContract):
    import_type, export_type = FurnitureImport, FurnitureExport
    content = (
        "Handle,Title,SKU,Option 1 Name,Option 1 Value,Price Europe [EUR],Price JPY\n"
        "stool,Stool,S-1,Size,S,9.50,\nbench,Bench,B-1,Size,L,,1200\nchair,,C-1,Size,M,40,\n"
    )
    wrong = "shelf,Shelf,F-1,Size,M,much,"
    mended = "shelf,Shelf,F-1,Size,M,12,"

    async def furnish(self) -> None:
        await self.catalog["regions"].insert_one({"_id": "reg_eu", "name": "Europe", "currency_code": "eur"})
        await self.catalog["furniture"].insert_one({"_id": "fu_1", "handle": "chair", "title": "Chair", "sizes": []})

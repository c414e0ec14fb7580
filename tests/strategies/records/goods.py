"""A record that spans several rows: a product with its variants, whose options and prices are columns with names of data."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from batchbus_strategies import Catalog, Json
from batchbus_strategies.catalog.money import format_amount, parse_amount
from batchbus_strategies.records import (
    Column,
    ColumnError,
    Combination,
    Family,
    FamilyColumn,
    FamilyColumns,
    Key,
    NameList,
    Part,
    Record,
    RecordExport,
    RecordImport,
    Rows,
)
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.customers import Customers

Regions = Mapping[str, Mapping[str, Any]]


class PriceColumns(FamilyColumns[Regions]):
    """`Price EUR` for everyone, `Price Denmark [DKK]` for a region."""

    pattern = "Price <Region> [<CUR>]"
    example = ("Price EUR", "49.50")
    says = "an amount"

    def matches(self, header: str) -> bool:
        return header.startswith("Price ")

    async def load(self, catalog: Catalog) -> Regions:
        return {found["_id"]: found async for found in catalog["regions"].find({})}

    def column(self, header: str, known: Regions) -> FamilyColumn:
        match = re.fullmatch(r"Price (?:([A-Z]{3})|(.+?)(?: \[([A-Z]{3})\])?)", header)
        assert match
        code, name, of_region = match.groups()
        region = None
        if name is not None:
            named = [found for found in known.values() if found["name"] == name]
            if len(named) != 1:
                error = "ambiguous_region" if named else "unknown_region"
                message = f"{len(named) or 'no'} regions have the name {name}"
                raise ColumnError(error, message, looked_for=name, among=[found["name"] for found in known.values()])
            region, code = named[0]["_id"], str(named[0]["currency_code"]).upper()
            if of_region not in (None, code):
                raise ColumnError("wrong_currency", f"the region {name} has the currency {code}")
        currency = code.lower()
        new = {"region_id": region, "currency_code": currency}
        return FamilyColumn(f"{region or ''} {currency}", lambda cell: {"amount": parse_amount(cell, currency)}, new)

    def identity(self, element: Mapping[str, Any]) -> str | None:
        if element.get("min_quantity") is not None:
            return None
        return f"{element.get('region_id') or ''} {element['currency_code'].lower()}"

    def write(self, element: Mapping[str, Any]) -> str:
        return format_amount(element["amount"], element["currency_code"])

    def headers(self, identities: Iterable[str], known: Regions) -> Sequence[tuple[str, str]]:
        found = []
        for each in sorted(identities, key=lambda identity: identity.split(" ")[::-1]):
            region, currency = each.split(" ")
            if not region:
                found.append((each, f"Price {currency.upper()}"))
            elif region in known:
                found.append((each, f"Price {known[region]['name']} [{currency.upper()}]"))
        return found


class Price(Part):
    id: str
    currency_code: str
    amount: int
    region_id: str | None = None
    min_quantity: int | None = None


class OptionValue(Part):
    id: str
    option_id: str
    value: str


OPTIONS = NameList("options", "title", "option_id", "value", id_prefix="opt_", value_id_prefix="optval_")


class Variant(Part):
    title: Annotated[str, Column("Variant Title")]
    sku: Annotated[str | None, Column("Variant SKU", unique=True, index="skus")] = None
    stock: Annotated[int, Column("Variant Stock")] = 0
    options: Annotated[list[OptionValue], Combination("Option <n> Name", "Option <n> Value", OPTIONS)]
    prices: Annotated[list[Price], Family(PriceColumns(), id_prefix="ma_")]
    metadata: dict[str, str] | None = None


class Product(Record, collection="products", id_prefix="prod_", id_column="Product Id"):
    handle: Annotated[str, Key("Product Handle")]
    title: Annotated[str, Column("Product Title")]
    tags: Annotated[list[str], Column("Product Tags")] = Field(default_factory=list)
    variants: Annotated[list[Variant], Rows(id_column="Variant Id", id_prefix="variant_")]


class ProductImport(RecordImport[Product]):
    batch_type = "goods-import"
    chunk_size = 2
    deletes = True


class ProductExport(RecordExport[Product]):
    batch_type = "goods-export"


class Plate(Part):
    size: Annotated[dict[str, str], Combination("Size <n> Name", "Size <n> Value")]
    weight: Annotated[float | None, Column("Weight")] = None


class Sign(Record, collection="signs", id_prefix="sign_"):
    """Whose elements have their names and values in dicts."""

    code: Annotated[str, Key("Code")]
    plates: Annotated[list[Plate], Rows(id_column="Plate Id", id_prefix="plate_")]


class SignImport(RecordImport[Sign]):
    batch_type = "sign-import"


class Goods(Customers):
    """Imports products, and looks at what became of them."""

    async def furnish(self) -> None:
        await self.services.catalog["regions"].insert_many(
            [
                {"_id": "reg_eu", "name": "Europe", "currency_code": "eur"},
                {"_id": "reg_dk", "name": "Denmark", "currency_code": "dkk"},
                {"_id": "reg_1", "name": "Twin", "currency_code": "eur"},
                {"_id": "reg_2", "name": "Twin", "currency_code": "eur"},
            ]
        )

    def importer(self) -> ProductImport:
        return ProductImport()

    async def load(self, content: str | bytes, **options: Any) -> FakeJob[Any]:
        return await self.run(content, **{"strategy": ProductImport(), **options})

    async def planned(self, content: str | bytes, **options: Any) -> FakeJob[Any]:
        job = self.job(content, **{"strategy": ProductImport(), **options})
        await job.prepare()
        await job.pre_process()
        return job

    async def product(self, handle: str = "stool") -> dict[str, Any]:
        found = await self.services.catalog["products"].find_one({"handle": handle, "deleted_at": None})
        assert found is not None
        return found

    async def exported(self, **context: Json) -> bytes:
        job = FakeJob(ProductExport(), context, self.services)
        await job.prepare()
        await job.pre_process()
        await job.process()
        assert job.kept.count == job.kept.advanced
        return self.files.get(job.result["file_key"])

    async def lines_exported(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((await self.exported(order="Product Handle")).decode())))


def table(*rows: Mapping[str, str]) -> str:
    """A CSV with the columns of all rows; a key may have underscores for blanks."""
    named = [{name.replace("_", " "): cell for name, cell in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in named for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in named)
    return text.getvalue()


def stool(**changes: Any) -> dict[str, Any]:
    """A product as another service may have left it: it has no `skus`, and no revision."""
    return {
        "_id": "prod_stool",
        "handle": "stool",
        "title": "Stool",
        "options": [{"id": "opt_size", "title": "Size"}],
        "variants": [
            {
                "id": f"v_{size}",
                "title": size,
                "sku": f"STOOL-{size}",
                "stock": 3,
                "ean": "123",
                "options": [{"id": f"optval_{size}", "option_id": "opt_size", "value": size}],
                "prices": [{"id": f"ma_{size}", "currency_code": "EUR", "amount": 1000, "region_id": None}],
            }
            for size in ("S", "L")
        ],
        **changes,
    }

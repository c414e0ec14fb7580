"""A shop to import into: what the tests of imports and exports share."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from batchbus_strategies import Services, StrategyError
from batchbus_strategies.product_export import ProductExport
from batchbus_strategies.product_import import ProductImport
from batchbus_strategies.testing import FakeJob, LocalFiles

Catalog = AsyncIOMotorDatabase[dict[str, Any]]

REGIONS: list[dict[str, Any]] = [
    {"_id": "reg_eu", "name": "Europe", "currency_code": "eur"},
    {"_id": "reg_jp", "name": "Japan", "currency_code": "jpy"},
    {"_id": "reg_dk_lower", "name": "denmark", "currency_code": "dkk"},
    {"_id": "reg_dk", "name": "Denmark", "currency_code": "dkk"},
]
COLLECTIONS: list[dict[str, Any]] = [
    {"_id": "pcol_spring", "title": "Spring", "handle": "spring"},
    {"_id": "pcol_autumn", "title": "Autumn", "handle": "autumn"},
]
CHANNELS: list[dict[str, Any]] = [
    {"_id": "sc_web", "name": "Web shop", "description": "The web"},
    {"_id": "sc_fair", "name": "Fairs", "description": None},
]
CATEGORIES: list[dict[str, Any]] = [
    {"_id": "pcat_home", "handle": "home", "name": "Home"},
    {"_id": "pcat_garden", "handle": "garden", "name": "Garden"},
]

THEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


async def furnish(catalog: Catalog) -> None:
    """Put what products refer to into the catalogue."""
    await catalog["regions"].insert_many([dict(region) for region in REGIONS])
    await catalog["product_collections"].insert_many([dict(collection) for collection in COLLECTIONS])
    await catalog["sales_channels"].insert_many([dict(channel) for channel in CHANNELS])
    await catalog["product_categories"].insert_many([dict(category) for category in CATEGORIES])


def stool(**changes: Any) -> dict[str, Any]:
    """A product as it might have been in the catalogue for long."""
    return {
        "_id": "prod_stool",
        "handle": "stool",
        "title": "Stool",
        "status": "published",
        "discountable": True,
        "options": [{"id": "opt_size", "title": "Size"}],
        "skus": ["STOOL-L"],
        "created_at": THEN,
        "updated_at": THEN,
        "variants": [
            {
                "id": "variant_stool_l",
                "title": "Large",
                "sku": "STOOL-L",
                "variant_rank": 0,
                "inventory_quantity": 3,
                "allow_backorder": False,
                "manage_inventory": True,
                "options": [{"id": "optval_l", "option_id": "opt_size", "value": "L"}],
                "prices": [],
            }
        ],
        **changes,
    }


def price(currency: str, amount: int, region: str | None) -> dict[str, Any]:
    """A price as an import makes it, without its id."""
    return {
        "currency_code": currency,
        "amount": amount,
        "region_id": region,
        "min_quantity": None,
        "max_quantity": None,
        "price_list_id": None,
    }


def table(*rows: Mapping[str, str], delimiter: str = ",", line_end: str = "\n") -> bytes:
    """A CSV with the columns of its first row, or of all rows if the first does not have them all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue().encode()


def variant(handle: str, sku: str = "", **cells: str) -> dict[str, str]:
    """A row of a new product; the keys of `cells` have underscores for spaces."""
    named = {name.replace("_", " "): value for name, value in cells.items()}
    row = {"Product Handle": handle, "Product Title": handle.title(), "Variant Title": "One", "Variant SKU": sku}
    return row | named


class Shop:
    """Imports and exports, one call each."""

    def __init__(self, services: Services, files: LocalFiles) -> None:
        self.services = services
        self.files = files
        self._uploads = 0

    @property
    def catalog(self) -> Catalog:
        return self.services.catalog

    async def fill_catalog(self) -> None:
        """So many products that an import asks for those that its file names, and does not read them all."""
        products = [{"_id": f"filler_{number}", "handle": f"filler-{number}"} for number in range(1100)]
        await self.catalog["products"].insert_many(products)

    def job(self, content: bytes, *, strategy: ProductImport | None = None, **context: Any) -> FakeJob[Any]:
        """A product import that has not run."""
        self._uploads += 1
        key = self.files.put(f"uploads/{self._uploads}.csv", content)
        return FakeJob(strategy or ProductImport(), {"fileKey": key, **context}, self.services)

    async def plan(self, content: bytes, **context: Any) -> FakeJob[Any]:
        """Pre-processed."""
        job = self.job(content, **context)
        await job.prepare()
        await job.pre_process()
        return job

    async def load(self, content: bytes, **context: Any) -> FakeJob[Any]:
        """Pre-processed and processed."""
        job = await self.plan(content, **context)
        await job.process()
        return job

    async def load_file(self, key: str, **context: Any) -> FakeJob[Any]:
        """The same with a file that is in the store already."""
        job = FakeJob(ProductImport(), {"fileKey": key, **context}, self.services)
        await job.prepare()
        await job.pre_process()
        await job.process()
        return job

    async def refused(self, content: bytes, **context: Any) -> tuple[str, FakeJob[Any]]:
        """An import whose pre-processing fails, and what it says."""
        job = self.job(content, **context)
        await job.prepare()
        try:
            await job.pre_process()
        except StrategyError as error:
            return str(error), job
        raise AssertionError("the file was not refused")

    async def export(self, **context: Any) -> FakeJob[Any]:
        job = FakeJob(ProductExport(), context, self.services)
        await job.prepare()
        await job.pre_process()
        await job.process()
        return job

    def exported(self, job: FakeJob[Any]) -> list[dict[str, str]]:
        """The rows of an export, as any CSV reader has them."""
        text = self.files.get(job.result["file_key"]).decode()
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))

    async def product(self, handle: str) -> dict[str, Any]:
        found = await self.catalog["products"].find_one({"handle": handle})
        assert found is not None, f"there is no product {handle}"
        return found

    async def products(self) -> list[dict[str, Any]]:
        """All, by handle."""
        return await self.catalog["products"].find().sort("handle", 1).to_list(None)


_NAMES_AND_TIMES = ("created_at", "updated_at", "revision")


def timeless(value: Any, ids: Iterable[str] = ("id", "_id", "option_id")) -> Any:
    """Without ids of the import's making, times and revisions, so that two runs can be compared."""
    dropped = {*ids, *_NAMES_AND_TIMES}
    if isinstance(value, Mapping):
        return {key: timeless(each, ids) for key, each in value.items() if key not in dropped}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [timeless(each, ids) for each in value]
    return value

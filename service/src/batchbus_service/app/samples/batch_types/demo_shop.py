"""The batch type `demo-shop`: puts into an empty catalogue what the sample file refers to, and one product to update.

This is all that a batch type takes: a class with a name and a `process`, in a file in the strategies folder.
"""

from datetime import UTC, datetime

from batchbus_strategies import AnyContext, BatchStrategy, JobRun


class DemoShop(BatchStrategy[AnyContext]):
    identifier = "demo-shop-strategy"
    batch_type = "demo-shop"

    async def process(self, run: JobRun[AnyContext]) -> None:
        run.expect(sum(map(len, _SHOP.values())))
        for collection, records in _SHOP.items():
            for record in records:
                run.ensure_lease()
                await run.catalog[collection].replace_one({"_id": record["_id"]}, record, upsert=True)
                await run.advance(message=f"{collection}: {record['_id']}")


_NOW = datetime.now(UTC)
_BOWL: dict[str, object] = {
    "_id": "prod_oak_bowl",
    "handle": "oak-bowl",
    "title": "Oak bowl",
    "status": "published",
    "discountable": True,
    "options": [{"id": "opt_size", "title": "Size"}],
    "variants": [
        {
            "id": "variant_oak_bowl_s",
            "title": "Small",
            "sku": "OAK-BOWL-S",
            "variant_rank": 0,
            "inventory_quantity": 12,
            "allow_backorder": False,
            "manage_inventory": True,
            "options": [{"id": "optval_s", "option_id": "opt_size", "value": "S"}],
            "prices": [],
        }
    ],
    "skus": ["OAK-BOWL-S"],
    "created_at": _NOW,
    "updated_at": _NOW,
}
_SHOP: dict[str, list[dict[str, object]]] = {
    "regions": [
        {"_id": "reg_europe", "name": "Europe", "currency_code": "eur"},
        {"_id": "reg_japan", "name": "Japan", "currency_code": "jpy"},
    ],
    "product_collections": [
        {"_id": "pcol_table", "title": "At the table", "handle": "table"},
        {"_id": "pcol_stove", "title": "At the stove", "handle": "stove"},
    ],
    "sales_channels": [{"_id": "sc_web", "name": "Web shop", "description": None}],
    "products": [_BOWL],
}

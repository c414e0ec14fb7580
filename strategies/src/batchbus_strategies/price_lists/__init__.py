"""The batch type `price-list-import`: the prices of one price list, from a file with a row for each variant.

`pre_process` reads the file and writes a plan (`preview`), `process` gives the list its prices in one write (`applying`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.catalog.regions import load_regions
from batchbus_strategies.price_lists.applying import replace_prices
from batchbus_strategies.price_lists.context import PriceListImportContext
from batchbus_strategies.price_lists.header import PricedVariant, read_price_header
from batchbus_strategies.price_lists.preview import plan_prices
from batchbus_strategies.records import RecordImport, RecordImportContext
from batchbus_strategies.records.header import known_names
from batchbus_strategies.strategy import Actor, ColumnHelp, Draft, JobRefused, JobRun
from batchbus_strategies.tables import Table, open_table

__all__ = ["PriceListImport", "PriceListImportContext"]


class PriceListImport(RecordImport[PricedVariant]):
    """Replaces all prices of a price list: a variant that the file does not name has none in it afterwards."""

    batch_type = "price-list-import"
    context_model: ClassVar[type[BaseModel]] = PriceListImportContext

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` without a price list, for one that there is not, and for a file that is not right."""
        id_ = draft.context.get("price_list_id")
        if not isinstance(id_, str) or not id_:
            raise JobRefused("Price list id is required", field="price_list_id")
        if await self.services.catalog["price_lists"].find_one({"_id": id_, **LIVING}, {"_id": 1}) is None:
            raise JobRefused(f"There is no price list with the id {id_}", field="price_list_id")
        await super().prepare(draft, actor)

    async def _look_into(self, context: RecordImportContext) -> Table:
        table = await open_table(self.services.files, context.fileKey, context.table, known=known_names(self.schema))
        regions = await load_regions(self.services.catalog)
        read_price_header(table.header, regions, line=table.header_line, mapping=context.columns)
        return table

    async def pre_process(self, run: JobRun[RecordImportContext]) -> None:
        assert isinstance(run.context, PriceListImportContext)
        await plan_prices(run, run.context.price_list_id)

    async def process(self, run: JobRun[RecordImportContext]) -> None:
        await replace_prices(run)

    def explain_columns(self) -> Sequence[ColumnHelp]:
        either = "the row needs it or the other of the two"
        return [
            ColumnHelp("Product Variant ID", f"the id of an existing variant; {either}", ""),
            ColumnHelp("SKU", f"the SKU of an existing variant; {either}", "TABLE-OAK-1"),
            ColumnHelp("Price EUR", "a price in this currency, for every region; an empty cell is no price", "49.5"),
        ]

"""The batch type `product-export`: products and variants of the catalogue as a file that can be imported again.

What a product is, and which columns it has, is declared in `product_import.record`; everything else is done by `records`.
Here is what clients of Medusa know: the context, the numbers and the words of the job, and how a CSV is written.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.list_config import FLAT, export_key
from batchbus_strategies.product_export.context import ProductExportContext, complete_context
from batchbus_strategies.product_export.query import filters, order_of
from batchbus_strategies.product_export.shape import as_context, no_columns, of_context
from batchbus_strategies.product_import.record import Product
from batchbus_strategies.records import RecordExport, RecordExportContext, Selection
from batchbus_strategies.records.shape import Shape
from batchbus_strategies.strategy import Actor, Document, Draft, Fields, JobRun, Json

__all__ = ["ProductExport", "ProductExportContext"]


class ProductExport(RecordExport[Product]):
    """Reads the catalogue and changes nothing in it. A product without variants has one row."""

    batch_type = "product-export"
    context_model: ClassVar[type[BaseModel]] = ProductExportContext
    delimiter = ";"
    columns_field = "columns"
    truth = ("true", "false")
    counts_rows = False

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for an unknown order, filter or column, or a value of the wrong kind."""
        complete_context(draft.context)
        checked_context(ProductExportContext, draft.context, also=FLAT)
        await super().prepare(draft, actor)

    def selection(self, context: RecordExportContext) -> Selection:
        assert isinstance(context, ProductExportContext)
        config = context.list_config
        return Selection(filters(context.filterable_fields), order_of(config.order), config.skip, context.batch_size)

    def description(self, count: int) -> tuple[str, str]:
        return "Product count to export", f"There will be {count} products exported by this action"

    def file_key(self, run: JobRun[RecordExportContext], ending: str) -> str:
        return export_key(run, "products", ending)

    def keep_shape(self, run: JobRun[RecordExportContext], shape: Shape, families: Fields) -> None:
        run.update_context({"shape": as_context(shape, families)})

    def kept_shape(self, run: JobRun[RecordExportContext]) -> Shape:
        return of_context(run.context)

    def keep_count(self, run: JobRun[RecordExportContext], count: int) -> None:
        """Of an export of nothing, Medusa says no number."""
        if count:
            super().keep_count(run, count)

    def empty_shape(self) -> Shape:
        return no_columns()

    async def pre_process(self, run: JobRun[RecordExportContext]) -> None:
        """Tells the number of products in a sentence alone, as clients of Medusa expect it."""
        count = await self.look_ahead(run)
        run.describe(f"{run.job_type}-count", *self.description(count))
        run.update_context({"list_config": _sorted_config(run.context)})

    async def process(self, run: JobRun[RecordExportContext]) -> None:
        selection = self.selection(run.context)
        found = max(0, await run.catalog["products"].count_documents(selection.query) - selection.skip)
        self.keep_count(run, found if selection.limit is None else min(found, selection.limit))
        await super().process(run)


def _sorted_config(context: RecordExportContext) -> dict[str, Json]:
    """`list_config` with its lists sorted, as Medusa leaves it."""
    assert isinstance(context, ProductExportContext)
    config: Document = context.list_config.model_dump(exclude_none=True)
    return config | {name: sorted(config[name]) for name in ("relations", "select") if name in config}

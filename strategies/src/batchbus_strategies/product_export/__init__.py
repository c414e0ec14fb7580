"""The batch type `product-export`: products and variants of the catalogue as a CSV that can be imported again.

`pre_process` finds out how many products there are and which columns they take, `process` writes the file (`writing`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import BaseModel

from batchbus_strategies.catalog.references import References, load_references
from batchbus_strategies.contexts import checked_context
from batchbus_strategies.list_config import FLAT
from batchbus_strategies.product_export.context import ProductExportContext, complete_context
from batchbus_strategies.product_export.lines import header_line
from batchbus_strategies.product_export.shape import Shape
from batchbus_strategies.product_export.writing import Selection, write_export
from batchbus_strategies.strategy import Actor, BatchStrategy, Draft, JobRun, Json

__all__ = ["ProductExport", "ProductExportContext"]

_CHUNK: Final = 1000
_SHAPE_FIELDS: Final = {
    "options.id": 1,
    "images.url": 1,
    "sales_channels.id": 1,
    "categories.id": 1,
    **{
        f"variants.prices.{field}": 1
        for field in ("region_id", "currency_code", "amount", "min_quantity", "max_quantity", "price_list_id")
    },
}


class ProductExport(BatchStrategy[ProductExportContext]):
    """Reads the catalogue and changes nothing in it. Products without variants have no rows."""

    identifier: ClassVar[str] = "product-export-strategy"
    batch_type: ClassVar[str] = "product-export"
    context_model: ClassVar[type[BaseModel]] = ProductExportContext

    def __init__(self, part_size: int = 5000) -> None:
        """`part_size`: how many products a crash can cost."""
        self._part_size = part_size

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for an unknown order or filter, or a value of the wrong kind."""
        complete_context(draft.context)
        checked_context(ProductExportContext, draft.context, also=FLAT)

    async def pre_process(self, run: JobRun[ProductExportContext]) -> None:
        selection = Selection.of(run.context)
        references = await load_references(run.catalog)
        shape, count = Shape(), 0
        async for chunk in selection.chunks(run, size=_CHUNK, projection=_SHAPE_FIELDS, ordered=not selection.whole):
            for product in chunk:
                shape.fit(product, references)
            count += len(chunk)
            await run.advance(len(chunk), message=f"{count:,} products found")
        run.describe(
            "product-export-count",
            "Product count to export",
            f"There will be {count} products exported by this action",
        )
        run.update_context({"shape": shape.as_context(references), "list_config": _sorted_config(run.context)})

    async def process(self, run: JobRun[ProductExportContext]) -> None:
        await write_export(run, part_size=self._part_size)

    async def build_template(self) -> bytes:
        """The header."""
        return header_line(Shape(), References()).encode()


def _sorted_config(context: ProductExportContext) -> dict[str, Json]:
    """`list_config` with its lists sorted, as Medusa leaves it."""
    config: dict[str, Any] = context.list_config.model_dump(exclude_none=True)
    return config | {name: sorted(config[name]) for name in ("relations", "select") if name in config}

"""The batch type `product-import`: products and variants from a file into the catalogue.

What a product is, and what its columns mean, is declared in `record`; everything else is done by `records`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel

from batchbus_strategies.catalog.indexes import ensure_indexes
from batchbus_strategies.catalog.living import living
from batchbus_strategies.contexts import checked_context
from batchbus_strategies.product_import.context import ProductImportContext
from batchbus_strategies.product_import.preview import ProductPreview
from batchbus_strategies.product_import.record import VARIANTS, Product, Variant
from batchbus_strategies.product_import.rewording import reworded
from batchbus_strategies.records import CellError, RecordImport, RecordImportContext
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import PlanForm
from batchbus_strategies.records.preview import Preview
from batchbus_strategies.strategy import Actor, Document, Draft, Fields, FileMissing, JobRefused, JobRun

__all__ = ["VARIANTS", "Product", "ProductImport", "ProductImportContext", "Variant"]


class ProductImport(RecordImport[Product]):
    """Creates products, updates those whose id the file gives, and deletes none."""

    batch_type = "product-import"
    context_model: ClassVar[type[BaseModel]] = ProductImportContext
    by_rows = True
    whole_rows = True
    counts_elements = True
    plan_form = PlanForm(folder="imports/products/ops", document="product", reference="type", unchanged=False)

    def __init__(self, chunk_size: int = 250) -> None:
        """`chunk_size`: how many products are planned, and written, at a time."""
        self._chunk_size = chunk_size

    @property
    def options(self) -> ImportOptions:
        return replace(super().options, chunk_size=self._chunk_size)

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for a context that is not right, or a file that does not exist. What is in the file is looked
        at by the job, as clients of Medusa expect it."""
        context = checked_context(ProductImportContext, draft.context)
        try:
            await self.services.files.size(context.fileKey)
        except FileMissing:
            raise JobRefused(f"There is no file with the key {context.fileKey}", field="fileKey") from None

    def preview(self, run: JobRun[RecordImportContext]) -> Preview:
        return ProductPreview(run, self.schema, self.options, self.hooks_of(run))

    async def process(self, run: JobRun[RecordImportContext]) -> None:
        await ensure_indexes(run.catalog)  # which also drops those of the first version
        await super().process(run)

    def complete(self, values: Document, old: Fields | None) -> None:
        """Without a thumbnail, a product has its first image as one. One that has images and no thumbnail stays so, unless
        the file touches either."""
        now = None if old is None else old.get("thumbnail") or None
        there = [image["url"] for image in living((old or {}).get("images")) if image["url"]]
        images = values.get("images", there)
        wanted = values.get("thumbnail", now) or None
        touched = old is None or now is not None or images != list(dict.fromkeys(there))
        values["thumbnail"] = images[0] if wanted is None and images and touched else wanted

    def new_element(self, element: Document, place: int) -> None:
        element["variant_rank"] = place

    def reword(self, error: CellError) -> CellError:
        return reworded(error)

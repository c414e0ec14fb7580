"""The batch type `product-import`: products and variants from a CSV into the catalogue.

`pre_process` reads the file and writes a plan (`preview`), `process` carries the plan out (`applying`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from batchbus_strategies.contexts import checked_context
from batchbus_strategies.product_import.applying import apply_plan
from batchbus_strategies.product_import.context import ProductImportContext
from batchbus_strategies.product_import.preview import plan_import
from batchbus_strategies.product_import.template import explained_columns
from batchbus_strategies.strategy import Actor, BatchStrategy, ColumnHelp, Draft, FileMissing, JobRefused, JobRun
from batchbus_strategies.templates import csv_template

__all__ = ["ProductImport", "ProductImportContext"]


class ProductImport(BatchStrategy[ProductImportContext]):
    """Creates products, updates those whose id the file gives, and deletes none."""

    identifier: ClassVar[str] = "product-import-strategy"
    batch_type: ClassVar[str] = "product-import"
    context_model: ClassVar[type[BaseModel]] = ProductImportContext

    def __init__(self, chunk_size: int = 250) -> None:
        """`chunk_size`: how many products are planned, and written, at a time."""
        self._chunk_size = chunk_size

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for a context that is not right, or a file that does not exist."""
        context = checked_context(ProductImportContext, draft.context)
        try:
            await self.services.files.size(context.fileKey)
        except FileMissing:
            raise JobRefused(f"There is no file with the key {context.fileKey}", field="fileKey") from None

    async def pre_process(self, run: JobRun[ProductImportContext]) -> None:
        await plan_import(run, chunk_size=self._chunk_size)

    async def process(self, run: JobRun[ProductImportContext]) -> None:
        await apply_plan(run, chunk_size=self._chunk_size)

    async def build_template(self) -> bytes:
        """The header and a row to write over."""
        return csv_template(self.explain_columns())

    def explain_columns(self) -> Sequence[ColumnHelp]:
        return list(explained_columns())

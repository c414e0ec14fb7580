"""Planning a product import, and telling what it will do in the words and numbers that clients of Medusa know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from batchbus_strategies.records import RecordImportContext, RecordsRefused
from batchbus_strategies.records.hooks import Hooks
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import PlanDigest, PlannedError
from batchbus_strategies.records.preview import Preview
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import JobRun
from batchbus_strategies.tables import TableFacts, shortened

__all__ = ["ProductPreview"]

_ABORT_AFTER: Final = 1000


class ProductPreview(Preview):
    """Counts errors rather than products, and leaves no plan behind that cannot be carried out."""

    def __init__(self, run: JobRun[RecordImportContext], schema: Schema, options: ImportOptions, hooks: Hooks) -> None:
        super().__init__(run, schema, options, hooks)
        limit = run.context.max_errors
        self._limit = limit if isinstance(limit, int) else _ABORT_AFTER if run.context.on_error == "abort" else None
        self._errors = 0
        self._reported: set[int] = set()
        """Of what has been reported, if there is a limit to that."""

    def _gives_up(self, bad: int) -> bool:
        return self._limit is not None and bad >= self._limit

    def _report(self, errors: Sequence[PlannedError]) -> None:
        for error in errors:
            super()._report([error])
            self._errors += 1
            if self._limit is not None:
                self._reported.add(error["line"])
            if self._first is None or error["line"] < self._first["line"]:
                self._first = error
            if self._errors == self._limit:
                raise RecordsRefused(f"There are too many errors: {self._summary()}")

    def _before_keeping(self) -> None:
        if self._errors and self._context.on_error == "abort":
            raise RecordsRefused(self._summary())

    def _refuse_errors(self, records: int) -> None:
        pass  # they have been counted as they came

    def _summary(self) -> str:
        first = self._first
        assert first
        count = len(self._reported)
        rows = "1 row cannot be imported" if count == 1 else f"{count:,} rows cannot be imported; the first"
        column = f', column "{shortened(first["column"])}"' if first["column"] else ""
        value = f', value "{shortened(first["value"])}"' if first["value"] is not None else ""
        return f"{rows}: line {first['line']}{column}{value}: {first['message']}"

    async def _set_result(self, facts: TableFacts, files: dict[str, str], digest: PlanDigest) -> None:
        await super()._set_result(facts, files, digest)
        run, size = self._run, self._size
        run.expect(size.total)
        run.result["operations"] = {
            "PRODUCT_CREATE": size.records_created,
            "PRODUCT_UPDATE": size.records_updated,
            "VARIANT_CREATE": size.elements_created,
            "VARIANT_UPDATE": size.elements_updated,
        }
        # Clients compare this text with Medusa's, so it is Medusa's to the last space.
        run.describe(
            "product-import-count",
            "Products/variants to import",
            f"There will be {size.records_created} products created ({size.records_updated}  updated).\n"
            f"             {size.elements_created} variants will be created and {size.elements_updated} updated",
        )

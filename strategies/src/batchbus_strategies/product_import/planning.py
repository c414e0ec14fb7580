"""What an import will do to one product: from its rows, and what the catalogue has of it, to operations of a plan."""

from __future__ import annotations

from collections.abc import Iterator

from batchbus_strategies.catalog.ids import Prefix, ulids
from batchbus_strategies.catalog.references import References
from batchbus_strategies.product_import.changes import plan_update, same_options
from batchbus_strategies.product_import.header import Layout
from batchbus_strategies.product_import.plan import Counts, Create, Operation, Update
from batchbus_strategies.product_import.records import Records
from batchbus_strategies.product_import.rows import ProductRow, RowError
from batchbus_strategies.product_import.staging import StagedProduct, StagedVariant

__all__ = ["Planner"]


class Planner:
    """Plans the products of one file. It does no I/O; it remembers which product types the plan has made so far."""

    def __init__(self, layout: Layout, references: References, job_id: str, ids: Iterator[str] | None = None) -> None:
        self._records = Records(layout.prices, references, ids or ulids())
        self._job_id = job_id
        self._new_types: set[str] = set()

    def plan(self, staged: StagedProduct, errors: list[RowError]) -> list[Operation]:
        """The operations for one product; none if nothing changes. Errors are added to `errors`."""
        if staged.row is None:
            errors += _left_out(staged)
            return []
        operation = self._operation(staged, staged.row, errors)
        if operation is None:
            return []
        return [*self._new_type(staged.row), operation]

    def _operation(self, staged: StagedProduct, row: ProductRow, errors: list[RowError]) -> Create | Update | None:
        revision = f"{self._job_id}:{staged.number}"
        if staged.id is None:
            return self._create(staged, row, revision, errors)
        if staged.existing is None:
            message = "there is no product with this id in the catalogue"
            errors.append(RowError(staged.line, "Product Id", "unknown_product", message, staged.id))
            errors += _left_out(staged)
            return None
        return plan_update(staged, row, staged.existing, self._records, revision, errors)

    def _create(self, staged: StagedProduct, row: ProductRow, revision: str, errors: list[RowError]) -> Create | None:
        if not row["fields"].get("title"):
            message = "a new product needs a title"
            errors.append(RowError(staged.line, "Product Title", "missing_title", message))
            errors += _left_out(staged)
            return None
        variants = []
        found_twice = same_options(
            staged.variants, {name for each in staged.variants for name, _ in each.row["options"]}
        )
        for variant in staged.variants:
            found = [*_errors_of_new(variant), *found_twice.get(variant.line, ())]
            errors += found
            if not found:
                variants.append(variant.row)
        if not variants:
            return None
        titles = dict.fromkeys(title for variant in variants for title, _ in variant["options"])
        options = [self._records.option(title) for title in titles]
        option_ids = {option["title"]: option["id"] for option in options}
        product_id = Prefix.PRODUCT + next(self._records.ids)
        product = self._records.product(product_id, staged.handle, row, options)
        product["variants"] = made = [
            self._records.variant(variant, rank, option_ids) for rank, variant in enumerate(variants)
        ]
        if skus := [variant["sku"] for variant in made if variant["sku"] is not None]:
            product["skus"] = skus
        if barcodes := [variant["barcode"] for variant in made if variant["barcode"] is not None]:
            product["barcodes"] = barcodes
        product["revision"] = revision
        counts = Counts(product_create=1, variant_create=len(made))
        return {"op": "create", "line": staged.line, "counts": counts, "product": product}

    def _new_type(self, row: ProductRow) -> Iterator[Operation]:
        value = row.get("type")
        if value is None or value in self._new_types or self._records.references.find_type(value):
            return
        self._new_types.add(value)
        yield {"op": "type", "id": self._records.type(value)["id"], "value": value}


def _errors_of_new(variant: StagedVariant) -> Iterator[RowError]:
    """Of a variant of a new product."""
    if variant.id is not None:
        message = "a variant with an id belongs to a product that exists; give that one's Product Id"
        yield RowError(variant.line, "Variant Id", "unknown_variant", message, variant.id)
    if not variant.row["fields"].get("title"):
        yield RowError(variant.line, "Variant Title", "missing_title", "a new variant needs a title")


def _left_out(staged: StagedProduct) -> Iterator[RowError]:
    """The other rows of a product that cannot be imported."""
    for variant in staged.variants:
        if variant.line != staged.line:
            message = f"left out with its product, which cannot be imported (line {staged.line})"
            yield RowError(variant.line, None, "product_left_out", message)

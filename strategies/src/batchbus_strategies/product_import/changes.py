"""What a file changes in a product that exists: only what differs, so that importing an export changes nothing.

A column that the file does not have leaves its field alone. So does a reference that points to nothing, in the catalogue
or in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from batchbus_strategies.catalog.documents import Image, OptionValue, Price, Product, Tag, Variant
from batchbus_strategies.product_import.plan import Counts, Update
from batchbus_strategies.product_import.records import KEPT_FIELDS, Records
from batchbus_strategies.product_import.rows import ProductRow, RowFault, VariantRow
from batchbus_strategies.product_import.staging import StagedProduct, StagedVariant

__all__ = ["plan_update"]

_UNIQUE: Final = {"sku": ("skus", "Variant SKU"), "barcode": ("barcodes", "Variant Barcode")}


def plan_update(
    staged: StagedProduct,
    row: ProductRow,
    existing: Product,
    records: Records,
    revision: str,
    faults: list[RowFault],
) -> Update | None:
    """None if nothing changes. Rows that cannot be used are added to `faults` and left out."""
    change = _Change(existing, records)
    change.of_product(staged.handle, row)
    product_changed = bool(change.set)
    variants = change.usable(staged.variants, faults)
    for variant in variants:
        change.of_variant(variant)
    if not (variants and change.set):
        return None
    unset = list(change.unique_keys())
    update: Update = {
        "op": "update",
        "line": staged.line,
        "counts": Counts(0, int(product_changed), len(change.added), len(change.changed)),
        "id": existing["_id"],
        "handle": staged.handle,
        "seen": existing.get("revision"),
        "revision": revision,
        "set": change.set,
        "unset": unset,
        "changed": change.changed,
        "added": change.added,
    }
    return update


@dataclass(slots=True)
class _Change:
    """The changes to one product, gathered by path."""

    existing: Product
    records: Records
    set: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    added: list[int] = field(default_factory=list)
    variants: list[Variant] = field(init=False)
    """Those that exist, as they are now."""
    places: dict[str, int] = field(init=False)
    """Where in `variants` each id is."""
    option_ids: dict[str, str] = field(init=False)
    keys: dict[str, list[str | None]] = field(init=False)
    """The SKU and the barcode of every variant, as they will be."""

    def __post_init__(self) -> None:
        self.variants = self.existing.get("variants") or []
        self.places = {variant["id"]: place for place, variant in enumerate(self.variants)}
        self.option_ids = {option["title"]: option["id"] for option in self.existing.get("options") or []}
        self.keys = {}

    # -- the product's own fields ----------------------------------------------------------------------------------

    def of_product(self, handle: str, row: ProductRow) -> None:
        existing = self.existing
        fields = dict(row["fields"])
        thumbnail = fields.pop("thumbnail", existing.get("thumbnail")) or None
        self.set |= _differing(fields, existing)
        if handle != existing.get("handle"):
            self.set["handle"] = handle
        if "collection" in row:
            self._collection(row["collection"] and row["collection"]["id"])
        if "type" in row:
            self._type(row["type"])
        if "tags" in row:
            self._tags(row["tags"])
        if "images" in row:
            self._images(row["images"])
        self._thumbnail(thumbnail)
        references = self.records.references
        if "sales_channels" in row:
            now = [channel["id"] for channel in existing.get("sales_channels") or []]
            if row["sales_channels"] != [channel for channel in now if channel in references.sales_channels]:
                self.set["sales_channels"] = self.records.sales_channels(row["sales_channels"])
        if "categories" in row:
            now = [category["id"] for category in existing.get("categories") or []]
            if row["categories"] != [category for category in now if category in references.categories]:
                self.set["categories"] = self.records.categories(row["categories"])

    def _collection(self, wanted: str | None) -> None:
        embedded = self.existing.get("collection")
        now = self.existing.get("collection_id") or (embedded["id"] if embedded else None)
        if wanted != (now if now in self.records.references.collections else None):
            self.set["collection_id"] = wanted
            self.set["collection"] = self.records.references.collections[wanted] if wanted else None

    def _type(self, wanted: str | None) -> None:
        now = self.existing.get("type") or self.records.references.types.get(self.existing.get("type_id") or "")
        if wanted != (now["value"] or None if now else None):
            kind = self.records.type(wanted) if wanted else None
            self.set["type"] = kind
            self.set["type_id"] = kind and kind["id"]

    def _tags(self, wanted: list[str]) -> None:
        now: dict[str, Tag] = {tag["value"]: tag for tag in self.existing.get("tags") or [] if tag["value"]}
        if wanted != list(now):
            self.set["tags"] = [now.get(tag["value"], tag) for tag in self.records.tags(wanted)]

    def _images(self, wanted: list[str]) -> None:
        images = [image for image in self.existing.get("images") or [] if image["url"]]
        now: dict[str, Image] = {image["url"]: image for image in images}
        if wanted != [image["url"] for image in images]:
            self.set["images"] = [now.get(image["url"], image) for image in self.records.images(wanted)]

    def _thumbnail(self, wanted: str | None) -> None:
        now = self.existing.get("thumbnail") or None
        images: Sequence[Image] = self.set.get("images", self.existing.get("images")) or []
        # A product that has images and no thumbnail stays so, unless the file touches either.
        if wanted is None and images and (now is not None or "images" in self.set):
            wanted = images[0]["url"]
        if wanted != now:
            self.set["thumbnail"] = wanted

    # -- its variants ----------------------------------------------------------------------------------------------

    def usable(self, rows: Sequence[StagedVariant], faults: list[RowFault]) -> list[StagedVariant]:
        """The rows without faults. Leaves the unique keys as they will be in `keys`."""
        found = [fault for row in rows for fault in self._faults(row)]
        while True:
            bad = {fault.line for fault in found}
            rows = [row for row in rows if row.line not in bad]
            faults += found
            self._work_out_keys(rows)
            found = [fault for row in rows for fault in self._twice(row)]
            if not found:
                return list(rows)

    def _faults(self, row: StagedVariant) -> Iterator[RowFault]:
        if row.id is not None and row.id not in self.places:
            message = f"the product {self.existing['_id']} has no variant with this id"
            yield RowFault(row.line, "Variant Id", "unknown_variant", message, row.id)
        if row.id is None and not row.row["fields"].get("title"):
            yield RowFault(row.line, "Variant Title", "missing_title", "a new variant needs a title")
        for title, value in row.row["options"]:
            if title not in self.option_ids and value is not None:
                message = f"the product {self.existing['_id']} has no option {title}"
                yield RowFault(row.line, None, "unknown_option", message, title)

    def _work_out_keys(self, rows: Sequence[StagedVariant]) -> None:
        self.keys = {key: [variant.get(key) or None for variant in self.variants] for key in _UNIQUE}  # type: ignore[misc]
        for row in rows:
            for key, values in self.keys.items():
                if row.id is None:
                    values.append(row.row["fields"].get(key))
                elif key in row.row["fields"]:
                    values[self.places[row.id]] = row.row["fields"][key]

    def _twice(self, row: StagedVariant) -> Iterator[RowFault]:
        for key, (_, column) in _UNIQUE.items():
            value = row.row["fields"].get(key)
            if value is not None and self.keys[key].count(value) > 1:
                yield RowFault(row.line, column, f"{key}_taken", "another variant of the product has it", value)

    def of_variant(self, row: StagedVariant) -> None:
        if row.id is None:
            place = len(self.variants) + len(self.added)
            self._add(place, self.records.variant(row.row, place, self.option_ids))
            return
        place = self.places[row.id]
        variant = self.variants[place]
        changes = _differing(row.row["fields"], variant)
        prices = self._prices(row.row, variant.get("prices") or [])
        if prices is not None:
            changes["prices"] = prices
        options = self._options(row.row, variant.get("options") or [])
        if options is not None:
            changes["options"] = options
        if changes:
            self.changed[str(place)] = row.id
            self.set |= {f"variants.{place}.{name}": value for name, value in changes.items()}

    def _add(self, place: int, variant: Variant) -> None:
        self.added.append(place)
        if isinstance(self.existing.get("variants"), list):
            self.set[f"variants.{place}"] = variant
        else:
            self.set.setdefault("variants", []).append(variant)

    def _prices(self, row: VariantRow, now: list[Price]) -> list[Price] | None:
        """The variant's prices as they will be; None if they stay as they are.

        Prices of price lists and for quantities, and those of which the file has no column, are left alone.
        """
        cells = {(cell.region_id, cell.currency): cell for cell in self.records.prices_of}
        wanted = dict(zip(cells, row["prices"], strict=True))
        result: list[Price] = []
        for price in now:
            key = (price.get("region_id"), price["currency_code"].lower())
            if key not in wanted or not _is_base(price):
                result.append(price)
                continue
            amount = wanted.pop(key)
            if amount is not None:
                result.append(price if price["amount"] == amount else {**price, "amount": amount})
        result += [self.records.price(cells[key], amount) for key, amount in wanted.items() if amount is not None]
        return result if result != now else None

    def _options(self, row: VariantRow, now: list[OptionValue]) -> list[OptionValue] | None:
        """The variant's option values as they will be; None if they stay as they are."""
        result = list(now)
        places = {value["option_id"]: place for place, value in enumerate(now)}
        for title, value in row["options"]:
            if value is None:
                continue
            option_id = self.option_ids[title]
            place = places.get(option_id)
            if place is None:
                result.append(self.records.option_value(option_id, value))
            elif now[place]["value"] != value:
                result[place] = {**now[place], "value": value}
        return result if result != now else None

    def unique_keys(self) -> Iterator[str]:
        """Set the arrays that the unique indexes are on; yields those that have become empty."""
        for key, (array, _) in _UNIQUE.items():
            wanted = [value for value in self.keys[key] if value]
            if wanted != (self.existing.get(array) or []):
                if wanted:
                    self.set[array] = wanted
                else:
                    yield array


def _differing(fields: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an import changes in a record."""
    changes = {}
    for name, value in fields.items():
        now = record.get(name)
        if value is None and (name in KEPT_FIELDS or now is None or now == ""):
            continue
        if value != now:
            changes[name] = value
    return changes


def _is_base(price: Price) -> bool:
    """Whether it is the price for everyone and any quantity."""
    return (
        price.get("price_list_id") is None and price.get("min_quantity") is None and price.get("max_quantity") is None
    )

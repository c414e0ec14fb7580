"""What a file changes in a product that exists: only what differs, so that importing an export changes nothing.

A column that the file does not have leaves its field alone. So does a reference that points to nothing, in the catalogue
or in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from batchbus_strategies.catalog.documents import Document, Image, OptionValue, Price, Product, Tag, Variant
from batchbus_strategies.catalog.living import living
from batchbus_strategies.product_import.merging import as_json, find_price
from batchbus_strategies.product_import.plan import Counts, OptionChange, PriceChange, Update, VariantChange
from batchbus_strategies.product_import.records import KEPT_FIELDS, Records
from batchbus_strategies.product_import.rows import ProductRow, RowError, VariantRow
from batchbus_strategies.product_import.staging import StagedProduct, StagedVariant
from batchbus_strategies.records.fields import trimmed

__all__ = ["plan_update", "same_options"]

_UNIQUE: Final = {"sku": "Variant SKU", "barcode": "Variant Barcode"}


def plan_update(
    staged: StagedProduct,
    row: ProductRow,
    existing: Product,
    records: Records,
    revision: str,
    errors: list[RowError],
) -> Update | None:
    """None if nothing changes. Rows that cannot be used are added to `errors` and left out."""
    change = _Change(existing, records)
    change.of_product(staged.handle, row)
    product_changed = bool(change.set)
    rows = change.usable(staged.variants, errors)
    for variant in rows:
        change.of_variant(variant)
    if not (rows and (change.set or change.changed or change.added)):
        return None
    return {
        "op": "update",
        "line": staged.line,
        "counts": Counts(0, int(product_changed), len(change.added), len(change.changed)),
        "id": existing["_id"],
        "handle": staged.handle,
        "seen": existing.get("revision"),
        "revision": revision,
        "set": {name: (as_json(existing.get(name)), value) for name, value in change.set.items()},
        "variants": change.changed,
        "added": change.added,
    }


@dataclass(slots=True)
class _Change:
    """The changes to one product, gathered by path."""

    existing: Product
    records: Records
    set: Document = field(default_factory=dict)
    """Of the product's own fields."""
    changed: dict[str, VariantChange] = field(default_factory=dict)
    added: list[Variant] = field(default_factory=list)
    variants: dict[str, Variant] = field(init=False)
    """Those that exist, as they are now, by id."""
    option_ids: dict[str, str] = field(init=False)
    keys: dict[str, dict[str, str | None]] = field(init=False)
    """The SKU and the barcode of every variant, as they will be; by its id, or by the line of a new one."""

    def __post_init__(self) -> None:
        self.variants = {variant["id"]: variant for variant in living(self.existing.get("variants"))}
        self.option_ids = {trimmed(option["title"]): option["id"] for option in living(self.existing.get("options"))}
        self.keys = {}

    # -- the product's own fields ----------------------------------------------------------------------------------

    def of_product(self, handle: str, row: ProductRow) -> None:
        existing = self.existing
        fields = dict(row["fields"])
        thumbnail = fields.pop("thumbnail", existing.get("thumbnail")) or None
        self.set |= _differing(fields, existing)
        if trimmed(handle) != trimmed(existing.get("handle") or ""):
            self.set["handle"] = trimmed(handle)
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
            self._sales_channels(row["sales_channels"], whole=not row.get("sales_channels_skipped"))
        if "categories" in row:
            now = [category["id"] for category in existing.get("categories") or []]
            if row["categories"] != [category for category in now if category in references.categories]:
                self.set["categories"] = self.records.categories(row["categories"])

    def _sales_channels(self, wanted: list[str], *, whole: bool) -> None:
        """`whole`: the file names all of them. One that was skipped takes none away: then those named are added."""
        existing = self.existing.get("sales_channels") or []
        now = [channel["id"] for channel in existing]
        if not whole:
            new = [channel for channel in wanted if channel not in now]
            if new:
                self.set["sales_channels"] = [*existing, *self.records.sales_channels(new)]
        elif wanted != [channel for channel in now if channel in self.records.references.sales_channels]:
            self.set["sales_channels"] = self.records.sales_channels(wanted)

    def _collection(self, wanted: str | None) -> None:
        embedded = self.existing.get("collection")
        now = self.existing.get("collection_id") or (embedded["id"] if embedded else None)
        if wanted != (now if now in self.records.references.collections else None):
            self.set["collection_id"] = wanted
            self.set["collection"] = self.records.references.collections[wanted] if wanted else None

    def _type(self, wanted: str | None) -> None:
        references = self.records.references
        now = self.existing.get("type") or references.types.get(self.existing.get("type_id") or "")
        if now and now["id"] in references.deleted_types:
            now = None
        if wanted != (trimmed(now["value"]) or None if now else None):
            kind = self.records.type(wanted) if wanted else None
            self.set["type"] = kind
            self.set["type_id"] = kind and kind["id"]

    def _tags(self, wanted: list[str]) -> None:
        now: dict[str, Tag] = {tag["value"]: tag for tag in living(self.existing.get("tags")) if tag["value"]}
        if wanted != list(now):
            self.set["tags"] = [now.get(tag["value"], tag) for tag in self.records.tags(wanted)]

    def _images(self, wanted: list[str]) -> None:
        images = [image for image in living(self.existing.get("images")) if image["url"]]
        now: dict[str, Image] = {image["url"]: image for image in images}
        if wanted != [image["url"] for image in images]:
            self.set["images"] = [now.get(image["url"], image) for image in self.records.images(wanted)]

    def _thumbnail(self, wanted: str | None) -> None:
        now = self.existing.get("thumbnail") or None
        images: Sequence[Image] = self.set.get("images", living(self.existing.get("images"))) or []
        # A product that has images and no thumbnail stays so, unless the file touches either.
        if wanted is None and images and (now is not None or "images" in self.set):
            wanted = images[0]["url"]
        if wanted != now:
            self.set["thumbnail"] = wanted

    # -- its variants ----------------------------------------------------------------------------------------------

    def usable(self, rows: Sequence[StagedVariant], errors: list[RowError]) -> list[StagedVariant]:
        """The rows without errors. Leaves the unique keys as they will be in `keys`."""
        found = [error for row in rows for error in self._errors_of(row)]
        found += self._options_of_new(rows)
        while True:
            bad = {error.line for error in found}
            rows = [row for row in rows if row.line not in bad]
            errors += found
            self._work_out_keys(rows)
            found = [error for row in rows for error in self._twice(row)]
            if not found:
                return list(rows)

    def _errors_of(self, row: StagedVariant) -> Iterator[RowError]:
        if row.id is not None and row.id not in self.variants:
            message = f"the product {self.existing['_id']} has no variant with this id"
            yield RowError(row.line, "Variant Id", "unknown_variant", message, row.id)
        if row.id is None and not row.row["fields"].get("title"):
            yield RowError(row.line, "Variant Title", "missing_title", "a new variant needs a title")
        for title, value in row.row["options"]:
            if title not in self.option_ids and value is not None:
                message = f"the product {self.existing['_id']} has no option {title}"
                yield RowError(row.line, None, "unknown_option", message, title)

    def _options_of_new(self, rows: Sequence[StagedVariant]) -> Iterator[RowError]:
        """Of variants that the file adds: those that there are may be as they are."""
        titles = {id_: title for title, id_ in self.option_ids.items()}
        seen: dict[frozenset[tuple[str, str]], str] = {}
        for one, variant in self.variants.items():
            values = [(titles.get(each["option_id"], ""), each["value"]) for each in living(variant.get("options"))]
            seen.setdefault(frozenset(values), f"the variant {one}")
        new = [row for row in rows if row.id is None]
        for found in same_options(
            [row for row in new if any(value for _, value in row.row["options"])], (), seen
        ).values():
            yield from found

    def _work_out_keys(self, rows: Sequence[StagedVariant]) -> None:
        for key in _UNIQUE:
            values: dict[str, str | None] = {one: variant.get(key) or None for one, variant in self.variants.items()}  # type: ignore[misc]
            for row in rows:
                if row.id is None or key in row.row["fields"]:
                    values[row.id or str(row.line)] = row.row["fields"].get(key)
            self.keys[key] = values

    def _twice(self, row: StagedVariant) -> Iterator[RowError]:
        for key, column in _UNIQUE.items():
            value = row.row["fields"].get(key)
            if value is not None and list(self.keys[key].values()).count(value) > 1:
                yield RowError(row.line, column, f"{key}_taken", "another variant of the product has it", value)

    def of_variant(self, row: StagedVariant) -> None:
        if row.id is None:
            rank = len(self.existing.get("variants") or ()) + len(self.added)
            self.added.append(self.records.variant(row.row, rank, self.option_ids))
            return
        variant = self.variants[row.id]
        fields = _differing(row.row["fields"], variant)
        change: VariantChange = {
            "set": {name: (as_json(variant.get(name)), value) for name, value in fields.items()},
            "prices": list(self._prices(row.row, variant.get("prices") or [])),
            "options": list(self._options(row.row, variant.get("options") or [])),
        }
        if any(change.values()):
            self.changed[row.id] = change

    def _prices(self, row: VariantRow, now: Sequence[Price]) -> Iterator[PriceChange]:
        """Those that the file changes. Prices of price lists and for quantities, and without a column, are left alone."""
        cells = {(cell.region_id, cell.currency): cell for cell in self.records.prices_of}
        for (region_id, currency), amount in zip(cells, row["prices"], strict=True):
            place = find_price(now, region_id, currency)
            was = None if place is None else now[place]["amount"]
            if amount != was:
                price = None if amount is None else self.records.price(cells[region_id, currency], amount)
                yield {"region_id": region_id, "currency_code": currency, "was": as_json(was), "price": price}

    def _options(self, row: VariantRow, now: Sequence[OptionValue]) -> Iterator[OptionChange]:
        """The option values that the file changes."""
        values = {value["option_id"]: value["value"] for value in living(now)}
        for title, value in row["options"]:
            if value is None:
                continue
            option_id = self.option_ids[title]
            if values.get(option_id) != value:
                yield {"was": values.get(option_id), "value": self.records.option_value(option_id, value)}


def same_options(
    rows: Sequence[StagedVariant], titles: Collection[str], seen: Mapping[frozenset[tuple[str, str]], str] | None = None
) -> dict[int, list[RowError]]:
    """What is wrong with the options of variants that a file creates, by line: each has a value for every one of `titles`,
    and none has the same of all as another one, or as one of `seen`, which has names of variants by their values."""
    errors: dict[int, list[RowError]] = {}
    names = dict(seen or {})
    for row in rows:
        values = {title: value for title, value in row.row["options"] if value is not None}
        for title in sorted(set(titles) - values.keys()):
            message = f"there is no value for the option {title}; every variant needs one"
            errors.setdefault(row.line, []).append(RowError(row.line, None, "missing_option", message, title))
        if not values:
            continue
        other = names.setdefault(frozenset(values.items()), f"line {row.line}")
        if other != f"line {row.line}":
            shown = ", ".join(f"{title} {value}" for title, value in values.items())
            message = f"{other} has the same options: {shown}"
            errors.setdefault(row.line, []).append(RowError(row.line, None, "duplicate_options", message))
    return errors


def _differing(fields: Mapping[str, Any], record: Mapping[str, Any]) -> Document:
    """The fields that an import changes in a record."""
    changes = {}
    for name, value in fields.items():
        now = record.get(name)
        if value is None and (name in KEPT_FIELDS or now is None or now == ""):
            continue
        if value != now and not (name in _UNIQUE and value == trimmed(now or "")):
            changes[name] = value
    return changes

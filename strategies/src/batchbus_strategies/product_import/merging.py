"""From an update of the plan, and the product as it is now, to the write; or to what keeps it from being made.

The plan says of each thing what it was and what it is to be. Others may have changed the product since: what they did
to other things stays, and what they did to the same is a conflict. The write itself filters on what was read here, so
that nothing comes in between either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import UpdateOne

from batchbus_strategies.catalog.documents import Document, OptionValue, Price, Variant
from batchbus_strategies.catalog.living import unique_keys
from batchbus_strategies.product_import.plan import OptionChange, PriceChange, Update, VariantChange, Was

__all__ = ["ARRAYS", "Changed", "as_json", "find_price", "merged", "stamped"]

ARRAYS: Final = {"sku": "skus", "barcode": "barcodes"}
"""The arrays that the unique indexes are on, by the field of variants that they repeat."""


class Changed(Exception):
    """Someone else has changed the same since the plan was made. The message says what, for a row error."""


def merged(update: Update, product: Document | None, now: datetime) -> UpdateOne | None:
    """The write; None if it was made before. Raises `Changed`, also for a product that is gone."""
    if product is None or product.get("deleted_at") is not None:
        raise Changed("it has been deleted since the plan was made")
    if product.get("revision") == update["revision"]:
        return None
    if product.get("revision") != update["seen"]:
        raise Changed("it has been changed since the plan was made")
    merge = _Merge(product, now)
    merge.product_fields(update["set"])
    for variant_id, change in update["variants"].items():
        merge.variant(variant_id, change)
    merge.add(update["added"])
    merge.unique_arrays()
    where = {"_id": update["id"], "revision": update["seen"], "deleted_at": None, **merge.where}
    if merge.of_variants:
        where["$and"] = merge.of_variants
    changes = {**merge.set, "revision": update["revision"], "updated_at": now}
    unset = {"$unset": dict.fromkeys(merge.unset, "")} if merge.unset else {}
    return UpdateOne(where, {"$set": changes, **unset})


def stamped(variant: Variant, now: datetime) -> Variant:
    """A new variant with its times."""
    return {**variant, "created_at": now, "updated_at": now, "deleted_at": None}


def as_json(value: Any) -> Any:
    """A value of the catalogue as a plan has it, so that it can be compared with what it was."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        case _:
            return str(value)


def find_price(prices: Sequence[Price], region_id: str | None, currency: str) -> int | None:
    """Where the price for everyone and any quantity is; prices of price lists and for quantities are others."""
    for place, price in enumerate(prices):
        key = (price.get("region_id"), price["currency_code"].lower())
        if key == (region_id, currency) and price.get("deleted_at") is None and _is_base(price):
            return place
    return None


@dataclass(slots=True)
class _Merge:
    """The filter and the changes of one write, gathered by path."""

    product: Document
    now: datetime
    where: Document = field(default_factory=dict)
    of_variants: list[Document] = field(default_factory=list)
    """Conditions on the array of variants, one for each that is changed."""
    set: Document = field(default_factory=dict)
    unset: list[str] = field(default_factory=list)
    variants: list[Document] = field(init=False)
    """As they will be."""

    def __post_init__(self) -> None:
        self.variants = [dict(variant) for variant in self.product.get("variants") or ()]

    def product_fields(self, changes: Mapping[str, Was]) -> None:
        for name, value in _differing(self.product, changes, "it").items():
            self.where[name] = {"$eq": self.product.get(name)}
            self.set[name] = value

    def variant(self, variant_id: str, change: VariantChange) -> None:
        place = next((n for n, one in enumerate(self.variants) if one.get("id") == variant_id), None)
        if place is None or self.variants[place].get("deleted_at") is not None:
            raise Changed(f"its variant {variant_id} has been deleted since the plan was made")
        current = self.variants[place]
        made = _differing(current, change["set"], f"its variant {variant_id}")
        for name, value in (
            ("prices", _with_prices(current.get("prices") or [], change["prices"], variant_id)),
            ("options", _with_options(current.get("options") or [], change["options"], variant_id)),
        ):
            if value is not None:
                made[name] = value
        if not made:
            return
        # By its place alone, a null in it would match any element: other elements have no field "0".
        seen = {name: {"$eq": current.get(name)} for name in made}
        self.of_variants.append({"variants": {"$elemMatch": {"id": variant_id, "deleted_at": None, **seen}}})
        self.where[f"variants.{place}.id"] = variant_id
        self.set |= {f"variants.{place}.{name}": value for name, value in made.items()}
        self.set[f"variants.{place}.updated_at"] = self.now
        current.update(made)

    def add(self, variants: Sequence[Variant]) -> None:
        """New variants, behind those that there are now: if another is added meanwhile, the filter finds nothing."""
        if not variants:
            return
        known = {one.get("id") for one in self.variants}
        new: list[Document] = [{**stamped(variant, self.now)} for variant in variants if variant["id"] not in known]
        there = self.product.get("variants")
        if isinstance(there, list):
            self.where["variants"] = {"$size": len(self.variants)}
            self.set |= {f"variants.{len(self.variants) + n}": variant for n, variant in enumerate(new)}
        else:
            self.where["variants"] = {"$eq": there}
            self.set["variants"] = new
        self.variants += new

    def unique_arrays(self) -> None:
        for key, array in ARRAYS.items():
            wanted = unique_keys(self.variants, key)
            if len(set(wanted)) < len(wanted):
                raise Changed(f"another of its variants has got the same {key} since the plan was made")
            current = self.product.get(array)
            if wanted == (current or []):
                continue
            self.where[array] = {"$eq": current}
            if wanted:
                self.set[array] = wanted
            else:
                self.unset.append(array)


def _differing(record: Mapping[str, Any], changes: Mapping[str, Was], what: str) -> Document:
    """The fields that are to be set. Raises `Changed` for one that is neither what it was nor what it is to be."""
    made: Document = {}
    for name, (was, value) in changes.items():
        seen = as_json(record.get(name))
        if seen == as_json(value):
            continue  # someone else has done the same
        if seen != was:
            raise Changed(f"{what} has another {name} than when the plan was made")
        made[name] = value
    return made


def _with_prices(now: Sequence[Price], changes: Sequence[PriceChange], variant_id: str) -> list[Price] | None:
    """The prices as they will be; None if they stay as they are."""
    result = list(now)
    for change in changes:
        currency, price = change["currency_code"], change["price"]
        place = find_price(result, change["region_id"], currency)
        current = None if place is None else result[place]["amount"]
        wanted = None if price is None else price["amount"]
        if current == wanted:
            continue
        if current != change["was"]:
            raise Changed(
                f"its variant {variant_id} has another price in {currency.upper()} than when the plan was made"
            )
        if place is None:
            assert price is not None
            result.append(price)
        elif price is None:
            del result[place]
        else:
            result[place] = {**result[place], "amount": price["amount"]}
    return result if result != list(now) else None


def _with_options(
    now: Sequence[OptionValue], changes: Sequence[OptionChange], variant_id: str
) -> list[OptionValue] | None:
    """The option values as they will be; None if they stay as they are."""
    result = list(now)
    for change in changes:
        wanted = change["value"]
        place = next((n for n, one in enumerate(result) if _is_of(one, wanted["option_id"])), None)
        current = None if place is None else result[place]["value"]
        if current == wanted["value"]:
            continue
        if current != change["was"]:
            raise Changed(f"its variant {variant_id} has another value of an option than when the plan was made")
        if place is None:
            result.append(wanted)
        else:
            result[place] = {**result[place], "value": wanted["value"]}
    return result if result != list(now) else None


def _is_of(value: Mapping[str, Any], option_id: str) -> bool:
    return value.get("option_id") == option_id and value.get("deleted_at") is None


def _is_base(price: Price) -> bool:
    return (
        price.get("price_list_id") is None and price.get("min_quantity") is None and price.get("max_quantity") is None
    )

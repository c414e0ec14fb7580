"""The price columns of files: `Price EUR` for everyone, `Price Denmark [DKK]` for a region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from batchbus_strategies.catalog.columns import price_column, price_header
from batchbus_strategies.catalog.currencies import near_currency
from batchbus_strategies.catalog.money import format_amount, parse_amount
from batchbus_strategies.catalog.regions import Ambiguous, Region, Regions, load_regions
from batchbus_strategies.records.families import ColumnError, FamilyColumn, FamilyColumns
from batchbus_strategies.strategy import Fields
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["PriceColumns", "identity_of", "parts_of", "priced"]


def priced(header: str, regions: Regions) -> tuple[str | None, str]:
    """The id of the region, or None, and the currency in lower case, that the cells of a price column are for.

    Raises `ColumnError`.
    """
    found = price_column(header)
    assert found is not None, header
    name, currency = found
    if name is None:
        assert currency is not None
        return None, currency
    region = _find(regions, name, currency)
    if region is None and (whole := header.removeprefix("Price ")) != name:  # brackets may belong to the name
        whole_region = _find(regions, whole)
        region, currency = whole_region, None if whole_region is not None else currency
    if region is None:
        raise _unknown(name, regions)
    if currency is not None and currency != region["currency_code"]:
        right = price_header(region["name"], region["currency_code"])
        has = region["currency_code"].upper()
        message = f"the region {region['name']} has the currency {has}, so its column is {right}"
        raise ColumnError("unknown_region", message)
    return region["id"], region["currency_code"]


def _unknown(name: str, regions: Regions) -> ColumnError:
    if len(name) == 3:
        near = near_currency(name, first=[region["currency_code"] for region in regions.by_id.values()])
        hint = f'; did you mean "Price {near.upper()}"?' if near else ""
        message = f"{shortened(name)} is neither a currency of ISO 4217 nor the name of a region{hint}"
        return ColumnError("unknown_column", message)
    names = [each["name"] for each in regions.by_id.values()]
    return ColumnError("unknown_region", f"there is no region named {shortened(name)}", looked_for=name, among=names)


def _find(regions: Regions, name: str, currency: str | None = None) -> Region | None:
    try:
        return regions.find(name, currency)
    except Ambiguous as error:
        raise ColumnError("ambiguous_region", str(error)) from None


class PriceColumns(FamilyColumns[Regions]):
    """Prices for everyone and any quantity; those of price lists and for quantities have no columns."""

    pattern = "Price <Region> [<CUR>]"
    example = ("Price EUR", "49.5")
    noun = "price"
    reads = ("region_id", "currency_code", "min_quantity", "max_quantity", "price_list_id")
    says = "a price in this currency, such as 49.5; a column “Price Europe [EUR]” has the one of the region Europe"

    def matches(self, header: str) -> bool:
        return price_column(header) is not None

    async def load(self, catalog: Catalog) -> Regions:
        return await load_regions(catalog)

    def column(self, header: str, known: Regions) -> FamilyColumn:
        region_id, currency = priced(header, known)

        def parse(cell: str) -> Fields:
            return {"amount": parse_amount(cell, currency)}

        new = {"currency_code": currency, "region_id": region_id}
        return FamilyColumn(identity_of(region_id, currency), parse, new, "bad_amount", int(region_id is None))

    def identity(self, element: Fields) -> str | None:
        get = element.get
        if get("price_list_id") is None and get("min_quantity") is None and get("max_quantity") is None:
            return identity_of(get("region_id"), element["currency_code"].lower())
        return None

    def spoken(self, identity: str) -> str:
        return f"price in {parts_of(identity)[1].upper()}"

    def write(self, element: Fields) -> str:
        return format_amount(element["amount"], element["currency_code"].lower())

    def headers(self, identities: Iterable[str], known: Regions) -> Sequence[tuple[str, str]]:
        """By currency; for one currency first the price for all regions."""
        found: list[tuple[tuple[str, str, str], str, str]] = []
        for each in identities:
            region_id, currency = parts_of(each)
            region = known.by_id.get(region_id or "")
            if region_id is None:
                found.append(((currency, "", ""), each, price_header(None, currency)))
            elif region is not None and region["currency_code"] == currency:
                found.append(((currency, region["name"], region["id"]), each, region_header(region, known)))
        return [(identity, header) for _, identity, header in sorted(found)]


def region_header(region: Region, regions: Regions) -> str:
    """The column of a region: by its name if that leads an import back to it, else by its id."""
    header = price_header(region["name"], region["currency_code"])
    try:
        leads_back = price_column(header) is not None and priced(header, regions)[0] == region["id"]
    except ColumnError:
        leads_back = False
    return header if leads_back else price_header(region["id"], region["currency_code"])


def identity_of(region_id: str | None, currency: str) -> str:
    """Which price it is among those of a variant that have columns."""
    return f"{region_id or ''} {currency}"


def parts_of(identity: str) -> tuple[str | None, str]:
    """The id of the region, or None, and the currency in lower case, of such an identity."""
    region_id, _, currency = identity.rpartition(" ")
    return region_id or None, currency

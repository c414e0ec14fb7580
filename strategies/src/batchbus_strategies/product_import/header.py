"""From the header of a product CSV to where each thing is in a row; a header that leaves a doubt is refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from batchbus_strategies.catalog.columns import (
    CATEGORY,
    COLUMNS,
    IMAGE,
    NUMBERED,
    OPTION,
    SALES_CHANNEL,
    numbered,
    price_column,
    price_header,
)
from batchbus_strategies.catalog.currencies import near_currency
from batchbus_strategies.catalog.references import Ambiguous, References, Unknown
from batchbus_strategies.strategy import StrategyError
from batchbus_strategies.tables import shortened

__all__ = [
    "KNOWN_NAMES",
    "HeaderError",
    "HeaderRefused",
    "Layout",
    "PriceCell",
    "price_cell",
    "read_header",
    "same_prices",
]

KNOWN_NAMES: Final = frozenset(
    [column.name for column in COLUMNS]
    + [f"{column.prefix} {n} {part}" for column in NUMBERED for part in column.parts for n in range(1, 10)]
)
"""Names that tell a product CSV from other files."""

_HANDLE: Final = "Product Handle"
_HINTED: Final = 5
"""The errors that are shown, and for which the nearest name is looked for: with a thousand, that takes seconds."""


@dataclass(frozen=True, slots=True)
class HeaderError:
    """What is wrong with a column; `column` is None for one that is missing."""

    column: str | None
    code: str
    message: str


class HeaderRefused(StrategyError):
    """The header leaves a doubt about what the file means."""

    def __init__(self, errors: Sequence[HeaderError]) -> None:
        shown = "; ".join(error.message for error in errors[:_HINTED])
        more = f"; and {len(errors) - _HINTED} more" if len(errors) > _HINTED else ""
        super().__init__(f"The file cannot be imported: {shown}{more}")
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class PriceCell:
    """A price column: where its cell is, and which price of a variant it holds."""

    index: int
    header: str
    region_id: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a row everything is, as indexes of its cells."""

    width: int
    fixed: Mapping[str, int]
    """By column name. `Product Handle` is always there."""
    prices: tuple[PriceCell, ...]
    """Those of regions first."""
    options: tuple[tuple[int, int, int], ...]
    """The number in the column's name, and where name and value are."""
    images: tuple[int, ...]
    sales_channels: tuple[Mapping[str, int], ...]
    """`Name`, `Id`, or both."""
    categories: tuple[tuple[str, int], ...]
    """The column's name, and where the handle is."""

    @property
    def handle(self) -> int:
        return self.fixed[_HANDLE]


def read_header(header: Sequence[str], references: References) -> Layout:
    """Raises `HeaderRefused` with all that is wrong with it."""
    names = list(header)
    while names and not names[-1]:  # what a trailing delimiter leaves
        names.pop()
    errors = list(_general_errors(names))
    fixed: dict[str, int] = {}
    groups: dict[str, dict[int, dict[str, int]]] = {column.prefix: {} for column in NUMBERED}
    prices: list[PriceCell] = []
    by_name = {column.name for column in COLUMNS}
    for index, name in enumerate(names):
        if name in by_name:
            fixed[name] = index
        elif found := numbered(name):
            prefix, number, part = found
            groups[prefix].setdefault(number, {})[part] = index
        elif priced := price_column(name):
            try:
                prices.append(price_cell(index, name, priced, references, hint=len(errors) < _HINTED))
            except LookupError as error:
                code = "ambiguous_region" if isinstance(error, Ambiguous) else "unknown_region"
                errors.append(HeaderError(name, code, f'column "{shortened(name)}": {error}'))
        elif name:
            errors.append(HeaderError(name, "unknown_column", _unknown(name, hint=len(errors) < _HINTED)))
    errors += same_prices(prices)
    errors += _incomplete(groups[OPTION.prefix])
    if errors:
        raise HeaderRefused(errors)
    options = sorted(groups[OPTION.prefix].items())
    return Layout(
        width=len(names),
        fixed=fixed,
        prices=tuple(sorted(prices, key=lambda price: price.region_id is None)),
        options=tuple((number, parts["Name"], parts["Value"]) for number, parts in options),
        images=tuple(parts["Url"] for _, parts in sorted(groups[IMAGE.prefix].items())),
        sales_channels=tuple(
            {part: index for part, index in parts.items() if part != "Description"}
            for _, parts in sorted(groups[SALES_CHANNEL.prefix].items())
        ),
        categories=tuple(
            (names[parts["Handle"]], parts["Handle"])
            for _, parts in sorted(groups[CATEGORY.prefix].items())
            if "Handle" in parts
        ),
    )


def _general_errors(names: Sequence[str]) -> Iterator[HeaderError]:
    if _HANDLE not in names:
        message = f'there is no column "{_HANDLE}"'
        if not any(name in KNOWN_NAMES for name in names):
            shown = ", ".join(f'"{shortened(name, 30)}"' for name in names[:3])
            message += f" nor any other of a product CSV (it begins with {shown})"
        yield HeaderError(None, "missing_column", message)
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not name:
            yield HeaderError(None, "unnamed_column", f"column {index + 1} has no name")
        elif name in seen:
            yield HeaderError(name, "duplicate_column", f'there are two columns "{shortened(name)}"')
        seen.add(name)


def price_cell(
    index: int, header: str, priced: tuple[str | None, str | None], references: References, *, hint: bool
) -> PriceCell:
    """Raises `Unknown`, `Ambiguous`."""
    name, currency = priced
    if name is None:
        assert currency
        return PriceCell(index, header, None, currency)
    try:
        region = references.find_region(name, currency, hint=hint)
    except Unknown:
        whole = header.removeprefix("Price ")
        if whole == name:
            if hint:
                _hint_at_currency(name, references)
            raise
        try:  # brackets may belong to the name
            region, currency = references.find_region(whole, hint=False), None
        except Unknown:
            region = references.find_region(name, currency, hint=hint)
    if currency is not None and currency != region["currency_code"]:
        raise Unknown(
            f"the region {region['name']} has the currency {region['currency_code'].upper()}, "
            f"so its column is {price_header(region['name'], region['currency_code'])}"
        )
    return PriceCell(index, header, region["id"], region["currency_code"])


def _hint_at_currency(name: str, references: References) -> None:
    """Raises `Unknown` with a hint if a column names no region, and may be meant to name a currency."""
    if len(name) != 3:
        return
    near = near_currency(name, first=[region["currency_code"] for region in references.regions.values()])
    hint = f'; did you mean "Price {near.upper()}"?' if near else ""
    raise Unknown(f"{shortened(name)} is neither a currency of ISO 4217 nor the name of a region{hint}")


def _unknown(name: str, *, hint: bool) -> str:
    """With the nearest name, if one is near and `hint` asks for it."""
    return f'unknown column "{shortened(name)}"{_nearest(name) if hint else ""}'


def _nearest(name: str) -> str:
    parts = name.split()
    number = next((part for part in parts if part.isdecimal()), "1")
    candidates = [column.name for column in COLUMNS]
    candidates += [f"{column.prefix} {number} {part}" for column in NUMBERED for part in column.parts]
    lowered = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name[:100].lower(), lowered, n=1, cutoff=0.7)
    return f' (did you mean "{lowered[near[0]]}"?)' if near else ""


def same_prices(prices: Iterable[PriceCell]) -> Iterator[HeaderError]:
    seen: dict[tuple[str | None, str], PriceCell] = {}
    for price in prices:
        first = seen.setdefault((price.region_id, price.currency), price)
        if first is not price and first.header != price.header:
            message = f'the columns "{first.header}" and "{price.header}" are for the same price'
            yield HeaderError(price.header, "duplicate_column", message)


def _incomplete(options: Mapping[int, Mapping[str, int]]) -> Iterator[HeaderError]:
    """An option's name says nothing without its value, nor the other way round."""
    for number, parts in options.items():
        for part in OPTION.parts:
            if part not in parts:
                message = f'there is no column "{OPTION.prefix} {number} {part}"'
                yield HeaderError(None, "missing_column", message)

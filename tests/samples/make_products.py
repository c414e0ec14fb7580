"""Makes product CSVs of any size: `python -m tests.samples.make_products --rows 5000 --seed 1 > products.csv`.

The same seed makes the same file. A product has two or three variants on average; some of them stand apart from their
product's first row, as in a file that somebody sorted by SKU.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from batchbus_strategies.product_export.shape import no_columns
from batchbus_strategies.product_import.record import Product
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.records.written_columns import columns_of
from batchbus_strategies.tables import csv_cell, csv_line

__all__ = ["CATALOG", "product_lines"]

CATALOG: dict[str, list[dict[str, Any]]] = {
    "regions": [
        {"_id": "reg_eu", "name": "Europe", "currency_code": "eur"},
        {"_id": "reg_jp", "name": "Japan", "currency_code": "jpy"},
    ],
    "product_collections": [
        {"_id": f"pcol_{word}", "title": word.capitalize(), "handle": word} for word in ("spring", "autumn")
    ],
    "sales_channels": [{"_id": "sc_web", "name": "Web shop", "description": None}],
    "product_categories": [{"_id": "pcat_home", "handle": "home", "name": "Home"}],
}
"""What the files refer to, by collection."""

_THINGS = ("stool", "lamp", "bowl", "blanket", "vase", "tray", "shelf", "clock", "rug", "basket")
_MATERIALS = ("oak", "linen", "clay", "wool", "steel", "cork", "glass", "ash", "jute", "brass")
_COLOURS = ("natural", "white", "moss", "rust", "sand", "ink")
_DYNAMIC = (
    "Price Europe [EUR]",
    "Price Japan [JPY]",
    "Price USD",
    "Option 1 Name",
    "Option 1 Value",
    "Option 2 Name",
    "Option 2 Value",
    "Image 1 Url",
    "Image 2 Url",
    "Sales Channel 1 Id",
    "Product Category 1 Handle",
)
_FIXED = [column.header for column in columns_of(schema_of(Product).columns, no_columns(), {})]
_NAMES = tuple(name for name in _FIXED if not name.startswith("Product Profile")) + _DYNAMIC


def product_lines(rows: int, seed: int = 1) -> Iterator[str]:
    """The header and so many rows, as lines with their ends."""
    chance = random.Random(seed)
    yield csv_line(map(csv_cell, _NAMES), delimiter=",")
    written = 0
    number = 0
    later: list[str] = []
    while written + len(later) < rows:
        number += 1
        count = min(chance.choice((1, 1, 2, 2, 3, 3, 4, 4)), rows - written - len(later))
        first, *others = _product(number, count, chance)
        yield first
        written += 1
        for line in others:
            if chance.random() < 0.02:
                later.append(line)
            else:
                yield line
                written += 1
    yield from later


def _product(number: int, variants: int, chance: random.Random) -> list[str]:
    thing, material = chance.choice(_THINGS), chance.choice(_MATERIALS)
    title = f"{material.capitalize()} {thing} no. {number}"
    product = {
        "Product Handle": f"{material}-{thing}-{number}",
        "Product Title": title,
        "Product Description": f'{title}, made to last; comes in a box, "ready to give".\nCare: keep dry.',
        "Product Status": chance.choice(("draft", "published")),
        "Product Weight": str(chance.randint(50, 9000)),
        "Product Material": material,
        "Product Collection Handle": chance.choice(("spring", "autumn", "")),
        "Product Type": thing,
        "Product Tags": f"{material},{thing}",
        "Product Discountable": "TRUE",
        "Image 1 Url": f"https://example.com/{material}-{thing}.jpg",
        "Image 2 Url": f"https://example.com/{number}.jpg" if number % 3 == 0 else "",
        "Sales Channel 1 Id": "sc_web",
        "Product Category 1 Handle": "home",
    }
    euros = chance.randint(500, 50_000)
    lines = []
    for colour in chance.sample(_COLOURS, variants):
        sku = f"{material[:3]}-{thing[:3]}-{number}-{colour[:3]}".upper()
        variant = {
            "Variant Title": f"{colour.capitalize()} / one size",
            "Variant SKU": sku,
            "Variant Barcode": f"{number:08d}{_COLOURS.index(colour):04d}",
            "Variant Inventory Quantity": str(chance.randint(0, 500)),
            "Variant Allow Backorder": "FALSE",
            "Variant Manage Inventory": "TRUE",
            "Price Europe [EUR]": f"{euros / 100:.2f}",
            "Price Japan [JPY]": str(euros * 2),
            "Price USD": f"{euros * 1.1 / 100:.2f}" if number % 2 else "",
            "Option 1 Name": "Colour",
            "Option 1 Value": colour,
            "Option 2 Name": "Size",
            "Option 2 Value": "one size",
        }
        lines.append(_line({**product, **variant}))
    return lines


def _line(cells: dict[str, str]) -> str:
    return csv_line((csv_cell(cells.get(name, "")) for name in _NAMES), delimiter=",")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a file to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a text stream when run
    for line in product_lines(options.rows, options.seed):
        sys.stdout.write(line)


if __name__ == "__main__":
    main()

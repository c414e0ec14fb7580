"""The sample product file: a few rows written by hand, and as many made up ones as it takes to see progress."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

__all__ = ["write_products"]

Row = dict[str, str]

_COLUMNS: Final = (
    *("Product Id", "Product Handle", "Product Title", "Product Description", "Product Status"),
    *("Product Collection Handle", "Product Type", "Product Tags", "Product Weight", "Product Material"),
    *("Variant Id", "Variant Title", "Variant SKU", "Variant Inventory Quantity"),
    *("Price Europe [EUR]", "Price Japan [JPY]", "Price USD"),
    *("Option 1 Name", "Option 1 Value", "Image 1 Url", "Sales Channel 1 Name"),
)
_BY_HAND: Final[tuple[Row, ...]] = (
    # Two ids: the product and its variant are there already, and are changed.
    {
        "Product Id": "prod_oak_bowl",
        "Product Handle": "oak-bowl",
        "Product Title": "Oak bowl, oiled",
        "Product Status": "published",
        "Product Tags": "oak,bowl",
        "Variant Id": "variant_oak_bowl_s",
        "Variant Title": "Small",
        "Variant SKU": "OAK-BOWL-S",
        "Variant Inventory Quantity": "30",
        "Price Europe [EUR]": "24.90",
        "Option 1 Name": "Size",
        "Option 1 Value": "S",
    },
    # The same product, another variant.
    {
        "Product Id": "prod_oak_bowl",
        "Product Handle": "oak-bowl",
        "Product Title": "Oak bowl, oiled",
        "Product Status": "published",
        "Product Tags": "oak,bowl",
        "Variant Title": "Large",
        "Variant SKU": "OAK-BOWL-L",
        "Variant Inventory Quantity": "8",
        "Price Europe [EUR]": "39.90",
        "Option 1 Name": "Size",
        "Option 1 Value": "L",
    },
    # Quotes, a line break, letters of other alphabets, prices without decimals.
    {
        "Product Handle": "tetsubin",
        "Product Title": "鉄瓶 Tetsubin",
        "Product Description": 'A cast iron kettle, "for life".\nDo not put it into the dishwasher, möglichst nie.',
        "Product Status": "draft",
        "Product Collection Handle": "stove",
        "Product Type": "kettle",
        "Product Weight": "1850",
        "Product Material": "iron",
        "Variant Title": "0.9 l",
        "Variant SKU": "TETSUBIN-09",
        "Variant Inventory Quantity": "3",
        "Price Europe [EUR]": "149",
        "Price Japan [JPY]": "19800",
        "Price USD": "164.50",
        "Option 1 Name": "Volume",
        "Option 1 Value": "0.9 l",
        "Image 1 Url": "https://example.com/tetsubin.jpg",
        "Sales Channel 1 Name": "Web shop",
    },
)
_THINGS: Final = {"table": ("cup", "plate", "jug", "tray", "spoon"), "stove": ("pan", "pot", "lid", "ladle", "wok")}
_MATERIALS: Final = ("copper", "steel", "clay", "beech", "glass", "enamel")
_SIZES: Final = ("XS", "S", "M", "L", "XL")


def write_products(path: Path, *, rows: int = 1000, seed: int = 7) -> None:
    """Write a CSV with so many rows; the same seed makes the same file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(_BY_HAND)
        writer.writerows(islice(_made_up(random.Random(seed)), max(rows - len(_BY_HAND), 0)))


def _made_up(chance: random.Random) -> Iterator[Row]:
    """Variants of one product after another, without end."""
    number = 0
    while True:
        number += 1
        collection = chance.choice(tuple(_THINGS))
        thing, material = chance.choice(_THINGS[collection]), chance.choice(_MATERIALS)
        cents = chance.randint(400, 20_000)
        for size in chance.sample(_SIZES, chance.randint(1, 4)):
            yield {
                "Product Handle": f"{material}-{thing}-{number}",
                "Product Title": f"{material.capitalize()} {thing} no. {number}",
                "Product Status": chance.choice(("draft", "published")) if size == "M" else "published",
                "Product Collection Handle": collection,
                "Product Type": thing,
                "Product Tags": f"{material},{thing}",
                "Product Material": material,
                "Variant Title": f"Size {size}",
                "Variant SKU": f"{material[:2]}{thing[:2]}-{number}-{size}".upper(),
                "Variant Inventory Quantity": str(chance.randint(0, 200)),
                "Price Europe [EUR]": f"{cents / 100:.2f}",
                "Price Japan [JPY]": str(cents * 2),
                "Option 1 Name": "Size",
                "Option 1 Value": size,
                "Image 1 Url": f"https://example.com/{material}-{thing}.jpg",
                "Sales Channel 1 Name": "Web shop",
            }

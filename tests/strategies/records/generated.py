"""Products with everything that makes files go wrong, made by chance and seed: texts that spreadsheets take for something
else, currencies with 0, 2 and 3 decimals, many options and variants, and documents that other services left incomplete."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["REGIONS", "make_products"]

REGIONS: Final[Sequence[dict[str, Any]]] = [
    {"_id": "reg_kw", "name": "Kuwait", "currency_code": "kwd"},
    {"_id": "reg_jp", "name": "日本 (JPY)", "currency_code": "jpy"},
    {"_id": "reg_marks", "name": 'a;b,"c"', "currency_code": "eur"},
]
_PRICES: Final = [
    (None, "eur"),
    (None, "jpy"),
    (None, "kwd"),
    *((each["_id"], each["currency_code"]) for each in REGIONS),
]

_TEXTS: Final = [
    "=1+1", "+49 30", "-1", "@a", "'=1", "''+", "'tis", "007", "4006381333931000000001", "1e5", "TRUE", "null", "1.50",
    'say "x"', "a\nb", "a;b", "a,b", "a\tb", "Größe", "日本", "👩‍🚀", "e\u0301", "\u202eright", "x" * 500, "#REF!", "2024-01-02",
]  # fmt: skip

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """A text that no other has, with the one that makes trouble in front."""

    chance: random.Random

    def text(self, n: object) -> str:
        return f"{self.chance.choice(_TEXTS)} {n}" if self.chance.random() < 0.7 else f"Plain {n}"

    def typed(self, n: object) -> str:
        """What something is found by, sometimes with the blanks that a hand has typed long ago."""
        text = self.text(n)
        return f" {text}\u00a0" if self.chance.random() < 0.2 else text


def make_products(chance: random.Random, *, large: bool) -> list[Document]:
    """Six products; one of them has 20 options and 300 variants, if it is to be `large`."""
    products = [_product(chance, number) for number in range(6)]
    if large:
        products.append(_product(chance, 6, options=20, variants=300))
    return products


def _product(chance: random.Random, number: int, options: int | None = None, variants: int | None = None) -> Document:
    made = Made(chance)
    names = [made.typed(f"option {n}") for n in range(options if options is not None else chance.randrange(1, 4))]
    product: Document = {
        "_id": f"prod_{number}",
        "handle": made.typed(f"product {number}"),
        "title": made.text(number),
        "tags": [made.text(f"tag {n}").replace(",", "") for n in range(chance.randrange(3))],
        "options": [{"id": f"opt_{number}_{n}", "title": name} for n, name in enumerate(names)],
        "variants": [
            _variant(chance, number, n, [f"opt_{number}_{each}" for each in range(len(names))])
            for n in range(variants if variants is not None else chance.randrange(1, 4))
        ],
    }
    if chance.random() < 0.5:
        product["revision"] = "one"
    return product


def _variant(chance: random.Random, product: int, n: int, options: Sequence[str]) -> Document:
    made, id_ = Made(chance), f"v_{product}_{n}"
    has = options if chance.random() < 0.8 else options[1:]  # the option was added after the variant
    return {
        "id": id_,
        "title": made.text(n),
        "sku": made.typed(id_) if chance.random() < 0.8 else None,
        "stock": chance.randrange(100),
        "options": [{"id": f"ov_{id_}_{each}", "option_id": each, "value": made.typed(f"{each} {n}")} for each in has],
        "prices": [
            {"id": f"ma_{id_}_{at}", "currency_code": currency, "amount": chance.randrange(10**6), "region_id": region}
            for at, (region, currency) in enumerate(_PRICES)
            if chance.random() < 0.5
        ],
    }

"""The plan of an import: a file of JSON lines, one for each product, that says exactly what will be written.

It holds everything that could turn out differently a second time, above all the ids of new records and the revision
that a product will have; so applying it twice changes nothing. Only times are left out: they are those of applying.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypedDict

from pydantic_core import from_json, to_json

from batchbus_strategies.catalog.documents import OptionValue, Price, Product, Variant
from batchbus_strategies.strategy import Files, StrategyError

__all__ = [
    "Counts",
    "Create",
    "CreateType",
    "Operation",
    "OptionChange",
    "PlanChunk",
    "PriceChange",
    "Update",
    "VariantChange",
    "Was",
    "encode",
    "plan_key",
    "read_chunks",
]


class Counts(NamedTuple):
    """How many records of each kind an operation, or a plan, writes."""

    product_create: int = 0
    product_update: int = 0
    variant_create: int = 0
    variant_update: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    def plus(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, self, other))


class CreateType(TypedDict):
    """A product type that does not exist yet. Its id is derived from its value."""

    op: Literal["type"]
    id: str
    value: str


class Create(TypedDict):
    """A new product, with its variants."""

    op: Literal["create"]
    line: int
    counts: Counts
    product: Product
    """The document, times apart."""


Was = tuple[Any, Any]
"""What a field was when the plan was made, as JSON has it, and what it is to be."""


class PriceChange(TypedDict):
    """One price of a variant, for everyone and any quantity."""

    region_id: str | None
    currency_code: str
    was: int | float | None
    """The amount when the plan was made; None if there was no such price."""
    price: Price | None
    """What it is to be, with the id that it has if it is new; None if it is to go."""


class OptionChange(TypedDict):
    """One option value of a variant."""

    was: str | None
    value: OptionValue
    """With the id that it has if it is new."""


class VariantChange(TypedDict):
    """Changes to one variant."""

    set: dict[str, Was]
    prices: list[PriceChange]
    options: list[OptionChange]


class Update(TypedDict):
    """Changes to one product, each with what was there before. Nothing of it that is not named here is written."""

    op: Literal["update"]
    line: int
    counts: Counts
    id: str
    handle: str
    seen: str | None
    """The revision of the product that the changes were worked out from."""
    revision: str
    set: dict[str, Was]
    """Of the product's own fields."""
    variants: dict[str, VariantChange]
    """By the variant's id, since its place in the product may have changed by then."""
    added: list[Variant]
    """New variants, times apart."""


Operation = CreateType | Create | Update


@dataclass(frozen=True, slots=True)
class PlanChunk:
    """Some consecutive operations, and where in the file the next ones begin."""

    operations: list[Operation]
    end: int


_MAX_BYTES: Final = 4 * 1024 * 1024
"""In one chunk, for any number of operations; a bulk write has its limit far above."""


def plan_key(job_id: str, run_number: int) -> str:
    """A name of its own for each run, so that a worker that lost its job cannot write over the plan of the next."""
    return f"imports/products/ops/{run_number}-{job_id}-PLAN.jsonl"


def encode(operation: Operation) -> bytes:
    return to_json(operation) + b"\n"


async def read_chunks(files: Files, key: str, *, start: int, size: int) -> AsyncIterator[PlanChunk]:
    """The operations from a byte offset on, at most `size` at a time. Raises `FileMissing`, `StrategyError`."""
    lines: list[bytes] = []
    end, length, rest = start, 0, b""
    async for piece in files.read(key, start=start):
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            lines.append(line)
            length += len(line) + 1
            if len(lines) == size or length >= _MAX_BYTES:
                end += length
                yield PlanChunk(_decode(lines, key), end)
                lines, length = [], 0
    if rest:
        raise StrategyError(f"The plan {key} is incomplete")
    if lines:
        yield PlanChunk(_decode(lines, key), end + length)


def _decode(lines: list[bytes], key: str) -> list[Operation]:
    try:
        return [from_json(line) for line in lines]
    except ValueError as error:
        raise StrategyError(f"The plan {key} cannot be read: {error}") from error

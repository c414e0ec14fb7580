"""Files of the batch type `stock-import`, of any size, a thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["stock_csv", "stock_jsonl"]


def stock_csv(rows: int, *, added: int = 0) -> Iterator[bytes]:
    """`added` is added to every quantity."""
    yield b"SKU,Title,Quantity,Price,Available,Tags\n"
    for some in _thousands(rows):
        yield "".join(
            f'SKU-{n:08},"Stool no. {n}, oak",{n % 1000 + added},{n % 500}.{n % 100:02},TRUE,"wood,seat"\n'
            for n in some
        ).encode()


def stock_jsonl(rows: int) -> Iterator[bytes]:
    """The same records, an object a line."""
    for some in _thousands(rows):
        yield "".join(
            f'{{"SKU":"SKU-{n:08}","Title":"Stool no. {n}, oak","Quantity":{n % 1000},"Price":{n % 500}.{n % 100:02},'
            '"Available":true,"Tags":["wood","seat"]}\n'
            for n in some
        ).encode()


def _thousands(rows: int) -> Iterator[range]:
    for first in range(0, rows, 1000):
        yield range(first, min(first + 1000, rows))

"""The staging database: the rows of a file on local disk, grouped by product and joined with what the catalogue has.

Rows of one product may be anywhere in a file that is larger than memory, and so may two rows with the same SKU. SQLite
does the sorting, grouping and joining; the database is a temporary file, and nothing in it has to survive.

Its methods are synchronous and take a batch each; call them in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from bson import decode
from pydantic_core import from_json, to_json

from batchbus_strategies.catalog.documents import Product
from batchbus_strategies.product_import.rows import ProductRow, RowError, VariantRow

__all__ = ["FoundKeys", "NewProduct", "NewVariant", "StagedProduct", "StagedVariant", "Staging"]

_SCHEMA: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -4096;
    CREATE TABLE product (
        number INTEGER PRIMARY KEY,  -- in the order of their first rows
        handle TEXT NOT NULL UNIQUE,
        line INTEGER NOT NULL,
        id TEXT,
        row BLOB                     -- null once the product is found to be unusable
    );
    CREATE TABLE variant (
        product INTEGER NOT NULL,
        line INTEGER NOT NULL,
        id TEXT,
        sku TEXT,
        barcode TEXT,
        row BLOB NOT NULL,
        PRIMARY KEY (product, line)
    ) WITHOUT ROWID;
    CREATE TABLE existing (id TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE clash (             -- keys of the file that another product in the catalogue has
        product INTEGER, line INTEGER, field TEXT, value TEXT, owner TEXT, PRIMARY KEY (field, line)
    ) WITHOUT ROWID;
    CREATE TABLE error (line INTEGER, field TEXT, code TEXT, message TEXT, value TEXT);
    CREATE TEMPORARY TABLE found (value TEXT, owner TEXT);
"""
_INDEXES: Final = """
    CREATE INDEX product_id ON product (id) WHERE id IS NOT NULL;
    CREATE INDEX variant_id ON variant (id) WHERE id IS NOT NULL;
    CREATE INDEX variant_sku ON variant (sku) WHERE sku IS NOT NULL;
    CREATE INDEX variant_barcode ON variant (barcode) WHERE barcode IS NOT NULL;
"""
_PARAMETERS: Final = 1000
"""Of one statement."""
_COLUMN: Final = {"id": "Variant Id", "sku": "Variant SKU", "barcode": "Variant Barcode"}


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product as it comes out of its first row. `row` is None if that cannot be used."""

    number: int
    handle: str
    line: int
    id: str | None
    row: ProductRow | None


@dataclass(frozen=True, slots=True)
class NewVariant:
    product: int
    line: int
    id: str | None
    row: VariantRow


@dataclass(frozen=True, slots=True)
class StagedVariant:
    line: int
    id: str | None
    row: VariantRow


@dataclass(frozen=True, slots=True)
class StagedProduct:
    """A product with its rows, and with what the catalogue has of it."""

    number: int
    handle: str
    line: int
    id: str | None
    row: ProductRow | None
    variants: list[StagedVariant]
    existing: Product | None


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The unique keys of a product in the catalogue, and the whole of it as BSON."""

    id: str
    handle: str | None
    skus: Sequence[str]
    barcodes: Sequence[str]
    document: bytes


class Staging:
    """One file's staging database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._run(_SCHEMA)
        self.products = 0

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Staging]:
        """In a temporary folder, which is removed at the end."""
        with TemporaryDirectory(prefix="batchbus-import-") as folder:
            # Calls come from several threads, one after the other.
            database = sqlite3.connect(Path(folder) / "staging.sqlite", check_same_thread=False, isolation_level=None)
            try:
                yield cls(database)
            finally:
                database.close()

    # -- while the file is read ------------------------------------------------------------------------------------

    def known_products(self, handles: Sequence[str]) -> dict[str, tuple[int, int, str | None]]:
        """Number, first line and id of those handles that have been seen."""
        known = {}
        for first in range(0, len(handles), _PARAMETERS):
            some = handles[first : first + _PARAMETERS]
            for handle, *place in self._database.execute(
                f"SELECT handle, number, line, id FROM product WHERE handle IN ({_marks(some)})", some
            ):
                known[handle] = (place[0], place[1], place[2])
        return known

    def add(self, products: Sequence[NewProduct], variants: Sequence[NewVariant]) -> None:
        self.products += len(products)
        self._database.executemany(
            "INSERT INTO product VALUES (?, ?, ?, ?, ?)",
            [
                (product.number, product.handle, product.line, product.id, product.row and to_json(product.row))
                for product in products
            ],
        )
        self._database.executemany(
            "INSERT INTO variant VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    variant.product,
                    variant.line,
                    variant.id,
                    variant.row["fields"].get("sku"),
                    variant.row["fields"].get("barcode"),
                    to_json(variant.row),
                )
                for variant in variants
            ],
        )

    # -- what the file has twice -----------------------------------------------------------------------------------

    def drop_duplicates(self) -> Iterator[RowError]:
        """Once the file is read: rows whose SKU, barcode or id is that of an earlier row, which are dropped."""
        self._run(_INDEXES)
        for field, column in _COLUMN.items():
            self._run(f"""
                INSERT INTO error
                    SELECT line, '{column}', 'duplicate_{field}', 'line ' || first || ' has it already', {field}
                    FROM (SELECT {field} AS value, min(line) AS first FROM variant WHERE {field} IS NOT NULL
                          GROUP BY {field} HAVING count(*) > 1)
                    JOIN variant ON {field} = value AND line > first;
                DELETE FROM variant WHERE {field} IN (SELECT value FROM error WHERE code = 'duplicate_{field}')
                    AND line IN (SELECT line FROM error WHERE code = 'duplicate_{field}');
            """)
        self._run("""
            INSERT INTO error
                SELECT line, 'Product Id', 'duplicate_product', 'line ' || first || ' has it, with another handle', id
                FROM (SELECT id AS value, min(line) AS first FROM product WHERE id IS NOT NULL
                      GROUP BY id HAVING count(*) > 1)
                JOIN product ON id = value AND line > first;
            UPDATE product SET row = NULL WHERE id IN (SELECT value FROM error WHERE code = 'duplicate_product')
                AND line IN (SELECT line FROM error WHERE code = 'duplicate_product');
        """)
        yield from self._take_errors()

    def _take_errors(self) -> Iterator[RowError]:
        for row in self._database.execute("SELECT * FROM error ORDER BY line"):
            yield RowError(*row)
        self._database.execute("DELETE FROM error")

    # -- what the catalogue has already ----------------------------------------------------------------------------

    def keys(self, field: str, size: int) -> Iterator[list[str]]:
        """All values of `id`, `handle`, `sku` or `barcode` in the file, in batches."""
        table = "product" if field in ("id", "handle") else "variant"
        values = self._database.execute(f"SELECT DISTINCT {field} FROM {table} WHERE {field} IS NOT NULL")
        while batch := values.fetchmany(size):
            yield [value for (value,) in batch]

    def add_existing(self, found: Sequence[FoundKeys]) -> None:
        """Products of the catalogue: kept if the file updates them, compared with the keys of all others."""
        ids = [product.id for product in found]
        asked_for = self._database.execute(f"SELECT id FROM product WHERE id IN ({_marks(ids)})", ids)
        wanted = {product_id for (product_id,) in asked_for}
        self._database.executemany(
            "INSERT OR IGNORE INTO existing VALUES (?, ?)",
            [(product.id, product.document) for product in found if product.id in wanted],
        )
        self._clashes("handle", [(product.handle, product.id) for product in found])
        self._clashes("sku", [(sku, product.id) for product in found for sku in product.skus])
        self._clashes("barcode", [(barcode, product.id) for product in found for barcode in product.barcodes])

    def _clashes(self, field: str, found: Iterable[tuple[str | None, str]]) -> None:
        self._database.execute("DELETE FROM found")
        self._database.executemany("INSERT INTO found VALUES (?, ?)", found)
        row = "product" if field == "handle" else "variant"
        join = "" if field == "handle" else "JOIN product ON product.number = variant.product"
        self._database.execute(
            f"""INSERT OR IGNORE INTO clash
                SELECT product.number, {row}.line, '{field}', found.value, found.owner
                FROM found CROSS JOIN {row} {join}
                WHERE {row}.{field} = found.value AND product.id IS NOT found.owner"""
        )

    def drop_clashes(self) -> Iterator[RowError]:
        """Rows with a handle, SKU or barcode of another product in the catalogue, which are dropped."""
        self._run("""
            INSERT INTO error
                SELECT line, 'Product Handle', 'handle_taken', 'the product ' || owner || ' in the catalogue has it; '
                    || 'to update that one, give its id as Product Id', value
                FROM clash WHERE field = 'handle';
            UPDATE product SET row = NULL WHERE number IN (SELECT product FROM clash WHERE field = 'handle');
            DELETE FROM clash WHERE product IN (SELECT number FROM product WHERE row IS NULL);
        """)
        for field in ("sku", "barcode"):
            self._run(f"""
                INSERT INTO error
                    SELECT line, '{_COLUMN[field]}', '{field}_taken',
                        'the product ' || owner || ' in the catalogue has it', value
                    FROM clash WHERE field = '{field}';
                DELETE FROM variant WHERE (product, line) IN (SELECT product, line FROM clash WHERE field = '{field}');
            """)
        yield from self._take_errors()

    # -- product by product ----------------------------------------------------------------------------------------

    def batches(self, size: int) -> Iterator[list[StagedProduct]]:
        """Every product with its rows, in the order of the file."""
        last = 0
        while products := self._database.execute(
            "SELECT number, handle, line, id, row FROM product WHERE number > ? ORDER BY number LIMIT ?", (last, size)
        ).fetchall():
            first, last = products[0][0], products[-1][0]
            variants: dict[int, list[StagedVariant]] = {}
            for number, line, variant_id, row in self._database.execute(
                "SELECT product, line, id, row FROM variant WHERE product BETWEEN ? AND ? ORDER BY product, line",
                (first, last),
            ):
                variants.setdefault(number, []).append(StagedVariant(line, variant_id, from_json(row)))
            ids = [product_id for _, _, _, product_id, _ in products if product_id is not None]
            existing: dict[str, Product] = {}
            for product_id, document in self._database.execute(
                f"SELECT id, document FROM existing WHERE id IN ({_marks(ids)})", ids
            ):
                existing[product_id] = cast(Product, decode(document))
            yield [
                StagedProduct(
                    number,
                    handle,
                    line,
                    product_id,
                    row and from_json(row),
                    variants.get(number, []),
                    existing.get(product_id),
                )
                for number, handle, line, product_id, row in products
            ]

    def _run(self, script: str) -> None:
        """Several statements, and then on in one transaction: a statement in one of its own would write at once."""
        self._database.executescript(script + ";BEGIN")


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))

"""Processing an export: the catalogue into parts, and the parts into the file.

A part holds some thousand products and is a file of its own; so a run that takes over goes on after the last part
instead of beginning again, and what it writes is the same, since a part is never changed. In the end the parts are
joined under the header, whose width is known by then, and removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from batchbus_strategies.catalog.documents import Document
from batchbus_strategies.catalog.living import living_product
from batchbus_strategies.catalog.references import References, load_references
from batchbus_strategies.list_config import export_key
from batchbus_strategies.product_export.lines import decode_entries, encode_entry, entry_of, header_line, lines_of
from batchbus_strategies.product_export.query import Order, after, filters, order_of, place_of
from batchbus_strategies.product_export.shape import Shape

if TYPE_CHECKING:
    from batchbus_strategies.product_export.context import ProductExportContext
    from batchbus_strategies.strategy import JobRun, Json

    _Run = JobRun[Any]

__all__ = ["Selection", "write_export"]

_CHUNK: Final = 250
"""Products worked on at a time, in a thread."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which products, in which order."""

    query: Document
    order: Order
    skip: int
    limit: int | None

    @classmethod
    def of(cls, context: ProductExportContext) -> Selection:
        """Raises `JobRefused`."""
        return cls(
            filters(context.filterable_fields),
            order_of(context.list_config.order),
            context.list_config.skip,
            context.batch_size,
        )

    @property
    def whole(self) -> bool:
        """Whether it is everything that the query finds, so that the order does not matter for what it is."""
        return not self.skip and self.limit is None

    async def count(self, run: _Run) -> int:
        count = max(0, await run.catalog["products"].count_documents(self.query) - self.skip)
        return count if self.limit is None else min(count, self.limit)

    async def chunks(
        self, run: _Run, *, size: int, projection: Document | None = None, ordered: bool = True
    ) -> AsyncIterator[list[Document]]:
        """The products, out of one cursor."""
        cursor = run.catalog["products"].find(self.query, projection, batch_size=size)
        if ordered:
            cursor = cursor.sort(self.order.sort).allow_disk_use(True)
        if self.skip:
            cursor = cursor.skip(self.skip)
        if self.limit is not None:
            cursor = cursor.limit(self.limit)
        while chunk := await cursor.to_list(size):
            yield chunk

    def beyond(self, place: Json, done: int) -> Selection | None:
        """What is left of it after so many products, the last of which was there; None if nothing is."""
        if self.limit is not None and done >= self.limit:
            return None
        return replace(
            self,
            query={"$and": [self.query, after(place, self.order)]},
            skip=0,
            limit=None if self.limit is None else self.limit - done,
        )


@dataclass(slots=True)
class _State:
    """What a checkpoint keeps."""

    parts: list[int] = field(default_factory=list)
    """The number of the run that wrote each part, so that no two runs write the same file."""
    done: int = 0
    place: Json = None
    shape: Shape = field(default_factory=Shape)

    def to_json(self) -> Json:
        parts: list[Json] = [*self.parts]
        return {"parts": parts, "done": self.done, "place": self.place, "shape": self.shape.to_state()}

    @classmethod
    def resumed(cls, state: Json) -> _State:
        if not isinstance(state, dict):
            return cls()
        parts, done = state["parts"], state["done"]
        assert isinstance(parts, list) and isinstance(done, int)
        return cls([int(str(part)) for part in parts], done, state["place"], Shape.from_state(state["shape"]))

    def keys(self, job_id: str) -> list[str]:
        return [f"exports/products/parts/{job_id}/{number}-{run}.jsonl" for number, run in enumerate(self.parts)]


async def write_export(run: JobRun[ProductExportContext], *, part_size: int) -> None:
    """From the checkpoint on; `part_size` products to a part."""
    selection = Selection.of(run.context)
    references = await load_references(run.catalog)
    state = _State.resumed(run.resume_from)
    if count := await selection.count(run):
        run.expect(count)
    rest = selection if state.place is None else selection.beyond(state.place, state.done)
    if rest is not None:
        await _write_parts(run, rest, references, state, part_size)
    keys = state.keys(run.job_id)
    run.ensure_lease()
    key = export_key(run, "products", ".csv")
    size = await _join(run, keys, key, state.shape, references)
    run.result["file_key"] = key
    run.result["file_size"] = size
    run.update_context({"shape": state.shape.as_context(references)})
    if state.done:
        run.expect(state.done)
    for part in keys:
        await run.files.delete(part)


async def _write_parts(run: _Run, rest: Selection, references: References, state: _State, part_size: int) -> None:
    """Add parts to the state until nothing is left."""
    chunks = rest.chunks(run, size=min(_CHUNK, part_size))
    chunk = await anext(chunks, None)
    while chunk:
        written = 0
        state.parts.append(run.run_number)
        async with run.files.write(state.keys(run.job_id)[-1]) as file:
            while chunk and written < part_size:
                await file.write(await asyncio.to_thread(_entries, chunk, state.shape, references))
                written += len(chunk)
                state.place = place_of(chunk[-1], rest.order)
                await run.advance(len(chunk))
                chunk = await anext(chunks, None)
        state.done += written
        await run.checkpoint(state.to_json())


def _entries(products: Sequence[Document], shape: Shape, references: References) -> bytes:
    there = [living_product(product) for product in products]
    for product in there:
        shape.fit(product, references)
    return b"".join([encode_entry(entry_of(product, references)) for product in there])


async def _join(run: _Run, parts: Sequence[str], key: str, shape: Shape, references: References) -> int:
    """Write the file. Returns its size in bytes."""
    prices = [price for price, _ in shape.price_columns(references)]

    def rendered(entries: Sequence[bytes]) -> bytes:
        return "".join(line for entry in decode_entries(entries) for line in lines_of(entry, shape, prices)).encode()

    async with run.files.write(key) as file:
        await file.write(header_line(shape, references).encode())
        for part in parts:
            rest = b""
            async for piece in run.files.read(part):
                *entries, rest = (rest + piece).split(b"\n")
                await file.write(await asyncio.to_thread(rendered, entries))
            await run.advance(0)
        return file.size

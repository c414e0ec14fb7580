"""What an import leaves in the catalogue, without the ids and times that differ from run to run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from batchbus_service.storage.files import FileStore
from tests.engine.installation import Installation
from tests.samples.make_products import CATALOG, product_lines

__all__ = ["contents", "put_sample", "seed_catalogue"]

_OF_ONE_RUN: Final = frozenset({"created_at", "updated_at", "revision"})


async def seed_catalogue(installation: Installation) -> None:
    """Regions, collections and whatever else the sample files refer to."""
    for name, documents in CATALOG.items():
        await installation.catalog[name].insert_many([dict(document) for document in documents])


async def put_sample(folder: Path, key: str, *, rows: int, seed: int = 1) -> str:
    """A sample file in the file store of the installation in `folder`. Returns its key."""
    files = FileStore.open((folder / "files").absolute().as_uri())
    async with files.write(key) as file:
        for lines in _blocks(product_lines(rows, seed)):
            await file.write("".join(lines).encode())
    return key


def _blocks(lines: Iterable[str], size: int = 1000) -> Iterable[list[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield block
            block = []
    yield block


async def contents(installation: Installation) -> list[dict[str, Any]]:
    """Every product, by handle, in a form that two undisturbed imports of the same file agree on."""
    products = await installation.catalog["products"].find({}).to_list(None)
    types = {kind["_id"]: kind["value"] for kind in await installation.catalog["product_types"].find({}).to_list(None)}
    return sorted((_plain(product, types) for product in products), key=lambda product: str(product["handle"]))


def _plain(value: Any, types: dict[Any, Any]) -> Any:
    """Without generated ids: those that refer to a type become its value, the others go."""
    if isinstance(value, dict):
        return {
            key: types.get(part, _plain(part, types)) if key == "type_id" else _plain(part, types)
            for key, part in value.items()
            if key not in _OF_ONE_RUN and not _generated(part)
        }
    if isinstance(value, list):
        return [_plain(part, types) for part in value if not _generated(part)]
    return value


def _generated(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("prod_", "variant_", "opt_", "optval_", "ma_", "img_", "ptag_"))

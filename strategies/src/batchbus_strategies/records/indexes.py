"""The unique indexes that a record's key and its unique fields need, so that two imports at once make no twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.schema import Schema, Unique
from batchbus_strategies.strategy import Document, StrategyError

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["CatalogInconsistent", "element_index", "ensure_indexes", "indexes_of"]

_DUPLICATE_KEY: Final = 11000


class CatalogInconsistent(StrategyError):
    """The catalogue breaks a rule that the record declares, such as that a field is unique."""


async def ensure_indexes(catalog: Catalog, schema: Schema) -> None:
    """Create what is not there yet; cheap if all are. Raises `CatalogInconsistent` if two records have the same value."""
    collection = catalog[schema.record.collection]
    there = await indexes_of(catalog, schema)
    for name, model in _wanted(schema).items():
        if name in there:
            continue
        try:
            await collection.create_indexes([model])
        except OperationFailure as error:
            if error.code != _DUPLICATE_KEY:
                raise
            raise CatalogInconsistent(
                f"Two documents of {schema.record.collection} have the same {name.removeprefix('living_')}, by which an "
                f"import has to tell them apart; make it unique first ({error.details or error})"
            ) from error


async def indexes_of(catalog: Catalog, schema: Schema) -> set[str]:
    """The names of the indexes that there are."""
    try:
        return set(await catalog[schema.record.collection].index_information())
    except OperationFailure:  # some servers know no indexes of a collection that is not there
        return set()


def _wanted(schema: Schema) -> dict[str, IndexModel]:
    paths = [field.path for field in schema.keys]
    name = f"living_{'_'.join(paths)}"
    wanted = {name: _unique(name, paths, dict(LIVING))} if paths else {}
    for unique in schema.unique:
        path = unique.field.index or unique.field.path
        wanted[f"living_{path}"] = _unique(f"living_{path}", [path], {path: {"$exists": True}, **LIVING})
        if unique.of_elements:
            wanted[element_index(unique)] = IndexModel([(unique.name, ASCENDING)], name=element_index(unique))
    return wanted


def element_index(unique: Unique) -> str:
    """The name of the index that values of elements are looked up by.

    It is not unique: over arrays of objects that would depend on how a server treats elements without the field, and it
    would count those that are deleted. The unique one is on the field that repeats the values of the others.
    """
    return f"elements_{unique.name}"


def _unique(name: str, paths: list[str], only: Document) -> IndexModel:
    keys = [(path, ASCENDING) for path in paths]
    return IndexModel(keys, name=name, unique=True, partialFilterExpression=only)

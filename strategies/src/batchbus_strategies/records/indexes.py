"""The unique indexes that a record's key and its unique fields need, so that two imports at once make no twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import StrategyError

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["CatalogInconsistent", "ensure_indexes"]

_DUPLICATE_KEY: Final = 11000


class CatalogInconsistent(StrategyError):
    """The catalogue breaks a rule that the record declares, such as that a field is unique."""


async def ensure_indexes(catalog: Catalog, schema: Schema) -> None:
    """Create what is not there yet; cheap if all are. Raises `CatalogInconsistent` if two records have the same value."""
    collection = catalog[schema.record.collection]
    try:
        there = set(await collection.index_information())
    except OperationFailure:  # some servers know no indexes of a collection that is not there
        there = set()
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


def _wanted(schema: Schema) -> dict[str, IndexModel]:
    paths = [field.path for field in schema.keys]
    name = f"living_{'_'.join(paths)}"
    wanted = {name: _unique(name, paths, dict(LIVING))} if paths else {}
    for field in schema.unique:
        name = f"living_{field.path}"
        wanted[name] = _unique(name, [field.path], {field.path: {"$exists": True}, **LIVING})
    return wanted


def _unique(name: str, paths: list[str], only: dict[str, Any]) -> IndexModel:
    keys = [(path, ASCENDING) for path in paths]
    return IndexModel(keys, name=name, unique=True, partialFilterExpression=only)

"""What the cells of references name, looked up in batches and remembered for a while."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batchbus_events.ids import derived_ulid
from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.lookup import KEYS_IN_A_QUERY
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.fields import Field
from batchbus_strategies.records.plan import CreateReferenced
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRecord
from batchbus_strategies.records.staging import Staging
from batchbus_strategies.strategy import Fields, FieldValue
from batchbus_strategies.tables import shortened

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["References", "Resolved"]

_REMEMBERED: Final = 50_000


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a reference: the id that it stands for; nothing, since it is left out; or an error, for people."""

    id: FieldValue = None
    skipped: bool = False
    error: str | None = None


class References:
    """Looks up what reference fields name."""

    def __init__(self, catalog: Catalog, fields: Sequence[Field]) -> None:
        self._catalog = catalog
        self._fields = fields
        self._known: OrderedDict[tuple[str, str, str], list[FieldValue]] = OrderedDict()
        """By collection, field and value: the ids of the documents that have it, at most two."""
        self.skipped: dict[str, None] = {}
        """What was left out, in words; at most 20."""

    async def resolve(
        self, records: Sequence[Fields], fields: Sequence[Field] | None = None
    ) -> list[dict[str, Resolved]]:
        """For each record, given its values by path, what its references stand for. `fields`: others than its own, for
        elements of records."""
        fields = self._fields if fields is None else fields
        wanted: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for field in fields:
            assert field.reference
            for values in records:
                wanted[field.reference.collection, field.reference.by] |= dict.fromkeys(_named(values, field))
        for (collection, by), values_ in wanted.items():
            await self._look_up(collection, by, list(values_))
        resolved = [
            {
                field.path: self._all_resolved(field, values[field.path])
                for field in fields
                if values.get(field.path) is not None
            }
            for values in records
        ]
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return resolved

    async def _look_up(self, collection: str, by: str, values: Sequence[str]) -> None:
        unknown = [value for value in values if (collection, by, value) not in self._known]
        for first in range(0, len(unknown), KEYS_IN_A_QUERY):
            some = unknown[first : first + KEYS_IN_A_QUERY]
            found: dict[str, list[FieldValue]] = {value: [] for value in some}
            query = {by: {"$in": some}, **LIVING}
            async for document in self._catalog[collection].find(query, {by: 1}):
                if (ids := found.get(str(document.get(by)))) is not None and len(ids) < 2:
                    ids.append(document["_id"])
            self._known |= {(collection, by, value): ids for value, ids in found.items()}

    def _all_resolved(self, field: Field, value: FieldValue) -> Resolved:
        """Of a list, what of it is not skipped; the first error if there is one."""
        if not isinstance(value, list):
            return self._resolved(field, value)
        every = [(each, self._resolved(field, each)) for each in value]
        wrong = next((f"{shortened(each)}: {found.error}" for each, found in every if found.error is not None), None)
        return Resolved(error=wrong) if wrong else Resolved([found.id for _, found in every if not found.skipped])

    def _resolved(self, field: Field, value: str) -> Resolved:
        reference = field.reference
        assert reference
        ids = self._known.get((reference.collection, reference.by, value), [])
        if len(ids) == 1:
            return Resolved(ids[0])
        if len(ids) > 1:
            return Resolved(error=f"several of {reference.collection} have this {reference.by}")
        match reference.missing:
            case "create":
                return Resolved(new_id(field, value))
            case "skip":
                if len(self.skipped) < 20:
                    self.skipped[f"{field.column}: there is no {shortened(value)}; it was skipped"] = None
                return Resolved(skipped=True)
            case _:
                return Resolved(error=f"there is none of {reference.collection} with this {reference.by}")

    async def resolve_elements(self, schema: Schema, records: Sequence[StagedRecord]) -> None:
        """Put what the references of elements stand for into the rows, instead of the values that they name it by."""
        fields = schema.references_in_elements
        if not fields or schema.rows is None:
            return
        rows = [(record, row.line, row.element) for record in records for row in record.rows if row.element is not None]
        named = [{field.path: element.get(field.path) for field in fields} for _, _, element in rows]
        for (record, line, element), said, found in zip(rows, named, await self.resolve(named, fields), strict=True):
            record.named.append(said)
            for field in fields:
                if (one := found.get(field.path)) is None:
                    continue
                if one.error is None and not one.skipped:
                    element[field.path] = one.id
                    continue
                del element[field.path]
                if one.error is not None:
                    path, cell = f"{schema.rows.path}.{field.path}", field.write(said[field.path])
                    record.errors.append(CellError(line, field.column, "unknown_reference", one.error, cell, path))

    def made(
        self, values: Fields, staging: Staging, fields: Sequence[Field] | None = None
    ) -> Iterable[CreateReferenced]:
        """What has to be created for a record, or an element, with these values, which none before it has needed."""
        for field in self._fields if fields is None else fields:
            reference = field.reference
            if reference is None or reference.missing != "create":
                continue
            for value in _named(values, field):
                if self._known.get((reference.collection, reference.by, value)):
                    continue
                if not staging.is_new(f"{reference.collection} {reference.by}", value):
                    continue
                document = {reference.by: value}
                yield CreateReferenced(
                    op="reference", collection=reference.collection, id=new_id(field, value), document=document
                )


def _named(values: Fields, field: Field) -> list[str]:
    """What a record names in a reference field."""
    value = values.get(field.path)
    return value if isinstance(value, list) else [] if value is None else [value]


def new_id(field: Field, value: str) -> str:
    """The one id of what is created for a value, whoever creates it: so creating it twice creates it once."""
    reference = field.reference
    assert reference
    return reference.prefix + derived_ulid(f"{reference.collection} {reference.by}", value)

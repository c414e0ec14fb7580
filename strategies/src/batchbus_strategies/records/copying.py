"""Copies of documents of other collections, which stand in records: what cells name, and what becomes of a record's copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from batchbus_strategies.catalog.ids import derived_id
from batchbus_strategies.records.comparing import ABSENT
from batchbus_strategies.records.fields import Field, trimmed, value_at
from batchbus_strategies.records.plan import CreateReferenced
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["Copies", "load_copies"]

_SKIPPED: Final = 20
"""What is told of those that are left out, at most."""


async def load_copies(schema: Schema, catalog: Catalog) -> dict[str, Copies]:
    """What each field of copies can name, by the field's path; once for each file."""
    found: dict[str, Copies] = {}
    for field in schema.copied:
        assert field.copied
        wanted = dict.fromkeys([*field.copies, *(by for by in field.copied.by if by != "id"), "deleted_at"], 1)
        documents = await catalog[field.copied.collection].find({}, wanted).to_list(None)
        found[field.path] = Copies(field, sorted(documents, key=lambda document: str(document["_id"])))
    return found


class Copies:
    """What one field can name. Of several documents with one value, the one with the least id counts where a reference
    may be left out; elsewhere the cell says nothing, and is refused."""

    def __init__(self, field: Field, documents: Sequence[Fields]) -> None:
        assert field.copied
        self.field = field
        self._copied = field.copied
        living = [each for each in documents if each.get("deleted_at") is None]
        self._by_id = {str(each["_id"]): self._copy(each) for each in living}
        self._deleted = frozenset(str(each["_id"]) for each in documents if each.get("deleted_at") is not None)
        self._by: dict[str, dict[str, list[Document]]] = {by: {} for by in field.copied.by}
        for each in living:
            for by in field.copied.by:
                value = each.get("_id" if by == "id" else by)
                if value is not None and value != "":
                    self._by[by].setdefault(str(value), []).append(self._by_id[str(each["_id"])])
        self.skipped: dict[str, None] = {}
        """What was left out, in words; at most 20."""

    def _copy(self, document: Fields) -> Document:
        values = {name: document.get(name) for name in self.field.copies}
        defaults = self.field.copies
        return {
            "id": document["_id"],
            **{name: defaults[name] if values[name] is None else values[name] for name in values},
        }

    # -- what cells name -------------------------------------------------------------------------------------------

    def find(self, named: Mapping[str, str]) -> Document | None:
        """The copy that cells stand for, given by field of `Copied.by`; None for one that is left out.

        Raises `LookupError`, with a message for people; its second argument is the field that the cell is of.
        """
        noun = self.field.part_name
        for by in self._copied.by:
            if not (text := named.get(by, "")):
                continue
            found = self._by[by].get(text, [])
            if len(found) == 1 or (found and self._copied.missing == "skip"):
                return found[0]
            if found:
                raise LookupError(f"several {noun} documents have this {by}; name it in another way", by)
            if self._copied.missing == "create":
                return {"id": self._new_id(text), by: text}
            if self._copied.missing == "refuse":
                raise LookupError(f"there is no {noun} with this {by}", by)
        if len(self.skipped) < _SKIPPED:
            text = [named[by] for by in self._copied.by if named.get(by)][-1]
            self.skipped[f"There is no {noun} {text}; it was skipped"] = None
        return None

    def _new_id(self, value: str) -> str:
        """Derived from the value, so that two imports make one document of it; but not that of one that was deleted."""
        id_, times = derived_id(self._copied.prefix, value), 1
        while id_ in self._deleted:
            times += 1
            id_ = derived_id(self._copied.prefix, f"{value}\0{times}")
        return id_

    def made(self, value: object) -> Iterator[CreateReferenced]:
        """What has to be created for a copy that a record gets."""
        if self._copied.missing == "create" and isinstance(value, Mapping) and str(value["id"]) not in self._by_id:
            document = {name: each for name, each in value.items() if name != "id"}
            yield CreateReferenced(
                op="reference", collection=self._copied.collection, id=value["id"], document=document
            )

    def of(self, record: Fields) -> list[Document]:
        """The copies that a record has, as their documents are now; without those of what is not there any more."""
        value = value_at(record, self.field.path)
        if self.field.several:
            there = value if isinstance(value, list) else []
            return [found for each in there if (found := self._by_id.get(str(each.get("id")))) is not None]
        if self._copied.missing == "create" and isinstance(value, Mapping):
            return [] if str(value.get("id")) in self._deleted else [dict(value)]
        found = self._by_id.get(self._id_of(value, record) or "")
        return [] if found is None else [found]

    # -- what becomes of a record ----------------------------------------------------------------------------------

    def new_values(self, said: FieldValue) -> Document:
        """What a new record has, by path, given what its row says."""
        if self.field.several:
            return {self.field.path: said["found"] if said is not None else []}
        return self._with_id(said)

    def _with_id(self, copy: Document | None) -> Document:
        values: Document = {self.field.path: copy}
        if self._copied.id_field is not None:
            values[self._copied.id_field] = None if copy is None else copy["id"]
        return values

    def changed_values(self, said: FieldValue, existing: Fields) -> Document:
        """What changes in a record that exists, by path. A copy of what is not there any more counts for nothing, and stays
        as long as the file says nothing either."""
        now = value_at(existing, self.field.path, ABSENT)
        if self.field.several:
            return self._changed_list(said, now if isinstance(now, list) else [])
        if self._copied.missing == "create":
            return {} if self._same_value(said, now, existing) else self._with_id(said)
        id_ = self._id_of(now, existing)
        same = (None if said is None else said["id"]) == (id_ if id_ in self._by_id else None)
        return {} if same else self._with_id(said)

    def _changed_list(self, said: Fields, now: Sequence[Fields]) -> Document:
        there = [str(each["id"]) for each in now]
        wanted = {str(each["id"]): each for each in said["found"]}
        if not said["whole"]:
            new = [each for id_, each in wanted.items() if id_ not in there]
            return {self.field.path: [*now, *new]} if new else {}
        if list(wanted) == [id_ for id_ in there if id_ in self._by_id]:
            return {}
        return {self.field.path: list(wanted.values())}

    def _same_value(self, said: Document | None, now: object, existing: Fields) -> bool:
        """Of what is created where it is missing, the value counts and not the id."""
        by = next(iter(self._copied.by))
        if not isinstance(now, Mapping):
            now = self._by_id.get(self._id_of(None, existing) or "")
        if now is None or str(now.get("id")) in self._deleted:
            return said is None
        value = now.get(by)
        return trimmed(str(value or "")) == ("" if said is None else said[by])

    def _id_of(self, copy: object, existing: Fields) -> str | None:
        id_ = value_at(existing, self._copied.id_field) if self._copied.id_field is not None else None
        if id_ is None and isinstance(copy, Mapping):
            id_ = copy.get("id")
        return None if id_ is None else str(id_)

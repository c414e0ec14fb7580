"""What the elements of a record differ in: names, and a value of each for every element, however they are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from batchbus_strategies.records.columns import NameList
from batchbus_strategies.records.comparing import ABSENT
from batchbus_strategies.records.fields import Field, is_living, trimmed, value_at
from batchbus_strategies.records.keyed import find
from batchbus_strategies.records.paths import element_path
from batchbus_strategies.records.plan import Change, change_of
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["Combinations", "name_in"]

Names = dict[str, str]
"""By name, in the order of the record: the identity that its value has in an element."""


def name_in(found: Collection[str], name: str) -> str:
    """A name of a list, without the blanks around it, unless the list has it so already: then they are twins."""
    plain = trimmed(name)
    return name if plain in found else plain


class Combinations:
    """Reads and makes the names and values of one kind of record."""

    def __init__(self, schema: Schema) -> None:
        assert schema.combination is not None and schema.combination.combination is not None
        self.field: Field = schema.combination
        self.grows = schema.combination.combination.grows
        self.needed = schema.combination.combination.needed
        before = schema.combination.combination.name_column.partition("<n>")[0]
        self.noun = before.strip().lower() or "name"
        """What a name is of, for people: `option` for `Option <n> Name`."""
        self._schema = schema
        self._list: NameList | None = schema.combination.combination.names

    def names(self, document: Fields) -> Names:
        """Of a stored record."""
        if self._list is None:
            values = (value_at(each, self.field.path) for each in self._schema.elements(document))
            return {name: name for each in values if isinstance(each, Mapping) for name in each}
        found: Names = {}
        there = document.get(self._list.field)
        for each in there if isinstance(there, list) else ():
            if is_living(each) and each.get(self._list.name) is not None:
                name = str(each[self._list.name])
                found.setdefault(name_in(found, name), str(each.get("id")))
        return found

    def values(self, names: Names, element: Fields) -> dict[str, str]:
        """What a stored element has, by name; without names for which it has nothing."""
        there = value_at(element, self.field.path)
        if self._list is None:
            found: Fields = there if isinstance(there, Mapping) else {}
        else:
            found = {}
            for each in there if isinstance(there, list) else ():
                if is_living(each):
                    found = {str(each.get(self._list.refers)): each.get(self._list.value), **found}
        return {name: str(found[key]) for name, key in names.items() if found.get(key) is not None}

    def added(self, names: Iterable[str], ids: Iterator[str]) -> tuple[Names, list[Document]]:
        """New names: their identities, and what is stored of them in the record's list, if they have one."""
        if self._list is None:
            return {name: name for name in names}, []
        items = [{"id": self._list.id_prefix + next(ids), self._list.name: name} for name in names]
        return {item[self._list.name]: item["id"] for item in items}, items

    def name_changes(self, document: Fields, items: list[Document]) -> Iterator[tuple[str, Change]]:
        """Names that an existing record gets, by path."""
        if self._list is None or not items:
            return
        now = document.get(self._list.field, ABSENT)
        if not isinstance(now, list):
            yield self._list.field, change_of(now, items)
            return
        for item in items:
            yield element_path(self._list.field, item["id"]), change_of(ABSENT, item)

    def put_names(self, document: Document, items: list[Document]) -> None:
        """Into a new record."""
        if self._list is not None:
            document[self._list.field] = items

    def stored(self, names: Names, values: Mapping[str, str], ids: Iterator[str]) -> FieldValue:
        """What a new element has of these values."""
        if self._list is None:
            return dict(values)
        return [self._item(names[name], value, ids) for name, value in values.items()]

    def changes(
        self, names: Names, element: Fields, values: Mapping[str, str], ids: Iterator[str]
    ) -> Iterator[tuple[str, Change]]:
        """What these values change in an element, by paths in it."""
        before = self.values(names, element)
        wanted = {name: value for name, value in values.items() if before.get(name) != value}
        path = self.field.path
        now: FieldValue = value_at(element, path, ABSENT)
        if not wanted:
            return
        if not (isinstance(now, Mapping) if self._list is None else isinstance(now, list)):
            yield path, change_of(now, self.stored(names, wanted, ids))
        elif self._list is None:
            for name, value in wanted.items():
                yield element_path(path, name), change_of(now.get(name, ABSENT), value)
        else:
            for name, value in wanted.items():
                place = find(now, self._refers, names[name])
                if place is not None:
                    old = now[place].get(self._list.value, ABSENT)
                    yield element_path(path, names[name], self._list.value), change_of(old, value)
                else:
                    yield element_path(path, names[name]), change_of(ABSENT, self._item(names[name], value, ids))

    def _refers(self, item: Fields) -> str | None:
        assert self._list is not None
        return str(item.get(self._list.refers))

    def _item(self, name_id: str, value: str, ids: Iterator[str]) -> Document:
        assert self._list is not None
        return {"id": self._list.value_id_prefix + next(ids), self._list.refers: name_id, self._list.value: value}

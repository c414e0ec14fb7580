"""Changes in lists whose elements have identities: from an update, and the document as it is now, to the write.

The plan says of each thing what it was and what it is to be. Others may have changed the document since: what they did to
other things stays, and what they did to the same is a conflict. The write itself filters on what was read here, so that
nothing comes in between either; where it finds nothing for that, it is worked out anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pymongo import UpdateOne

from batchbus_strategies.catalog.living import LIVING
from batchbus_strategies.records.comparing import ABSENT, same
from batchbus_strategies.records.fields import is_living, value_at
from batchbus_strategies.records.keyed import (
    Changed,
    changed_value,
    find,
    identities,
    still_same,
    with_change,
    with_value,
)
from batchbus_strategies.records.paths import ElementPath, parse_path
from batchbus_strategies.records.plan import Change, Update
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.unique_values import repeated_values
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["Changed", "changed_document", "is_merged", "merged", "stamped"]


def is_merged(changes: Iterable[str], schema: Schema) -> bool:
    """Whether the document has to be read before changes of these paths can be written."""
    rows = schema.rows.path if schema.rows else None
    return any("[" in path or path == rows for path in changes)


def merged(update: Update, document: Document | None, schema: Schema, now: datetime) -> UpdateOne | None:
    """The write; None if it was made before. Raises `Changed`, also for a document that is gone."""
    if document is not None and document.get("revision") == update["revision"]:
        return None
    if document is None or document.get("deleted_at") is not None:
        raise Changed("it has been deleted since the plan was made")
    if "seen" in update and document.get("revision") != update["seen"]:
        raise Changed("it has been changed since the plan was made")
    merge = _Merge(document, schema)
    try:
        merge.apply(update["changes"])
    except Changed:
        if document.get("revision") != update.get("seen"):  # by an import, which may have changed more than the field
            raise Changed("it has been changed since the plan was made") from None
        raise
    seen = {"revision": update["seen"]} if "seen" in update else {}
    return merge.request({"_id": update["id"], **seen, **LIVING}, update["revision"], now)


def changed_document(document: Fields, changes: Mapping[str, Change], schema: Schema) -> Document:
    """The document as it will be. Raises `Changed` if it is not what the changes were worked out from."""
    if is_merged(changes, schema):
        merge = _Merge(document, schema)
        merge.apply(changes)
        return merge.result()
    result = dict(document)
    for path, change in changes.items():
        result = with_value(result, path, change.get("new", ABSENT))
    return result


def stamped(element: Fields, now: datetime) -> Document:
    """A new element of the rows with its times."""
    return {**element, "created_at": now, "updated_at": now, "deleted_at": None}


@dataclass(slots=True)
class _Element:
    """An element of the rows that changes."""

    place: int
    """As long as the list is not written as a whole."""
    before: Document
    now: Document
    fields: dict[str, None] = field(default_factory=dict)
    """The paths of what changes in it; a list in it is one of them."""


class _Merge:
    """The changes of one update, on one document."""

    def __init__(self, document: Fields, schema: Schema) -> None:
        self._document = document
        self._schema = schema
        self._rows = schema.rows.path if schema.rows else None
        self._lists = identities(schema, of_elements=False)
        self._in_elements = identities(schema, of_elements=True)
        self._set: Document = {}
        """What fields outside of the rows become, by path; `ABSENT` for one that goes."""
        there = document.get(self._rows) if self._rows else None
        self._elements: list[FieldValue] = list(there) if isinstance(there, list) else []
        self._length = len(self._elements)
        self._changed: dict[str, _Element] = {}
        """By id."""
        self._rewritten = False
        """Whether the list of elements has to be written as a whole, since one goes, or the list itself comes or goes."""
        self._instead: FieldValue = []
        """What there is to be where the list is empty; `ABSENT` for nothing."""

    def apply(self, changes: Mapping[str, Change]) -> None:
        for path, change in changes.items():
            steps = parse_path(path)
            if steps is None and path == self._rows:
                self._whole_list(change)
            elif steps is None:
                self._field(path, change)
            elif steps.field == self._rows:
                self._of_rows(steps, change)
            else:
                now = self._set.get(steps.field, value_at(self._document, steps.field, ABSENT))
                identity = self._lists.get(steps.field)
                name = self._spoken(steps.field, steps.identity)
                self._set[steps.field] = with_change(now, identity, steps.identity, steps.rest, change, "it", name)

    def _spoken(self, path: str, identity: str) -> str:
        """An element of a list, for people. `path`: of the list, from the record on."""
        field = dict(self._schema.families).get(path)
        return field.family.columns.spoken(identity) if field is not None and field.family else f"{path}[{identity}]"

    def _field(self, path: str, change: Change) -> None:
        now = value_at(self._document, path, ABSENT)
        result = changed_value(now, change, "it", path)
        if result is not now:
            self._set[path] = result

    def _whole_list(self, change: Change) -> None:
        """The list itself was not there, and comes; or, in the opposite of that, goes."""
        old, new = change.get("old", ABSENT), change.get("new", ABSENT)
        if isinstance(new, list):
            known = {each.get("id") for each in self._elements if is_living(each)}
            self._elements += [each for each in new if each["id"] not in known]
            self._rewritten = self._rewritten or not isinstance(self._document.get(str(self._rows)), list)
        elif self._elements and not still_same(self._elements, old):
            raise Changed(f"its {self._rows} have been changed since the plan was made")
        else:
            self._rewritten, self._elements, self._instead = True, [], new

    def _of_rows(self, steps: ElementPath, change: Change) -> None:
        rows = self._schema.rows
        assert rows
        what = f"its {rows.part_name} {steps.identity}"
        if not steps.rest:
            count = len(self._elements)
            identity = self._lists[rows.path]
            changed = with_change(
                self._elements, identity, steps.identity, "", change, "it", f"{rows.part_name} {steps.identity}"
            )
            assert isinstance(changed, list)
            self._elements = changed
            self._rewritten = self._rewritten or len(changed) < count
            return
        place = find(self._elements, self._lists[rows.path], steps.identity)
        if place is None:
            raise Changed(f"{what} has been deleted since the plan was made")
        now = self._elements[place]
        inner = parse_path(steps.rest)
        name = inner.field if inner else steps.rest
        seen = value_at(now, name, ABSENT)
        if inner is None:
            result: FieldValue = changed_value(seen, change, what, name)
        else:
            of = self._in_elements.get(name)
            spoken = self._spoken(f"{rows.path}.{name}", inner.identity)
            result = with_change(seen, of, inner.identity, inner.rest, change, what, spoken)
        if result is seen or (isinstance(seen, list) and result == seen):
            return
        element = self._changed.setdefault(steps.identity, _Element(place, now, now))
        element.now = self._elements[place] = with_value(now, name, result)
        element.fields[name] = None

    # -- what comes of it ------------------------------------------------------------------------------------------

    def result(self) -> Document:
        """The document as it will be, times apart."""
        document = dict(self._document)
        for path, value in self._set.items():
            document = with_value(document, path, value)
        if self._rows is not None and (self._changed or self._rewritten or len(self._elements) > self._length):
            document = with_value(document, self._rows, self._elements or self._instead)
        for index, value in self._repeated().items():
            document = with_value(document, index, value)
        return document

    def request(self, where: Document, revision: str, now: datetime) -> UpdateOne:
        """The write that finds the document only as it was read, as far as it is changed."""
        set_: Document = {}
        unset: Document = {}
        for path, value in (self._set | self._repeated()).items():
            where[path] = _as_it_is(value_at(self._document, path, ABSENT))
            if value is ABSENT:
                unset[path] = ""
            else:
                set_[path] = value
        if self._rows is not None:
            self._request_rows(self._rows, where, set_, unset, now)
        set_ |= {"revision": revision, "updated_at": now}
        return UpdateOne(where, {"$set": set_, "$unset": unset} if unset else {"$set": set_})

    def _request_rows(self, rows: str, where: Document, set_: Document, unset: Document, now: datetime) -> None:
        new = self._elements[self._length :] if not self._rewritten else []
        if self._rewritten:
            where[rows] = _as_it_is(value_at(self._document, rows, ABSENT))
            if not self._elements and self._instead is ABSENT:
                unset[rows] = ""
            else:
                set_[rows] = self._as_written(now) or self._instead
            return
        conditions = []
        for element in self._changed.values():
            place = element.place
            # By its place alone, a null in it would match any element: other elements have no field "0".
            seen = {name: _as_it_is(value_at(element.before, name, ABSENT)) for name in element.fields}
            conditions.append({rows: {"$elemMatch": {"id": element.before["id"], "deleted_at": None, **seen}}})
            where[f"{rows}.{place}.id"] = element.before["id"]
            for name in element.fields:
                value = value_at(element.now, name, ABSENT)
                if value is ABSENT:
                    unset[f"{rows}.{place}.{name}"] = ""
                else:
                    set_[f"{rows}.{place}.{name}"] = value
            set_[f"{rows}.{place}.updated_at"] = now
        if new:
            where[rows] = {"$size": self._length}
            set_ |= {f"{rows}.{self._length + n}": stamped(each, now) for n, each in enumerate(new)}
        if conditions:
            where["$and"] = conditions

    def _as_written(self, now: datetime) -> list[FieldValue]:
        """The elements with their times."""
        there = {id(each) for each in self._document.get(str(self._rows)) or ()}
        changed = {id(each.now) for each in self._changed.values()}
        return [
            {**each, "updated_at": now} if id(each) in changed else each if id(each) in there else stamped(each, now)
            for each in self._elements
        ]

    def _repeated(self) -> Document:
        """What the fields that repeat unique values become, where they do not have it. Raises `Changed`."""
        if not (self._changed or self._rewritten or len(self._elements) > self._length):
            return {}
        changed: Document = {}
        before = repeated_values(self._schema, self._document)
        for index, (wanted, name) in repeated_values(self._schema, {str(self._rows): self._elements}).items():
            if len(set(wanted)) < len(wanted):
                if Counter(wanted) == Counter(before[index][0]):
                    continue  # others have made it so, and this update has no part in it
                raise Changed(f"another of its {self._rows} has got the same {name} since the plan was made")
            there = self._document.get(index, ABSENT)
            if not same(wanted, there):
                changed[index] = wanted or ABSENT
        return changed


def _as_it_is(value: object) -> Document:
    """The condition that a field has the value that it was read with."""
    return {"$exists": False} if value is ABSENT else {"$eq": value}

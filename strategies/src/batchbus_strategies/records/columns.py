"""What is written beside a field of a record to say which column of a file it has, and what that column means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from batchbus_strategies.records.families import FamilyColumns
from batchbus_strategies.strategy import Fields

__all__ = [
    "Column",
    "Combination",
    "Copied",
    "Empty",
    "Family",
    "Items",
    "Key",
    "Marker",
    "Missing",
    "NameList",
    "Named",
    "Numbered",
    "Reference",
    "Rows",
    "Shown",
]

Empty = Literal["clears", "keeps"]
"""What an empty cell does to a record that exists: it clears the field, or leaves it as it is."""

Missing = Literal["refuse", "create", "skip"]
"""What a reference to something that does not exist does: refuse the record, create what is named, or leave the
reference out, with a warning."""


@dataclass(frozen=True, slots=True)
class Column:
    """The field has a column of its own.

    What else is to be said of the field is said by pydantic's `Field`: its `description` and the first of its `examples`
    go into the template, and its limits (`max_length`, `ge`, …) are checked.
    """

    name: str
    """As files that are written name it. Readers match it without regard to case, blanks and punctuation."""
    also: Sequence[str] = ()
    """Other names that files may have for it."""
    empty: Empty | None = None
    """The default is to clear a field that may be None, and to leave any other as it is."""
    unique: bool = False
    """No two records may have the same value; of a field of a part with `Rows`, no two elements of any records."""
    index: str | None = None
    """For a unique field of a part with `Rows`, which needs it: the field of the record that repeats the values of all
    elements that are not deleted, and that a unique index is on. It is absent where there are none."""
    currency: str | None = None
    """For money in a field of type `int`: the ISO 4217 code of its currency. The field holds minor units (cents), the cell
    major ones (`12.50`)."""


@dataclass(frozen=True, slots=True)
class Key(Column):
    """The field tells which record a row is about. Several of them together are one key."""


@dataclass(frozen=True, slots=True)
class Shown(Column):
    """The field has a column that exports write, and that imports compare and never take over.

    A cell that says something else than the record is an error; an empty one says nothing. So an export can be imported
    again, and nobody changes there what cannot be changed. It may stand beside `created_at` and `updated_at`, but not in
    a list of parts.
    """

    cell: Callable[[Fields], str | int | Decimal | None] | None = None
    """Makes its cell of the whole document; without it, the cell has the field's value."""
    only_with: str = ""
    """A path: an export has the column only if one of its records has something there."""
    compared: bool = True
    """Whether imports compare it; if not, they pass it over."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The field holds the `_id` of a document in another collection, and its cell a value of one of that one's fields.

    A field that is a list holds several, and its cell their values, separated by commas.
    """

    collection: str
    by: str
    """The field that the cell has the value of. If several documents have it, the cell says nothing and is refused."""
    column: str
    also: Sequence[str] = ()
    missing: Missing = "refuse"
    empty: Empty | None = None
    """As in `Column`."""
    prefix: str = ""
    """What the ids of documents that are created begin with."""


@dataclass(frozen=True, slots=True)
class Copied:
    """The field holds a copy of a document of another collection, as a `Part`; a field that is a list holds several.

    A copy has the `_id` of its document as `id`, and the other fields of the part. The collection is read whole, once for
    each file, so it is for one that is small.
    """

    collection: str
    by: Mapping[str, str]
    """The fields that a document is found by, each with its column, the surest first; `id` is the `_id`. With `<n>` in
    the names of the columns, the field is a list."""
    id_field: str | None = None
    """The field of the record beside this one that has the id alone; not for lists."""
    missing: Missing = "refuse"
    """With `create`, the first field of `by` is what the new document has. A reference that is left out takes nothing
    away from a list."""
    prefix: str = ""
    """What the ids of documents that are created begin with; the rest is derived from the value."""
    written: Mapping[str, str] = field(default_factory=dict)
    """The fields that exports write, each with its column, in their order; those of `by` if there are none given. A column
    that is not in `by` is passed over by imports."""


@dataclass(frozen=True, slots=True)
class Items:
    """The field is a list of a `Part`, and files have one field of its elements.

    They have it in one cell, separated by commas; or, with `<n>` in the name of the column, in a column for each. An element
    that is there already stays as it is. Equal values count once.
    """

    column: str
    field: str
    """The field of the part that files have."""
    id_prefix: str | None = None
    """What the `id` of a new element begins with; the rest is derived from its value. None if elements have no id."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """The field is a list, and each of its values has a column: `Image <n> Url` is `Image 1 Url`, `Image 2 Url`, …

    In a list of records, which are declared as `Part`, each field has a column with `<n>` in its name, and the pattern
    here is empty. Equal values in a row count once.
    """

    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """The field is a dict, and each of its keys has a column: `Attribute <name>` is `Attribute Colour`, …

    Such names are matched exactly, since they are data.
    """

    pattern: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The field is a list of a `Part`, and each row of the file is one of its elements.

    The cells of the record itself are read from its first row; later rows leave them empty, or repeat them. Each element
    has an `id`, and may have a `deleted_at`, with which it is not there. A row is about the element with its id; else about
    one with the same value of a unique field; else about the one with the same `Combination`; else about a new one. A row
    whose cells of the part are all empty is about no element. Elements that the file does not name stay as they are.
    """

    id_column: str
    """The column for the `id` of an element that exists."""
    id_prefix: str = ""
    """What the `id` of a new element begins with; a ULID follows."""
    found_by_id: bool = False
    """Whether a row without an id is always about a new element."""
    on_every_row: bool = False
    """Whether a row of a new record is about an element even if all its cells of the part are empty."""
    first_row_only: bool = False
    """Whether the cells of the record itself are not looked at in later rows, so that they may say something else."""


@dataclass(frozen=True, slots=True)
class NameList:
    """Names of a `Combination` that stand in a list of the record, while the elements have the values.

    The defaults are for a record with `options: [{id, title}]`, whose elements have `[{id, option_id, value}]`.
    """

    field: str = "options"
    """The field of the record, a list."""
    name: str = "title"
    """The field with the name, in that list."""
    refers: str = "option_id"
    """The field of an element's value with the `id` of the name."""
    value: str = "value"
    id_prefix: str = ""
    """What the `id` of a new name begins with."""
    value_id_prefix: str = ""
    """What the `id` of a new value begins with."""


@dataclass(frozen=True, slots=True)
class Combination:
    """The field of a part with `Rows` holds a value for each of some names, as `Size: L, Colour: red`.

    Each name and each value has a column, `Option <n> Name` and `Option <n> Value`. Every element of a record has a value
    for every name of the record, and no two have the same of all. That is asked of records that a file creates, or whose
    names and values it changes. An empty value leaves what is there.
    """

    name_column: str
    value_column: str
    names: NameList | None = None
    """Where the names are; None if each element has a dict of names and values."""
    grows: bool = True
    """Whether a record that exists may get a name that it has not."""
    needed: bool = True
    """Whether that is asked of every record. If not, elements of a record without names may be alike, and of a record that
    exists only elements are looked at that the file gives values."""


@dataclass(frozen=True, slots=True)
class Family:
    """The field is a list, and columns whose names are data have a value of one of its elements each.

    A column changes, adds or, with an empty cell, removes that element, and leaves all others alone.
    """

    columns: FamilyColumns[Any]
    id_prefix: str | None = None
    """What the `id` of a new element begins with; None if elements have none."""


Marker = Column | Reference | Copied | Items | Numbered | Named | Rows | Combination | Family
"""What may be written beside a field."""

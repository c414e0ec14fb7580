"""What is written beside a field of a record to say which column of a file it has, and what that column means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

__all__ = ["Column", "Empty", "Key", "Missing", "Named", "Numbered", "Reference", "Shown"]

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
    """No two records may have the same value."""
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
    again, and nobody changes there what cannot be changed. It may stand beside `created_at` and `updated_at`.
    """

    cell: Callable[[Mapping[str, Any]], str | int | Decimal | None] | None = None
    """Makes its cell of the whole document; without it, the cell has the field's value."""
    only_with: str = ""
    """A path: an export has the column only if one of its records has something there."""


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

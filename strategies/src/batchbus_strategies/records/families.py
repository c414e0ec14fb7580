"""Families of columns: what an author writes for columns whose names are data, such as `Price Denmark [DKK]`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from batchbus_strategies.strategy import Fields

if TYPE_CHECKING:
    from batchbus_strategies.strategy import Catalog

__all__ = ["ColumnError", "FamilyColumn", "FamilyColumns"]

K = TypeVar("K")


class ColumnError(LookupError):
    """A column is of a family, and yet there is no such column. The message is for people, and does not name the column.

    `looked_for` and `among`: a name that there is not, and those that there are, of which the nearest is shown.
    """

    def __init__(self, code: str, message: str, *, looked_for: str | None = None, among: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.looked_for = looked_for
        self.among = among


@dataclass(frozen=True, slots=True)
class FamilyColumn:
    """One column of a family, as it was found in a header."""

    identity: str
    """Of the element that its cells are about: `FamilyColumns.identity` says the same of that element."""
    parse: Callable[[str], Fields]
    """The fields of the element that a cell sets; the cell is not empty, and has no blanks around it. Raises `ValueError`,
    with a message for people."""
    new: Fields = field(default_factory=dict)
    """The fields that an element has besides if the cell makes it."""
    code: str = "bad_value"
    """Of the error for a cell that `parse` refuses."""
    rank: int = 0
    """New elements are in the order of their columns, those with a lower rank first."""


class FamilyColumns(ABC, Generic[K]):
    """Which columns belong to the family, and what they mean. `K` is what the columns are looked up in: for prices, the
    regions of the catalogue."""

    pattern: str
    """For people: `Price <Region> [<CUR>]`."""
    example: tuple[str, str]
    """A column and a cell of it, for templates."""
    noun: str | None = None
    """What a column of the family holds, in a word, such as `price`."""
    says: str = ""
    """What such a cell holds, in words: for templates."""

    reads: Sequence[str] = ()
    """The fields of an element that `identity` looks at, so that no more is read to find out which columns there are; all of
    them if none is given."""

    @abstractmethod
    def matches(self, header: str) -> bool:
        """Whether a column is of the family, as far as its name tells."""

    @abstractmethod
    async def load(self, catalog: Catalog) -> K:
        """What `column` and `headers` need of the catalogue: called once for each file."""

    @abstractmethod
    def column(self, header: str, known: K) -> FamilyColumn:
        """What a column that matches means. Raises `ColumnError`."""

    @abstractmethod
    def identity(self, element: Fields) -> str | None:
        """Which column a stored element has; None if it has none, as a price for a quantity: it is left alone."""

    def spoken(self, identity: str) -> str:
        """A column's element, for people who read that somebody else has changed it."""
        return f"{self.noun or 'value'} {identity}"

    @abstractmethod
    def write(self, element: Fields) -> str:
        """The cell of a stored element that has an identity."""

    @abstractmethod
    def headers(self, identities: Iterable[str], known: K) -> Sequence[tuple[str, str]]:
        """For an export: each identity with its column, in their order. One that no column leads back to is left out."""

"""`Record`, which an entity is declared by; and money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Money", "Part", "Record"]


class Money(BaseModel):
    """An amount in its currency. In a cell it is `12.50 EUR`."""

    model_config = ConfigDict(frozen=True)

    amount: int
    """In the currency's minor unit, such as cents."""
    currency_code: str
    """ISO 4217, in lower case."""


class Part(BaseModel):
    """What a record has in a list or inside itself; its fields have columns as those of a record have."""


class Record(BaseModel):
    """An entity, declared once: the fields of its documents, the columns of its files, and what they refer to.

        class Customer(Record, collection="customers", id_prefix="cus_"):
            email: Annotated[str, Key("Email", also=["E-mail"])]
            first_name: Annotated[str | None, Column("First Name")] = None

    Documents have the fields of the model under their names, and besides `_id`, `revision`, `created_at`, `updated_at`
    and `deleted_at`: a document whose `deleted_at` is set does not exist, as far as files are concerned.
    """

    collection: ClassVar[str]
    """The collection of the catalogue database that the records are in."""
    id_prefix: ClassVar[str] = ""
    """What the `_id` of a new record begins with; a ULID follows."""
    id_column: ClassVar[str | None] = None
    """The column for the `_id`, if files may name records by it. A row that does is about that record, which must exist,
    and its key may be changed. A record that has such a column needs no `Key`: its import then creates nothing."""

    noun: ClassVar[str] = ""
    """What a record is called in messages; the name of the class if there is none, in words."""
    found_by_key: ClassVar[bool] = True
    """Whether a row without an id is about the record that has its key. If not, it is about a new one, and a key that a
    record of the catalogue has is an error; and every row needs a key. Such a record has an `id_column`."""
    ignored: ClassVar[Sequence[str]] = ()
    """Columns that files may have and that say nothing; with `<n>`, numbered ones."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Takes the options; pydantic hands them over a second time, to `__pydantic_init_subclass__`."""
        for name in ("collection", "id_prefix", "id_column", "found_by_key", "ignored", "noun"):
            if name in options:
                setattr(cls, name, options.pop(name))
        super().__init_subclass__(**options)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """The options have been taken by `__init_subclass__`."""

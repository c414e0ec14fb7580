"""What is known of data whose form nobody has declared: JSON, and the documents of a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["Document", "FieldValue", "Fields", "Json"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What a checkpoint or a result may hold."""

FieldValue: TypeAlias = Any
"""What a field of a document holds: null, a boolean, a number, a text, a time, or a list or an object of such.

It is whatever BSON has, and what it is in a place is known to whoever has declared the field. Type checkers believe them.
"""

Document: TypeAlias = dict[str, FieldValue]
"""An object whose fields its readers know and type checkers do not: a document of the catalogue, as the driver gives it,
or a part of a job that is JSON."""

Fields: TypeAlias = Mapping[str, FieldValue]
"""A `Document` that is only read."""

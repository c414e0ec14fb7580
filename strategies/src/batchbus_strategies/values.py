"""The types of data that has no declaration for type checkers: JSON, and the documents of a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["Document", "FieldValue", "Fields", "Json"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What a checkpoint or a result may hold."""

FieldValue: TypeAlias = Any
"""What a field of a document holds: null, a boolean, a number, a text, a time, or a list or an object of such.

Which of them depends on the field, and BSON has some more. A type checker does not know it, and lets every use pass.
"""

Document: TypeAlias = dict[str, FieldValue]
"""An object whose fields its readers know and type checkers do not: a document of the catalogue, as the driver gives it,
or a part of a job that is JSON."""

Fields: TypeAlias = Mapping[str, FieldValue]
"""A `Document` that is only read."""

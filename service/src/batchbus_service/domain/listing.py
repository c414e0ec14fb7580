"""A page of jobs that someone wants to see: which, in what order, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from batchbus_service.domain.job import Status

__all__ = ["Listing", "Times"]

Times = Mapping[str, datetime]
"""Bounds of a time, by `lt`, `gt`, `lte` and `gte`. Empty: there must be no such time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of jobs. All conditions hold; None is no condition."""

    created_by: str | None
    ids: list[str] | None
    types: list[str] | None
    statuses: list[Status] | None
    times: Mapping[str, Times]
    """By the field that is compared."""
    order: str
    """One of the fields of a job; jobs that are equal in it come newest first, and those without it at the end."""
    descending: bool
    """The other way round, so that jobs without the field come first; those that are equal in it still newest first."""
    offset: float
    limit: float
    """A fraction is rounded, half up."""

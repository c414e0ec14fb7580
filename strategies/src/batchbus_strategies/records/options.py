"""How the imports of a batch type are planned and carried out."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchbus_strategies.records.plan import PlanForm

__all__ = ["ImportOptions"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """As the attributes of `RecordImport` say it."""

    chunk_size: int
    deletes: bool = False
    by_rows: bool = False
    whole_rows: bool = False
    counts_elements: bool = False
    form: PlanForm = field(default_factory=PlanForm)

"""Records: an entity is declared once, and gets an import, an export, templates and plans from that."""

from batchbus_strategies.records.applying import Applied
from batchbus_strategies.records.columns import (
    Column,
    Combination,
    Copied,
    Family,
    Items,
    Key,
    Named,
    NameList,
    Numbered,
    Reference,
    Rows,
    Shown,
)
from batchbus_strategies.records.context import RecordImportContext
from batchbus_strategies.records.errors import CellError, HeaderRefused, RecordsRefused
from batchbus_strategies.records.exporting import RecordExport
from batchbus_strategies.records.families import ColumnError, FamilyColumn, FamilyColumns
from batchbus_strategies.records.importing import RecordImport
from batchbus_strategies.records.record import Money, Part, Record
from batchbus_strategies.records.schema import DeclarationError
from batchbus_strategies.records.selecting import RecordExportContext, Selection

__all__ = [
    "Applied",
    "CellError",
    "Column",
    "ColumnError",
    "Combination",
    "Copied",
    "DeclarationError",
    "Family",
    "FamilyColumn",
    "FamilyColumns",
    "HeaderRefused",
    "Items",
    "Key",
    "Money",
    "NameList",
    "Named",
    "Numbered",
    "Part",
    "Record",
    "RecordExport",
    "RecordExportContext",
    "RecordImport",
    "RecordImportContext",
    "RecordsRefused",
    "Reference",
    "Rows",
    "Selection",
    "Shown",
]

"""The declarations beside this are short; and the contract that they pass notices what breaks it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest

from batchbus_strategies import JobRun, Services
from batchbus_strategies.records import (
    Applied,
    Column,
    Key,
    Record,
    RecordExport,
    RecordExportContext,
    RecordImport,
    RecordImportContext,
    Selection,
)
from batchbus_strategies.testing import RecordContract

DECLARATIONS = sorted(set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)})
LOOPS = (ast.For, ast.While, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.stem)
def test_a_record_with_its_import_and_its_export_takes_forty_lines_and_no_loop(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (contract,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test"))
    assert contract.lineno - 1 <= 40
    declared = [node for node in tree.body if node is not contract]
    assert not [node for each in declared for node in ast.walk(each) if isinstance(node, LOOPS)]


class Thing(Record, collection="things", id_prefix="th_"):
    name: Annotated[str, Key("Name")]
    colour: Annotated[str | None, Column("Colour")] = None


class ThingImport(RecordImport[Thing]):
    batch_type = "thing-import"


class ThingExport(RecordExport[Thing]):
    batch_type = "thing-export"


class CountingImport(ThingImport):
    """Counts what it has written, and counts it twice when it is repeated."""

    async def after_apply(self, run: JobRun[RecordImportContext], applied: Sequence[Applied]) -> None:
        await run.catalog["counts"].update_one({"_id": "c"}, {"$inc": {"n": len(applied)}}, upsert=True)


class EagerImport(ThingImport):
    """Writes while it plans."""

    def check(self, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[str]:
        self.services.catalog.delegate["notes"].insert_one({"of": new["name"]})
        return []


class TwoThings(ThingExport):
    """Leaves records out that it was asked for."""

    def selection(self, context: RecordExportContext) -> Selection:
        found = super().selection(context)
        return Selection(found.query, found.sort, limit=2)


class ThingContract(RecordContract):
    __test__ = False
    content = "Name,Colour\na,red\nb,\nc,blue\n"
    wrong = ",green"
    mended = "d,green"

    def __init__(self, services: Services) -> None:
        self.services = services


@pytest.mark.parametrize(
    ("import_type", "export_type", "broken"),
    [
        (ThingImport, ThingExport, set()),
        (
            CountingImport,
            ThingExport,
            {
                "test_repeating_chunks_changes_nothing",
                "test_a_crash_at_any_moment_changes_nothing_in_the_end",
                "test_a_lost_lease_at_any_moment_changes_nothing_in_the_end",
                "test_a_canceled_job_can_be_taken_up_again",
                "test_the_mended_error_file_imports_exactly_what_was_missing",
                "test_importing_an_export_changes_nothing",
            },
        ),
        (
            EagerImport,
            ThingExport,
            {
                "test_planning_changes_nothing",
                "test_in_abort_nothing_is_changed_after_an_error_in_the_plan",
            },
        ),
        (ThingImport, TwoThings, {"test_importing_an_export_changes_nothing"}),
    ],
)
async def test_the_contract_notices_what_breaks_it(
    services: Services, import_type: type[ThingImport], export_type: type[ThingExport], broken: set[str]
) -> None:
    class Contract(ThingContract):
        __test__ = False

    Contract.import_type, Contract.export_type = import_type, export_type
    failed = set()
    for name in dir(RecordContract):
        if name.startswith("test_"):
            try:
                await getattr(Contract(services), name)()
            except AssertionError:
                failed.add(name)
    assert failed == broken

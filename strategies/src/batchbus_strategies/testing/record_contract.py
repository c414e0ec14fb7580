"""What the import and the export of a declared record promise, as tests that every such batch type has to pass."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Final

from bson.objectid import ObjectId
from pydantic_core import from_json

from batchbus_strategies.records import RecordExport, RecordImport, RecordsRefused
from batchbus_strategies.strategy import Catalog, Document, JobRefused, Json, Services, StrategyError
from batchbus_strategies.tables import ERRORS_COLUMN
from batchbus_strategies.templates import xlsx_template
from batchbus_strategies.testing.contract import StrategyContract
from batchbus_strategies.testing.files import LocalFiles
from batchbus_strategies.testing.job import AnyJob, FakeJob

__all__ = ["RecordContract"]

_TIMES: Final = ("created_at", "updated_at", "revision")
_IDS: Final = ("_id", "id")
_FORMATS: Final = ("csv", "xlsx", "jsonl")


class RecordContract(StrategyContract):
    """The contract of strategies, and what holds for records besides: an export can be imported again, an error file can be
    mended, a bad file is refused, and `abort` changes nothing.

        class TestStock(RecordContract):
            import_type = StockImport
            export_type = StockExport
            content = "SKU,Quantity\\nA-1,5\\nA-2,7\\nA-3,0\\n"
            wrong = "A-4,many"
            mended = "A-4,4"

    `services` is set by the plugin of pytest.
    """

    services: Services
    """The catalogue and the file store of the test."""
    import_type: ClassVar[type[RecordImport[Any]]]
    """The batch type that imports."""
    export_type: ClassVar[type[RecordExport[Any]] | None] = None
    """None for a type that has no export."""
    content: ClassVar[str]
    """A CSV of some records, three or four, that can all be imported once `furnish` has run."""
    wrong: ClassVar[str]
    """A row of one more record, which is refused."""
    mended: ClassVar[str]
    """The same row as it should be."""

    async def furnish(self) -> None:
        """Put into the catalogue, which is empty, what there is before an import: records to change, and what they refer
        to. Ids are the same each time."""

    # -- what the tests do -----------------------------------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """The catalogue, a database of the test's own."""
        return self.services.catalog

    @property
    def files(self) -> LocalFiles:
        """The file store, a folder of the test's own."""
        assert isinstance(self.services.files, LocalFiles)
        return self.services.files

    async def new_job(self) -> AnyJob:
        """The import of all records, in chunks of two, of which the wrong one is left out."""
        await self._furnish_anew()
        return self._import(self._with(self.wrong), on_error="skip")

    async def outcome(self, job: AnyJob) -> object:
        """Every document, and what the outcome of the job says."""
        key = job.result.get("files", {}).get("OUTCOME")
        lines = [from_json(line) for line in self.files.get(key).splitlines()] if key else []
        return [await self._documents(), [{**line, "id": None, "revision": None} for line in lines]]

    async def test_importing_an_export_changes_nothing(self) -> None:
        if self.export_type is None:
            return
        await self._furnish_anew()
        await self._carry_out(self._import(self.content))
        before = await self._documents(exactly=True)
        count = await self.catalog[self.import_type.record.collection].count_documents({"deleted_at": None})
        for format_ in _FORMATS:
            exported = await self._carry_out(self._export(format_))
            content = self.files.get(exported.result["file_key"])
            job = await self._carry_out(self._import(content, name=f"again.{format_}"))
            assert job.result["outcome"] == {"unchanged": count}, f"an export as {format_} was not the same records"
            assert await self._documents(exactly=True) == before

    async def test_the_export_keeps_the_contract_of_strategies(self) -> None:
        if self.export_type is None:
            return
        await self._furnish_anew()
        await self._carry_out(self._import(self.content))
        contract = _OfExport(self)
        for name in dir(StrategyContract):
            if name.startswith("test_"):
                await getattr(contract, name)()

    async def test_the_mended_error_file_imports_exactly_what_was_missing(self) -> None:
        await self._furnish_anew()
        await self._carry_out(self._import(self._with(self.mended)))
        expected = await self._documents()

        await self._furnish_anew()
        job = await self._carry_out(self._import(self._with(self.wrong), on_error="skip"))
        assert job.result["outcome"]["refused"] == 1, "the wrong row is one record, and is refused"
        errors = self.files.get(job.result["files"]["ERRORS"]).decode()
        header, *rows = errors.splitlines()
        assert header.startswith(ERRORS_COLUMN)
        assert [row for row in rows if row.endswith(self.wrong)] == rows, (
            "the error file has the wrong row and no other"
        )

        again = await self._carry_out(self._import(errors.replace(self.wrong, self.mended)))
        assert sum(again.result["outcome"].values()) == 1
        assert await self._documents() == expected

    async def test_in_abort_nothing_is_changed_after_an_error_in_the_plan(self) -> None:
        await self._furnish_anew()
        before = await self._documents(exactly=True)
        job = self._import(self._with(self.wrong), on_error="abort")
        await job.prepare()
        try:
            await job.pre_process()
        except RecordsRefused:
            assert job.errors, "a record that is refused has an error with its place"
            assert await self._documents(exactly=True) == before
            return
        raise AssertionError("an import that is to abort was not refused for its wrong row")

    async def test_bad_files_are_refused_and_change_nothing(self) -> None:
        await self._furnish_anew()
        before = await self._documents(exactly=True)
        for name, content in self._bad_files().items():
            job = self._import(content, name=name)
            try:
                await job.prepare()
                await job.pre_process()
            except (JobRefused, StrategyError):
                assert await self._documents(exactly=True) == before
                continue
            raise AssertionError(f"{name} was not refused")

    async def test_its_own_template_can_be_imported(self) -> None:
        strategy = self.import_type()
        templates = {
            "t.csv": await strategy.build_template(),
            "t.xlsx": await xlsx_template(strategy.explain_columns()),
        }
        for name, content in templates.items():
            await self._furnish_anew()
            job = await self._carry_out(self._import(content, name=name))
            assert sum(job.result["outcome"].values()) == 1, f"{name} has one example"
            assert job.errors == []

    def _bad_files(self) -> Mapping[str, bytes]:
        header, *rows = self.content.splitlines()
        first = header.split(",")[0]
        return {
            "empty.csv": b"",
            "picture.csv": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1",
            "words.csv": b"This is a letter and no table.\n",
            "unknown.csv": f"{header},Such A Column There Is Not\n".encode(),
            "twice.csv": f"{header},{first}\n".encode(),
            "broken.xlsx": b"PK\x03\x04" + bytes(100),
            "broken.jsonl": b'{"a": 1\n',
            "cut.csv.gz": gzip.compress("\n".join([header, *rows]).encode(), mtime=0)[:-12],
        }

    def _with(self, row: str) -> str:
        """The content with one more row, behind the first one."""
        header, first, *rest = self.content.splitlines()
        return "\n".join([header, first, row, *rest]) + "\n"

    def _import(self, content: str | bytes, *, name: str = "records.csv", **context: Json) -> AnyJob:
        in_twos: type[RecordImport[Any]] = type("InTwos", (self.import_type,), {"chunk_size": 2})
        key = self.files.put(f"uploads/{name}", content.encode() if isinstance(content, str) else content)
        return FakeJob(in_twos(), {"fileKey": key, **context}, self.services)

    def _export(self, format_: str = "csv") -> AnyJob:
        assert self.export_type is not None
        return FakeJob(self.export_type(), {"format": format_}, self.services)

    async def _carry_out(self, job: AnyJob) -> AnyJob:
        await job.prepare()
        await job.pre_process()
        await job.process()
        return job

    async def _furnish_anew(self) -> None:
        for name in await self.catalog.list_collection_names():
            await self.catalog[name].delete_many({})
        await self.furnish()
        self._furnished = {
            id_
            for name in await self.catalog.list_collection_names()
            for document in await self.catalog[name].find({}).to_list(None)
            for id_ in _ids_in(document)
        }

    async def _documents(self, *, exactly: bool = False) -> dict[str, list[Document]]:
        """By collection; without the ids of new ones and without times, unless it is to be exact."""
        found: dict[str, list[Document]] = {}
        for name in sorted(await self.catalog.list_collection_names()):
            documents = await self.catalog[name].find({}).to_list(None)
            if documents:
                found[name] = sorted(documents if exactly else map(self._timeless, documents), key=repr)
        return found

    def _timeless(self, document: Document) -> Document:
        kept: Document = _without(document, set(_ids_in(document)) - self._furnished)
        return {**kept, "deleted_at": document.get("deleted_at") is not None}


def _ids_in(value: object) -> Iterator[str | ObjectId]:
    """Those of a document and of everything in it."""
    if isinstance(value, Mapping):
        yield from (id_ for name in _IDS if isinstance(id_ := value.get(name), str | ObjectId))
        for each in value.values():
            yield from _ids_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _ids_in(each)


def _without(value: object, ids: Collection[str | ObjectId]) -> Any:
    """Without times, and with nothing in place of those ids, wherever they are named."""
    if isinstance(value, Mapping):
        return {name: _without(each, ids) for name, each in sorted(value.items()) if name not in _TIMES}
    if isinstance(value, list):
        return [_without(each, ids) for each in value]
    return None if isinstance(value, str | ObjectId) and value in ids else value


class _OfExport(StrategyContract):
    """The contract of strategies, for the export of the records that another contract has imported."""

    __test__ = False

    def __init__(self, of: RecordContract) -> None:
        self._of = of

    async def new_job(self) -> AnyJob:
        return self._of._export()

    async def outcome(self, job: AnyJob) -> object:
        key = job.result.get("file_key")
        return self._of.files.get(key) if key else None

"""`RecordExport`: a batch type that exports a declared record, as a file that can be imported again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from batchbus_strategies.records.importing import record_of
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import Field, Schema, schema_of, value_at
from batchbus_strategies.records.selecting import RecordExportContext, Selection, chosen_columns, order_of, query_of
from batchbus_strategies.strategy import Actor, BatchStrategy, Catalog, Draft, JobRefused, JobRun
from batchbus_strategies.tables import WriteOptions, WrittenCell, csv_cell, csv_line, file_ending, write_table

__all__ = ["RecordExport"]

R = TypeVar("R", bound=Record)

_CHUNK: Final = 1000
_KEYS: Final = 100
"""Asked for in one query: simple planners take quadratic time for long lists."""

Document = dict[str, Any]


class RecordExport(BatchStrategy[RecordExportContext], Generic[R]):
    """Writes the records of a collection into a file, and changes nothing in it.

    class CustomerExport(RecordExport[Customer]):
        batch_type = "customer-export"
    """

    context_model: ClassVar[type[BaseModel]] = RecordExportContext
    record: ClassVar[type[Record]]
    """Taken from the brackets."""
    delimiter: ClassVar[str] = ","
    """Of a CSV."""
    columns_field: ClassVar[str] = "fields"
    """Where in the context the names of the columns are that are to be written."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if (record := record_of(cls, RecordExport)) is not None:
            cls.record = record
        if "batch_type" in cls.__dict__ and "identifier" not in cls.__dict__:
            cls.identifier = f"{cls.batch_type}-strategy"
        if hasattr(cls, "record"):
            schema_of(cls.record)  # so that a wrong declaration is an error where it stands

    @property
    def schema(self) -> Schema:
        """What the record declares."""
        return schema_of(self.record)

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        """Raises `JobRefused` for a filter, an order or a column that there is not."""
        try:
            context = self.context_model.model_validate(draft.context)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise JobRefused(f"The context is not right: {name}: {first['msg']}", field=name) from error
        assert isinstance(context, RecordExportContext)
        self.selection(context)
        self._chosen(context)

    # -- for what is special about a type --------------------------------------------------------------------------

    def selection(self, context: RecordExportContext) -> Selection:
        """Which records a job exports. Raises `JobRefused` for a filter or an order that there is not."""
        query, sort = query_of(self.schema, context.filterable_fields), order_of(self.schema, context.order)
        return Selection(query, sort, limit=context.batch_size)

    def description(self, count: int) -> tuple[str, str]:
        """A name and a message, for people, that say how many records there are to export."""
        return f"{self.schema.name.capitalize()} records to export", f"There will be {count:,} records exported."

    def file_key(self, run: JobRun[RecordExportContext], ending: str) -> str:
        """The key of the file: another one for each run, so that a worker that lost its job cannot write over the file of
        the next."""
        return f"exports/{run.job_type}/{run.job_type}-{int(time.time() * 1000)}-{run.run_number}{ending}"

    # -- the phases ------------------------------------------------------------------------------------------------

    async def pre_process(self, run: JobRun[RecordExportContext]) -> None:
        shape, count = _Shape(), 0
        async for documents in self._documents(run):
            for document in documents:
                shape.fit(self.schema, document)
            count += len(documents)
            await run.advance(len(documents), message=f"{count:,} records found")
        run.expect(count)
        run.result["shape"] = {
            "numbers": shape.numbers,
            "names": {path: sorted(names) for path, names in shape.names.items()},
            "there": sorted(shape.there),
        }
        run.describe(f"{run.job_type}-count", *self.description(count))

    async def process(self, run: JobRun[RecordExportContext]) -> None:
        context, shape = run.context, _Shape(**run.result["shape"])
        columns = list(_columns(self.schema, self._chosen(context), shape))
        key = self.file_key(run, file_ending(context.format, context.compression))
        options = WriteOptions(format=context.format, compression=context.compression, delimiter=self.delimiter)
        references = _Names(run.catalog, self.schema)
        async with run.files.write(key) as file:
            async with write_table(file, [column.header for column in columns], options) as table:
                async for documents in self._documents(run):
                    await references.look_up(documents)
                    await table.write(
                        [[column.cell(document, references) for column in columns] for document in documents]
                    )
                    await run.advance(len(documents))
            size = file.size
        run.result["file_key"] = key
        run.result["file_size"] = size

    async def build_template(self) -> bytes:
        """The header."""
        columns = _columns(self.schema, chosen_columns(self.schema, None), _Shape())
        return csv_line((csv_cell(column.header) for column in columns), delimiter=self.delimiter).encode()

    def _chosen(self, context: RecordExportContext) -> list[Field]:
        return chosen_columns(self.schema, getattr(context, self.columns_field), field=self.columns_field)

    async def _documents(self, run: JobRun[RecordExportContext]) -> AsyncIterator[Sequence[Document]]:
        selection = self.selection(run.context)
        documents = run.catalog[self.record.collection]
        cursor = documents.find(selection.query, batch_size=_CHUNK).sort(selection.sort).allow_disk_use(True)
        if selection.skip:
            cursor = cursor.skip(selection.skip)
        if selection.limit is not None:
            cursor = cursor.limit(selection.limit)
        while found := await cursor.to_list(_CHUNK):
            yield found


@dataclass(slots=True)
class _Shape:
    """How many columns numbered fields take, the names that named ones have, and which columns are there at all of those
    that only some exports have."""

    numbers: dict[str, int] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    there: list[str] = field(default_factory=list)
    """The paths that `only_with` names, and that some record has something at."""

    def fit(self, schema: Schema, document: Document) -> None:
        for each in schema.fields:
            if each.shape == "numbered":
                self.numbers[each.path] = max(self.numbers.get(each.path, 0), len(value_at(document, each.path) or ()))
            elif each.shape == "named":
                self.names.setdefault(each.path, set()).update(value_at(document, each.path) or ())
            elif each.shown is not None and (path := each.shown.only_with) and path not in self.there:
                self.there += [path] if value_at(document, path) is not None else []


class _Names:
    """The values that references stand in cells as."""

    def __init__(self, catalog: Catalog, schema: Schema) -> None:
        self._catalog = catalog
        self._fields = schema.references
        self._known: dict[str, dict[Any, Any]] = {field.path: {} for field in schema.references}

    async def look_up(self, documents: Sequence[Document]) -> None:
        for each in self._fields:
            reference, known = each.reference, self._known[each.path]
            assert reference
            ids = dict.fromkeys(id_ for document in documents for id_ in _ids(value_at(document, each.path)))
            unknown = [id_ for id_ in ids if id_ not in known]
            for first in range(0, len(unknown), _KEYS):
                query = {"_id": {"$in": unknown[first : first + _KEYS]}}
                async for found in self._catalog[reference.collection].find(query, {reference.by: 1}):
                    known[found["_id"]] = found.get(reference.by)

    def of(self, each: Field, value: Any) -> str:
        """Without those that are not there any more."""
        known = self._known[each.path]
        names = [str(known[id_]) for id_ in _ids(value) if known.get(id_) is not None]
        return each.write(names) if isinstance(value, list) else "".join(names)


def _ids(value: Any) -> list[Any]:
    """Those that a reference field holds."""
    return value if isinstance(value, list) else [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    field: Field
    part: Field | None = None
    """Of a numbered field whose values are parts."""
    place: int | str | None = None
    """Which of the values of a numbered or named field."""

    def cell(self, document: Document, names: _Names) -> WrittenCell:
        value = value_at(document, self.field.path)
        if self.field.reference is not None:
            return names.of(self.field, value)
        if self.place is None:
            return self.field.cell(document)
        if isinstance(self.place, str):
            value = value.get(self.place) if isinstance(value, Mapping) else None
        else:
            value = value[self.place] if isinstance(value, list) and self.place < len(value) else None
            if self.part is not None and value is not None:
                return self.part.write(value_at(value, self.part.path))
        return self.field.write(value)


def _columns(schema: Schema, chosen: Sequence[Field], shape: _Shape) -> Iterator[_Column]:
    """Numbered columns go number by number; of a template, and of an empty collection, the first."""
    done: set[str] = set()
    for each in chosen:
        owner = next(field for field in schema.named if each is field or each in field.parts)
        if owner.shown is not None and owner.shown.only_with and owner.shown.only_with not in shape.there:
            continue
        if owner.shape == "one":
            yield _Column(owner.column, owner)
        elif owner.path not in done:
            done.add(owner.path)
            if owner.shape == "named":
                for name in shape.names.get(owner.path, ()):
                    yield _Column(owner.column.replace("<name>", name), owner, place=name)
                continue
            for n in range(shape.numbers.get(owner.path, 1)):
                for part in owner.parts or (owner,):
                    if part in chosen:
                        yield _Column(part.column.replace("<n>", str(n + 1)), owner, part if owner.parts else None, n)

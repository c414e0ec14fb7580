"""BatchStrategy and JobRun: all that the author of a batch type has to know.

A strategy is a class with a `batch_type` and up to two phases. `pre_process` finds out what the job will do,
without doing it; `process` does it, in chunks. Both get a `JobRun`, their only way to talk to the engine.

Methods may be `async def` (they share one event loop, apart from the engine's) or plain `def` (each call gets
a thread of its own). Neither can hold up a heartbeat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from batchbus_strategies.errors import FileMissing, JobRefused, LeaseLost, RunCanceled, StrategyError
from batchbus_strategies.values import Document, Fields, FieldValue, Json

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase
    from pymongo.collection import Collection
    from pymongo.database import Database
    from structlog.typing import FilteringBoundLogger

    from batchbus_strategies.limits import Permit
    from batchbus_strategies.sync import Sync
    from batchbus_strategies.writes import RecordWrite, Written

__all__ = [
    "Actor",
    "AnyContext",
    "BatchStrategy",
    "Catalog",
    "CatalogCollection",
    "ColumnHelp",
    "Document",
    "Draft",
    "FieldValue",
    "Fields",
    "FileMissing",
    "FileWriter",
    "Files",
    "JobRefused",
    "JobRun",
    "JobView",
    "Json",
    "LeaseLost",
    "Phase",
    "RunCanceled",
    "Services",
    "StrategyError",
    "SyncCatalog",
    "SyncCatalogCollection",
]

Phase = Literal["pre_process", "process"]
"""What a run does: find out what the job will do, or do it."""

Catalog: TypeAlias = "AsyncIOMotorDatabase[Document]"
"""The catalogue database, as an `async def` uses it: Motor's database, with PyMongo's own beneath it as `delegate`.

This is the one place that names the driver, so that another driver is one line for authors.
"""

SyncCatalog: TypeAlias = "Database[Document]"
"""The catalogue database, as a plain `def` uses it: PyMongo's own."""

CatalogCollection: TypeAlias = "AsyncIOMotorCollection[Document]"
"""A collection of `Catalog`."""

SyncCatalogCollection: TypeAlias = "Collection[Document]"
"""A collection of `SyncCatalog`."""


class AnyContext(BaseModel):
    """The context of a strategy that does not check it: every key is accepted."""

    model_config = ConfigDict(extra="allow")


class FileWriter(Protocol):
    """A file being written. It appears under its key, whole, when the writer is left without an error."""

    async def write(self, chunk: bytes) -> None:
        """Append some bytes, as few or as many as there are."""

    @property
    def size(self) -> int:
        """Bytes written so far."""


class Files(Protocol):
    """The file store: uploads, plans, exports. Keys are `/`-separated and never leave the store."""

    async def size(self, key: str) -> int:
        """How many bytes the file has. Raises `FileMissing`."""

    def read(self, key: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """The bytes from `start` on, in chunks of some 64 KiB. Raises `FileMissing` on the first step."""

    def write(self, key: str) -> AbstractAsyncContextManager[FileWriter]:
        """A writer for a file of that key. An existing file is replaced when the writer is left without an error."""

    async def delete(self, key: str) -> None:
        """Does nothing if there is no such file."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the engine lends to strategies. Made on the strategies' own event loop."""

    files: Files
    """The file store, the same for every process."""
    catalog: Catalog
    """The catalogue database (setting `CATALOG_DATABASE`)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a job."""

    id: str
    """The id of a user, or `bus:` and who asked for the job over the bus."""
    kind: Literal["user", "service"] = "service"
    """A user of the HTTP API, or a service on the bus."""


@dataclass(slots=True)
class Draft:
    """A job before it exists. `prepare` may change `context` and `dry_run`."""

    type: str
    """The batch type."""
    context: Document
    """What the job is told: JSON values. It is checked against the strategy's `context_model` afterwards."""
    dry_run: bool
    """Whether the job waits for a confirmation after pre-processing."""


@dataclass(frozen=True, slots=True)
class JobView:
    """What `should_retry` sees of a job."""

    id: str
    """The job's id."""
    type: str
    """The batch type."""
    phase: Phase
    """The phase in which the run failed."""
    failures: int
    """Runs lost so far to an error or an expired lease, since the last new checkpoint; this one included."""


T = TypeVar("T")
C = TypeVar("C", bound=BaseModel)
C_co = TypeVar("C_co", bound=BaseModel, covariant=True)


class JobRun(Protocol[C_co]):
    """One run of one phase of one job.

    `advance`, `checkpoint`, `ensure_lease` and whatever waits are where a cancellation (`RunCanceled`) or a lost lease
    (`LeaseLost`) surfaces, so call one of them once a chunk. `advance` and `checkpoint` take effect when called; in an
    `async def` strategy await them, which lets other runs have their turn. In a plain `def` strategy
    just call them: `checkpoint` blocks until it is durable.

    A chunk is `ensure_lease`, the write, `advance`, `checkpoint`. When the worker is stopped in the middle of one,
    `LeaseLost` surfaces behind its checkpoint and not before, so that the next run need not repeat it.
    """

    @property
    def job_id(self) -> str:
        """The job's id, such as `batch_01M807P769WNYEX1Q0872DCAEY`."""

    @property
    def job_type(self) -> str:
        """The batch type."""

    @property
    def phase(self) -> Phase:
        """The phase that this run carries out."""

    @property
    def dry_run(self) -> bool:
        """Whether the job was created as a dry run. It is still true when a confirmed one is processed."""

    @property
    def run_number(self) -> int:
        """The fencing token of this run: greater than that of every earlier run of this job. Good for file names."""

    @property
    def context(self) -> C_co:
        """The job's context, checked and typed by the strategy's `context_model`."""

    @property
    def resume_from(self) -> Json:
        """What the last `checkpoint` of this phase was given, by this run or an earlier one; None at the start."""

    @property
    def result(self) -> MutableMapping[str, Any]:
        """What the strategy adds to the job's result: JSON values, small. Kept across runs and phases."""

    @property
    def files(self) -> Files:
        """The file store, for `async def`."""

    @property
    def catalog(self) -> Catalog:
        """The catalogue database, for `async def`."""

    @property
    def sync(self) -> Sync:
        """`files` and `catalog` for a plain `def`, in calls that block. Raises `StrategyError` in an `async def`."""

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger whose lines carry the job's id."""

    def expect(self, count: int) -> None:
        """Say how many records there are in all: `result.count`, what progress is measured against."""

    def advance(self, n: int = 1, *, message: str | None = None, share: float | None = None) -> Awaitable[None]:
        """`n` more records are done: raises `result.advancement_count` and, every so often, `batch.progress`.

        `share`: how much of the phase is done, from 0 to 1, where the count does not tell: while a file is read, say.
        """

    def checkpoint(self, state: Json) -> Awaitable[None]:
        """Say where to resume after a crash: up to 64 KiB of JSON. It is durable, with the progress so far, once awaited."""

    def describe(self, key: str, name: str, message: str) -> None:
        """Say in a sentence for people what the job will do in all: an entry of `result.stat_descriptors`, by its key."""

    def row_error(self, *, line: int, column: str | None, code: str, message: str, value: str | None = None) -> None:
        """Report a record that cannot be used; the job goes on. `line` counts from 1, the header included.

        The first 100 of a job are kept in its result, and all of them as a file.
        """

    def update_context(self, changes: Mapping[str, Json]) -> None:
        """Change top-level keys of the job's context; written when the phase ends."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait; a cancellation or a lost lease ends that at once. Await it in an `async def`; in a `def` it blocks.

        It counts as no progress: `stall_seconds` runs on.
        """

    def compute(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """Call a function in another process, of which a worker has one for each core, so that it holds nothing up.

        Await it in an `async def`; in a `def` it blocks, and what it returns is the result itself. The function is one
        at the top of a module, its arguments and its result can be pickled, and have 250 MB at most. It talks to nobody:
        there is no file store and no catalogue. What it raises is raised here, of its own type where that can be
        pickled, and else as a `RuntimeError`. A cancellation or a lost lease ends the process, and surfaces at once.
        It counts as no progress: `stall_seconds` runs on.
        Raises: `ComputationDied` if the process ends, by a signal or for lack of memory; `StrategyError` for what another
        process cannot be given.
        """

    def limit(self, name: str, *, per_second: float) -> Permit:
        """Wait for a permit, of which there are so many a second with that name for all runs of all workers together.

        Await it in an `async def`, or use it as `async with`; in a `def` it blocks. Seconds are those of the database
        server's clock, and the permits of one are spread over it; of `per_second=0.1` there is one in ten seconds. What
        is not used lapses. Where different limits are asked for under one name, the lowest of the last minute holds.
        A cancellation or a lost lease surfaces at once. The wait counts as no progress, and the permit does.
        Raises: `StrategyError` for what is no limit.
        """

    def ensure_lease(self) -> None:
        """Raise `LeaseLost` unless this run still owns the job, judged by a monotonic clock. Call before each write."""

    def write(self, collection: str, records: Sequence[RecordWrite], *, step: int | None = None) -> Awaitable[Written]:
        """Write records of the catalogue, so that an older run of the job cannot write over them afterwards.

        A process may be frozen between `ensure_lease` and its write; this is refused by the database itself then. `step`:
        a number that rises with each write of the job to the same record, such as that of the chunk: then each step takes
        effect once, however often its chunk is repeated. Await it in an `async def`; in a `def` it blocks, and what it
        returns is the `Written` itself.

        Promised: once a newer run has written a record, no older one does; each step takes effect once. Not promised:
        anything of deletes, of other jobs, and of increments without a step.
        Raises: `LeaseLost`; `StrategyError` for a key that no unique index covers, and for a record that comes twice in a step.
        """


@dataclass(frozen=True, slots=True)
class ColumnHelp:
    """A column of a template."""

    name: str
    """As the header has it."""
    says: str
    """What its cells hold, and whether it is needed, in words."""
    example: str
    """The cell of the row to write over; it may be empty."""


class BatchStrategy(Generic[C]):
    """Base class of every batch type. Subclass it, set the class attributes, override what you need."""

    identifier: ClassVar[str]
    """Names this implementation, such as `publish-products-strategy`."""
    batch_type: ClassVar[str]
    """The batch type it serves: lower-case letters, digits and hyphens, at most 63."""
    context_model: ClassVar[type[BaseModel]] = AnyContext
    """What the job's context must look like."""
    stall_seconds: ClassVar[float] = 3600.0
    """A run that neither advances nor checkpoints for so long is failed."""
    isolation: ClassVar[Literal["process"] | None] = None
    """`process`: each run has a process of its own, which may end, or use up its memory, without harm to other jobs."""

    file_fields: ClassVar[Sequence[str]] = ("fileKey",)
    """Fields of the context that name files which a job reads: who makes a job must be allowed to read these files.

    `batchbus submit --file` puts the key of what it has uploaded into the first.
    """
    plan_field: ClassVar[str] = "files.PLAN"
    """Where in `run.result`, with dots, `pre_process` leaves the key of its plan, if it makes one."""
    outcome_field: ClassVar[str] = "files.OUTCOME"
    """Where in `run.result`, with dots, `process` leaves the key of what became of each record, if it keeps that."""
    error_file_field: ClassVar[str] = "files.ERRORS"
    """Where in `run.result`, with dots, either leaves the key of a file of what it left out, to be mended and sent again."""

    template_formats: ClassVar[Sequence[Literal["csv", "xlsx"]]] = ("csv",)
    """The formats that the template is offered in: `build_template` makes the CSV, and an XLSX is made of
    `explain_columns`. Name only what the batch type reads."""

    services: Services
    """What the engine lends to the strategy. It is set before any method is called."""

    # The return types let a subclass define each method as `async def` or as plain `def`.

    def prepare(self, draft: Draft, actor: Actor) -> Awaitable[None] | None:
        """Check and complete the draft, in place, before the job exists. Raise `JobRefused` to refuse it. It may run twice."""
        return None

    def pre_process(self, run: JobRun[C]) -> Awaitable[None] | None:
        """Find out what the job will do: `run.expect`, `run.describe`, plans in `run.files`. Change nothing."""
        return None

    def process(self, run: JobRun[C]) -> Awaitable[None] | None:
        """Do it, in chunks, from `run.resume_from` on. Repeating a chunk must change nothing."""
        return None

    def build_template(self) -> Awaitable[bytes | None] | bytes | None:
        """A file to fill in for jobs of this batch type, or None if there is none."""
        return None

    def explain_columns(self) -> Sequence[ColumnHelp]:
        """The columns of the template in words, each with an example; nothing, if there is none to fill in. No I/O here."""
        return ()

    def should_retry(self, job: JobView, error: Exception) -> Awaitable[bool] | bool:
        """Whether a run that failed with `error` is worth another try. Not asked about a `StrategyError`."""
        return True

    def on_canceled(self, run: JobRun[C]) -> Awaitable[None] | None:
        """Clean up what a canceled run left. The lease is still held."""
        return None

"""What a plain `def` strategy uses of a run: files and catalogue in calls that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from batchbus_service.storage.files import FileStore
from batchbus_strategies import AnyContext, BatchStrategy, FileMissing, Files, JobRun, Services, StrategyError, Sync
from batchbus_strategies.testing import FakeJob, LocalFiles


class InThread(BatchStrategy[AnyContext]):
    """Lets a test see the run in a thread."""

    identifier = "in-thread-strategy"
    batch_type = "in-thread"

    def __init__(self, see: Callable[[Sync], None]) -> None:
        self._see = see

    def process(self, run: JobRun[AnyContext]) -> None:
        self._see(run.sync)


@pytest.fixture(params=["folder", "store"])
def any_files(request: pytest.FixtureRequest, files: LocalFiles) -> Files:
    return files if request.param == "folder" else FileStore.open("memory://")


async def seen(services: Services, see: Callable[[Sync], None]) -> None:
    await FakeJob(InThread(see), {}, services).process()


async def test_files_are_written_read_and_deleted(any_files: Files, services: Services) -> None:
    content = bytes(range(256)) * 1000

    def use(sync: Sync) -> None:
        with sync.files.write("plans/a") as plan:
            plan.write(content[:1000])
            plan.write(content[1000:])
            assert plan.size == len(content)
        assert sync.files.size("plans/a") == len(content)
        chunks = list(sync.files.read("plans/a"))
        assert b"".join(chunks) == content
        assert len(chunks) > 1
        assert b"".join(sync.files.read("plans/a", start=255_000)) == content[255_000:]
        sync.files.delete("plans/a")
        sync.files.delete("plans/a")
        with pytest.raises(FileMissing):
            sync.files.size("plans/a")
        with pytest.raises(FileMissing):
            next(iter(sync.files.read("plans/a")))

    await seen(Services(any_files, services.catalog), use)


async def test_a_file_that_is_left_with_an_error_does_not_appear(any_files: Files, services: Services) -> None:
    def use(sync: Sync) -> None:
        with pytest.raises(ZeroDivisionError), sync.files.write("plan") as plan:
            plan.write(b"x")
            raise ZeroDivisionError
        with pytest.raises(FileMissing):
            sync.files.size("plan")

    await seen(Services(any_files, services.catalog), use)


async def test_one_file_is_read_while_another_is_written_and_a_reader_may_stop_early(
    any_files: Files, services: Services
) -> None:
    def use(sync: Sync) -> None:
        with sync.files.write("in") as writer:
            writer.write(b"x" * 200_000)
        with sync.files.write("out") as writer:
            for chunk in sync.files.read("in"):
                writer.write(chunk.upper())
                break
        assert sync.files.size("out") == len(next(iter(sync.files.read("in"))))

    await seen(Services(any_files, services.catalog), use)


async def test_the_catalogue_is_pymongos_own(services: Services) -> None:
    def use(sync: Sync) -> None:
        sync.catalog["things"].insert_one({"_id": 1})
        assert sync.catalog["things"].count_documents({}) == 1

    await seen(services, use)


async def test_an_async_def_is_told_to_await(services: Services) -> None:
    class InLoop(BatchStrategy[AnyContext]):
        identifier = "in-loop-strategy"
        batch_type = "in-loop"

        async def process(self, run: JobRun[AnyContext]) -> None:
            run.result["in_a_thread"] = await asyncio.to_thread(lambda: run.sync.files is not None)
            _ = run.sync

    job = FakeJob(InLoop(), {}, services)
    with pytest.raises(StrategyError, match=r"Await `run\.files`"):
        await job.process()
    assert job.result == {"in_a_thread": True}

"""The built-in strategies keep the contract of strategies; and the contract notices those that do not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batchbus_strategies import AnyContext, BatchStrategy, JobRun, Services
from batchbus_strategies.product_export import ProductExport
from batchbus_strategies.product_import import ProductImport
from batchbus_strategies.testing import FakeJob, LocalFiles, StrategyContract
from tests.strategies.shop import Shop, stool, table, timeless, variant


class TestProductImport(StrategyContract):
    """Six products in chunks of two: new ones, a changed one, and one whose rows stand apart."""

    @pytest.fixture(autouse=True)
    def _shop(self, shop: Shop) -> None:
        self.shop = shop

    async def new_job(self) -> FakeJob[Any]:
        await self.shop.catalog["products"].delete_many({})
        await self.shop.catalog["product_types"].delete_many({})
        await self.shop.catalog["products"].insert_one(stool())
        row = {"Product Id": "prod_stool", "Product Handle": "stool", "Product Title": "Oak stool"}
        content = table(
            variant("a", "A-1", Product_Type="New", Price_USD="1"),
            variant("b", "B-1", Product_Type="New"),
            row | {"Variant Id": "variant_stool_l", "Variant Title": "Large", "Variant SKU": "L"},
            row | {"Variant Title": "Small", "Variant SKU": "S"},
            variant("c", "C-1"),
            variant("a", "A-2", Price_USD="2"),
            variant("d"),
            variant("e", "E-1", Product_Type="Newer"),
        )
        return self.shop.job(content, strategy=ProductImport(chunk_size=2))

    async def outcome(self, job: FakeJob[Any]) -> object:
        types = await self.shop.catalog["product_types"].find().sort("value", 1).to_list(None)
        return timeless([await self.shop.products(), types], ids=("id", "_id", "option_id"))


class TestProductExport(StrategyContract):
    """Seven products in parts of two."""

    @pytest.fixture(autouse=True)
    def _shop(self, shop: Shop) -> None:
        self.shop = shop

    async def new_job(self) -> FakeJob[Any]:
        if not await self.shop.products():
            await self.shop.load(
                table(*(variant(f"p-{n}", f"S-{n}", Price_USD=str(n), Image_1_Url="x" * (n % 2)) for n in range(7)))
            )
        return FakeJob(ProductExport(), {"order": "title"}, self.shop.services)

    async def outcome(self, job: FakeJob[Any]) -> object:
        key = job.result.get("file_key")
        return self.shop.files.get(key) if key else None


class Counting(BatchStrategy[AnyContext]):
    """Adds one to each of six numbers."""

    identifier = "counting-strategy"
    batch_type = "counting"

    def __init__(self, numbers: dict[int, int]) -> None:
        self.numbers = numbers

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        run.expect(6)
        await run.advance(0)

    async def process(self, run: JobRun[AnyContext]) -> None:
        start = run.resume_from
        for number in range(start if isinstance(start, int) else 0, 6):
            run.ensure_lease()
            self.add(number)
            await run.advance()
            await run.checkpoint(number + 1)

    def add(self, number: int) -> None:
        self.numbers[number] = 1


class CountingTwice(Counting):
    def add(self, number: int) -> None:
        self.numbers[number] = self.numbers.get(number, 0) + 1


class ForgettingWhereItWas(Counting):
    async def process(self, run: JobRun[AnyContext]) -> None:
        for number in range(6):
            self.add(number)
            await run.advance()
            await run.checkpoint(0)


class CheckpointingBeforeItWrites(Counting):
    async def process(self, run: JobRun[AnyContext]) -> None:
        start = run.resume_from
        for number in range(start if isinstance(start, int) else 0, 6):
            await run.advance()
            await run.checkpoint(number + 1)
            self.add(number)


class GoingOn(Counting):
    async def process(self, run: JobRun[AnyContext]) -> None:
        for number in range(6):
            self.add(number)
            with suppress(BaseException):  # what a strategy must not do
                await run.advance()


class CountingContract(StrategyContract):
    __test__ = False

    def __init__(self, strategy: type[Counting], folder: Path) -> None:
        self.strategy = strategy
        no_catalog: Any = None
        self.services = Services(LocalFiles(folder), no_catalog)

    async def new_job(self) -> FakeJob[Any]:
        self.numbers: dict[int, int] = {}
        return FakeJob(self.strategy(self.numbers), {}, self.services)

    async def outcome(self, job: FakeJob[Any]) -> object:
        return dict(self.numbers)


@pytest.mark.parametrize(
    ("strategy", "broken"),
    [
        (Counting, set()),
        (
            CountingTwice,
            {
                "test_repeating_chunks_changes_nothing",
                "test_a_crash_at_any_moment_changes_nothing_in_the_end",
                "test_a_lost_lease_at_any_moment_changes_nothing_in_the_end",
                "test_a_canceled_job_can_be_taken_up_again",
            },
        ),
        (
            ForgettingWhereItWas,
            {
                "test_repeating_chunks_changes_nothing",
                "test_a_crash_behind_any_checkpoint_changes_nothing_in_the_end",
                "test_a_crash_at_any_moment_changes_nothing_in_the_end",
                "test_a_lost_lease_at_any_moment_changes_nothing_in_the_end",
                "test_a_canceled_job_can_be_taken_up_again",
            },
        ),
        (
            CheckpointingBeforeItWrites,
            {"test_a_crash_behind_any_checkpoint_changes_nothing_in_the_end"},
        ),
        (
            GoingOn,
            {
                "test_a_stopped_run_makes_no_further_step",
                "test_a_crash_at_any_moment_changes_nothing_in_the_end",
                "test_a_lost_lease_at_any_moment_changes_nothing_in_the_end",
                "test_a_canceled_job_can_be_taken_up_again",
            },
        ),
    ],
)
async def test_the_contract_notices_what_breaks_it(strategy: type[Counting], broken: set[str], tmp_path: Path) -> None:
    failed = set()
    for name in dir(StrategyContract):
        if name.startswith("test_"):
            try:
                await getattr(CountingContract(strategy, tmp_path), name)()
            except AssertionError:
                failed.add(name)
    assert failed == broken

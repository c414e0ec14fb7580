"""For the tests of strategies: a job without an engine, and the contract that every strategy has to pass.

    class TestMyStrategy(StrategyContract):
        async def new_job(self) -> FakeJob[MyContext]: ...   # in a world of its own, the same each time
        async def outcome(self, job: FakeJob[MyContext]) -> object: ...   # what the world looks like afterwards

`RecordContract` is that of declared records, which has a job and an outcome already. Nothing here imports pytest; its test classes are found by their name. `batchbus_strategies.testing.plugin` has fixtures
for it, which are there once `batchbus-strategies[testing]` is installed.
"""

from batchbus_strategies.testing.contract import StrategyContract
from batchbus_strategies.testing.files import LocalFiles
from batchbus_strategies.testing.job import Crash, FakeJob, FakeRun, RowError
from batchbus_strategies.testing.record_contract import RecordContract

__all__ = ["Crash", "FakeJob", "FakeRun", "LocalFiles", "RecordContract", "RowError", "StrategyContract"]

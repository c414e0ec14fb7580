"""What the engine relies on, as tests that every strategy has to pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy

from batchbus_strategies.strategy import LeaseLost, RunCanceled
from batchbus_strategies.testing.job import AnyJob, Crash

__all__ = ["StrategyContract"]


class StrategyContract:
    """What the engine relies on. Its scenario should take several chunks, and few: every test runs it many times."""

    async def new_job(self) -> AnyJob:
        """A job that has not run, in a world that is the same each time but for ids and times."""
        raise NotImplementedError

    async def outcome(self, job: AnyJob) -> object:
        """What the job has done to its world, without ids and times: something that can be compared."""
        raise NotImplementedError

    async def test_planning_changes_nothing(self) -> None:
        job = await self.new_job()
        before = await self.outcome(job)
        await job.prepare()
        await job.pre_process()
        assert await self.outcome(job) == before

    async def test_preparing_twice_is_preparing_once(self) -> None:
        job = await self.new_job()
        await job.prepare()
        context = deepcopy(job.context)
        await job.prepare()
        assert job.context == context

    async def test_planning_after_a_crash_at_any_moment_says_the_same(self) -> None:
        whole = await self._pre_processed()
        moments = [{"stop_at": moment} for moment in range(1, len(whole.runs[-1].calls) + 1)]
        moments += [{"stop_behind": checkpoint} for checkpoint in range(1, len(whole.saved["pre_process"]) + 1)]
        for moment in moments:
            job = await self._prepared()
            await _interrupted(job.pre_process, Crash, **moment)
            await job.pre_process()
            assert job.kept.count == whole.kept.count
            assert job.kept.descriptors == whole.kept.descriptors

    async def test_all_that_was_expected_is_done(self) -> None:
        job = await self._processed()
        assert job.kept.advanced == job.kept.count

    async def test_a_crash_at_any_moment_changes_nothing_in_the_end(self) -> None:
        await self._ends_alike_after(Crash)

    async def test_a_crash_behind_any_checkpoint_changes_nothing_in_the_end(self) -> None:
        whole = await self._processed()
        outcome = await self.outcome(whole)
        for checkpoint in range(1, len(whole.saved["process"]) + 1):
            job = await self._pre_processed()
            await _interrupted(job.process, Crash, stop_behind=checkpoint)
            await job.process()
            assert await self.outcome(job) == outcome, (
                f"a crash as soon as checkpoint {checkpoint} was kept has changed the outcome: what it stands for has "
                "to be written before it is made, for the next run goes on behind it"
            )
            assert job.kept.advanced == whole.kept.advanced

    async def test_a_lost_lease_at_any_moment_changes_nothing_in_the_end(self) -> None:
        await self._ends_alike_after(LeaseLost)

    async def test_a_canceled_job_can_be_taken_up_again(self) -> None:
        await self._ends_alike_after(RunCanceled)

    async def test_repeating_chunks_changes_nothing(self) -> None:
        whole = await self._processed()
        outcome = await self.outcome(whole)
        for checkpoints in range(len(whole.saved["process"])):
            job = await self._pre_processed()
            await _interrupted(job.process, Crash, stop_at=len(whole.runs[-1].calls))
            job.rewind("process", checkpoints)
            await job.process()
            assert await self.outcome(job) == outcome
            assert job.kept.advanced == whole.kept.advanced

    async def test_a_stopped_run_makes_no_further_step(self) -> None:
        whole = await self._processed()
        for moment in range(1, len(whole.runs[-1].calls) + 1):
            job = await self._pre_processed()
            await _interrupted(job.process, LeaseLost, stop_at=moment)
            assert len(job.runs[-1].calls) == moment, "the strategy went on after it was told to stop"

    async def _ends_alike_after(self, interruption: type[BaseException]) -> None:
        whole = await self._processed()
        outcome = await self.outcome(whole)
        for moment in range(1, len(whole.runs[-1].calls) + 1):
            job = await self._pre_processed()
            await _interrupted(job.process, interruption, stop_at=moment)
            await job.process()
            assert await self.outcome(job) == outcome
            assert job.kept.count == whole.kept.count
            assert job.kept.advanced == whole.kept.advanced

    async def _prepared(self) -> AnyJob:
        job = await self.new_job()
        await job.prepare()
        return job

    async def _pre_processed(self) -> AnyJob:
        job = await self._prepared()
        await job.pre_process()
        return job

    async def _processed(self) -> AnyJob:
        job = await self._pre_processed()
        await job.process()
        return job


async def _interrupted(
    phase: Callable[..., Awaitable[object]], interruption: type[BaseException], **moment: int
) -> None:
    try:
        await phase(**moment, stop_with=interruption)
    except interruption:
        return
    raise AssertionError(f"{interruption.__name__} did not surface")

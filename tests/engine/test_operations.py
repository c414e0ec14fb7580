"""What a job costs its database: few operations, and none whose cost grows with the number of stored jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from batchbus_service.app.bootstrap import Timeouts
from tests.engine.commands import Commands
from tests.engine.installation import Installation
from tests.engine.stored import store_done_jobs

_COMMANDS = Commands()


@pytest.fixture
def commands(installation: Installation) -> Iterator[Commands]:
    with _COMMANDS.listening(installation.database.name) as listening:
        yield listening


async def test_a_job_that_does_nothing_costs_four_writes_and_two_reads_at_most(
    installation: Installation, commands: Commands
) -> None:
    jobs = 20
    async with installation.worker(worker_types="noop"):
        for _ in range(jobs):
            job_id = await installation.create("noop")
            await installation.followed.event("batch.completed", job_id)
            await installation.all_published()
    assert len(commands.inserts) + len(commands.updates) <= 4 * jobs
    # Looks into the lanes and at the alarms are the worker's own, once a second; those of a job name it.
    assert sum("_id" in find["filter"] for find in commands.finds) <= 2 * jobs
    assert commands.names <= {"insert", "update", "find", "aggregate", "createIndexes"}


async def test_every_query_of_the_engine_goes_by_an_index_to_the_few_jobs_that_it_wants(
    installation: Installation, commands: Commands
) -> None:
    await store_done_jobs(installation.database, 1000)
    async with installation.worker(worker_slots=1, lease_seconds=1, timeouts=Timeouts(publish_grace=0.5)) as service:
        busy = await installation.create("gated", gate=str(installation.gate()))
        await installation.followed.message(busy, "at the gate")
        lease = (await installation.job(busy)).lease
        assert lease is not None
        # Meanwhile the alarm rings at what was the lease's end when it was set.
        await installation.until(
            busy, lambda job: job.lease is not None and job.lease.expires_at > lease.expires_at + timedelta(seconds=2)
        )
        fails = await installation.create("limping", chunks=2)
        dry_run = await installation.create("chunks", dry_run=True)
        await installation.followed.event("batch.pre_processed", dry_run)
        await installation.confirm(dry_run)
        await installation.followed.event("batch.confirmed", dry_run)
        await installation.cancel(busy)
        await installation.followed.event("batch.updated", busy)
        await installation.followed.every("batch.completed", [fails, dry_run])
        await installation.retry(service, busy)
        await installation.followed.event("batch.processing", busy, nth=2)
        await installation.cancel(busy)
        await service.rescuer.round()
        await installation.all_published()

    assert "findAndModify" not in commands.names
    shapes: dict[str, dict[str, Any]] = {}
    for command in commands.finds:
        if "$expr" in command["filter"]:
            continue  # the test's own question, whether all is published
        query = {key: command[key] for key in ("filter", "sort", "limit") if key in command}
        shapes[f"find {shape(command['filter'])}"] = query
    for update in commands.updates:
        shapes[f"update {shape(update['q'])}"] = {"filter": update["q"]}
    assert shapes.keys() >= {
        "find _id =",
        "find lane =, ready_at in a range",
        "find wake_at in a range",
        "update _id =, version =",
        "update _id =, wake_at =",
        "update _id =, fence =, lease.worker in a range",
    }
    for name, query in shapes.items():
        if "_id" in query["filter"]:
            # The embedded server goes by `_id` at once, and explains it as a scan as soon as another field is named.
            query = {**query, "filter": {"_id": query["filter"]["_id"]}}
        explained = await installation.database.command(
            {"explain": {"find": "jobs", **query}, "verbosity": "executionStats"}
        )
        assert "COLLSCAN" not in stages(explained["queryPlanner"]["winningPlan"]), name
        assert explained["executionStats"]["totalDocsExamined"] <= 10, name


def shape(filter: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'in a range' if isinstance(value, Mapping) else '='}" for name, value in filter.items())


def stages(plan: Mapping[str, Any]) -> set[str]:
    below = [plan["inputStage"]] if "inputStage" in plan else []
    return {plan["stage"]}.union(*(stages(each) for each in below))

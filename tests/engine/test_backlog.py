"""What has piled up while no worker ran."""

from __future__ import annotations

from tests.benchmarks.backlog import work_off
from tests.engine.installation import Installation
from tests.long import LONG


async def test_two_workers_work_off_a_backlog_and_publish_nothing_twice(installation: Installation) -> None:
    await work_off(installation, 600 if LONG else 150)

"""A round for some of the faults; `make soak` plays all of them for as long as is wanted."""

from __future__ import annotations

import psutil
import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.rounds import play
from tests.engine.installation import Installation
from tests.rabbitmq_node import RabbitNode

WATCHED = "the database is killed"
SHORT = ("a worker is killed", "jobs end their workers", WATCHED, "connections to the broker are cut")


@pytest.mark.embedded
@pytest.mark.parametrize("name", SHORT)
async def test_nothing_is_lost_doubled_or_stuck_and_all_is_in_order(
    name: str, installation: Installation, rabbit_node: RabbitNode, database_server: psutil.Process
) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    judgment = await play(fault, 1, installation, rabbit_node, database_server, jobs=15, watched=name == WATCHED)
    assert judgment.faults == []

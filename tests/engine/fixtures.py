"""Fixtures of the engine's tests against real parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.installation import Installation


@pytest.fixture
async def installation(amqp_vhost_url: str, mongo_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with Installation.open(amqp_vhost_url, mongo_url, tmp_path) as opened:
        yield opened

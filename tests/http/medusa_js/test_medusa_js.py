"""Medusa's own client needs no change: all that it does with batch jobs, sessions and uploads works here."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Final

import pytest

from batchbus_service.domain.settings import Settings
from tests.http.conftest import Site
from tests.http.medusa_js.nodejs import NodeProject

SCRIPT: Final = Path(__file__).parent / "client.cjs"
PASSWORD: Final = "long enough for anyone"


@pytest.fixture
def settings(settings: Settings, database_name: str) -> Settings:
    """With a catalogue of its own, since the client imports into it."""
    return settings.model_copy(update={"catalog_database": f"c_{database_name[-30:]}"})


@pytest.mark.timeout(600)  # the first run on a machine installs the client
async def test_every_call_of_medusas_client_is_answered_as_it_expects(node: NodeProject, site: Site) -> None:
    person = await site.person("ann", password=PASSWORD)
    told = {"SERVER": site.url, "API_TOKEN": person.token, "EMAIL": person.user.email, "PASSWORD": PASSWORD}
    process = await asyncio.create_subprocess_exec(
        node.node, "--test", "--test-reporter=spec", SCRIPT, env=node.environment | told, stdout=PIPE, stderr=STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()

"""Node.js with Medusa's client, or the line that says why there is none."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.http.medusa_js.nodejs import NodeProject, NoNode, find_node_project

_MISSING: Final = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> NodeProject:
    try:
        return find_node_project()
    except NoNode as error:
        if os.environ.get("BATCHBUS_REQUIRE_NODE") == "1":
            pytest.fail(f"Medusa's client for Node.js is required here: {error}")
        request.config.stash[_MISSING] = str(error)
        pytest.skip("no Node.js with Medusa's client")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = config.stash.get(_MISSING, None)
    if missing is not None:
        terminalreporter.write_line(f"*** NOT TESTED WITH MEDUSA'S CLIENT: {missing} ***", red=True, bold=True)

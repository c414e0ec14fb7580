"""Node.js with Medusa's client, or one loud line that says why there is none."""

from __future__ import annotations

import os

import pytest

from tests.http.medusa_js.nodejs import NodeProject, NoNode, find_node_project


@pytest.fixture(scope="session")
def node() -> NodeProject:
    try:
        return find_node_project()
    except NoNode as error:
        if os.environ.get("BATCHBUS_REQUIRE_NODE") == "1":
            pytest.fail(f"Medusa's client for Node.js is required here: {error}")
        pytest.skip(f"*** NOT TESTED WITH MEDUSA'S CLIENT: {error} ***")

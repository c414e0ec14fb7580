"""What the documentation says of the code."""

from __future__ import annotations

import re

import pytest

from batchbus_service.domain.moves import diagram
from batchbus_service.domain.settings import Settings
from tests.docs.pages import ROOT, blocks_of

_COMPUTED = (
    "files_url",
    "catalog_url",
    "strategies_dir",
    "worker_types",
    "metrics_port",
    "trusted_proxies",
    "cors_origins",
    "jwt_secret",
    "log_format",
)
"""Settings whose default is found out at start, or described in words."""


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_diagram_is_the_transition_table(page: str) -> None:
    drawn = [block.text for block in blocks_of(ROOT / page) if block.language == "mermaid"]
    assert drawn == [diagram()], f"the states in {page} are not those of moves.py; this is the diagram:\n{diagram()}"


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `BATCHBUS_(\w+)` \| (.+?) \| ", (ROOT / "docs/settings.md").read_text(), re.M)
    told = {name.lower(): default.strip("`") for name, default in rows}
    assert told.keys() - {"url", "token"} == Settings.model_fields.keys()
    for name, setting in Settings.model_fields.items():
        if name not in _COMPUTED:
            assert told[name] == f"{setting.default}", name


def test_a_job_is_finished_in_the_first_twenty_lines() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:20]
    assert any(line.startswith("completed:") for line in first)

"""What the documentation says of the code."""

from __future__ import annotations

import re

import pytest

from batchbus_service.domain.moves import diagram
from batchbus_service.domain.settings import Settings
from tests.docs.pages import PAGES, ROOT, blocks_of

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


def test_a_term_of_the_glossary_is_used_and_stands_where_it_is_looked_for() -> None:
    glossary = ROOT / "docs" / "glossary.md"
    lines = [line for line in glossary.read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
    rows = [re.split(r" ?\| ?", line)[1:-1] for line in lines]
    terms = [term.strip("*") for term, _, _ in rows]
    assert terms == sorted(terms, key=str.casefold)
    assert len(terms) == len(set(terms))
    assert all("](" in more for _, _, more in rows), "each term names the page that explains it"

    pages = [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md")]
    text = " ".join(page.read_text(encoding="utf-8") for page in pages if page != glossary).casefold()
    assert [term for term in terms if not re.search(rf"\b{re.escape(term.casefold())}", text)] == [], "dead terms"

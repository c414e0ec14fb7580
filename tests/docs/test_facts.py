"""What the documentation says of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from batchbus_service.domain.moves import MOVES
from batchbus_service.domain.settings import Settings
from tests.docs.pages import PAGES, ROOT, blocks_of

_PACKAGES: Final = {"events": "batchbus_events", "strategies": "batchbus_strategies", "service": "batchbus_service"}
_COMPUTED = (
    "files_url",
    "catalog_url",
    "strategies_dir",
    "worker_types",
    "worker_processes",
    "metrics_port",
    "trusted_proxies",
    "cors_origins",
    "jwt_secret",
    "oidc_issuer",
    "oidc_client_id",
    "oidc_client_secret",
    "oidc_role_claim",
    "log_format",
)
"""Settings whose default is found out at start, or described in words."""


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_diagram_is_the_transition_table(page: str) -> None:
    drawn = [block.text for block in blocks_of(ROOT / page) if block.language == "mermaid"]
    assert drawn == [MOVES.diagram()], (
        f"the states in {page} are not those of moves.py; this is the diagram:\n{MOVES.diagram()}"
    )


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `BATCHBUS_(\w+)` \| (.+?) \| ", (ROOT / "docs/settings.md").read_text(), re.M)
    told = {name.lower(): default.strip("`") for name, default in rows}
    assert told.keys() - {"url", "token"} == Settings.model_fields.keys()
    for name, setting in Settings.model_fields.items():
        if name not in _COMPUTED:
            default = str(setting.default)
            assert told[name] == (default.lower() if isinstance(setting.default, bool) else default), name


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


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_and_name_that_a_page_tells_of_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = {path for path in re.findall(r"`([\w./-]+)`", text) if re.search(r"\w/|\.(py|toml|js|yml|txt|yaml)$", path)}
    assert paths
    assert sorted(path for path in paths if not _found(path)) == [], "there is no such file"
    named = re.findall(r"`(\w+)` in `([\w./-]+\.\w+)`", text)
    assert [
        f"{name} in {path}" for name, path in named if not re.search(rf"\b{name}\b", _found(path)[0].read_text())
    ] == []


def _found(path: str) -> list[Path]:
    """What a path can mean: from the root, or from a package, whose floors are told without the way to them."""
    places = [ROOT, *(ROOT / member / "src" / package for member, package in _PACKAGES.items())]
    floors = [*places, *(folder for folder in places[-1].iterdir() if folder.is_dir())]
    return [place / path for place in floors if (place / path).exists()]

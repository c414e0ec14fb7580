"""The site that `make docs` builds: without a warning, complete, and readable without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import griffe
import pytest

import batchbus_events
import batchbus_events.testing
import batchbus_service
import batchbus_strategies
import batchbus_strategies.testing.plugin
from tests.docs.pages import PAGES, ROOT
from tests.patience import PATIENCE

PORTS = {
    "MemoryBus": "batchbus_events.bus.Bus",
    "MongoDeduplication": "batchbus_events.deduplication.Deduplication",
    "HttpHistory": "batchbus_events.history.History",
    "FakeRun": "batchbus_strategies.strategy.JobRun",
    "LocalFiles": "batchbus_strategies.strategy.Files",
}
"""What implements a port, and where the port says what its members do."""

REFERENCE = [
    (batchbus_events, "events"),
    (batchbus_events.testing, "events"),
    (batchbus_strategies, "strategies"),
    (batchbus_strategies.testing, "strategies"),
    (batchbus_strategies.testing.plugin, "strategies"),
    (batchbus_service, "service"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("package", "page"), REFERENCE, ids=lambda value: getattr(value, "__name__", ""))
def test_everything_that_a_package_exports_is_in_the_reference(package: ModuleType, page: str, site: Path) -> None:
    text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
    missing = [name for name in package.__all__ if f'id="{package.__name__}.{name}"' not in text]
    assert missing == [], "the reference does not show these exports"


def test_everything_in_the_reference_says_what_it_is() -> None:
    """A member of a class that implements a port may leave that to the port."""
    loader = griffe.GriffeLoader(search_paths=[str(ROOT / member / "src") for member in ("events", "strategies")])
    for name in ("batchbus_events", "batchbus_strategies"):
        loader.load(name)
    loader.resolve_aliases()
    silent = []
    for package, _ in REFERENCE[:-1]:
        module = loader.modules_collection[package.__name__]
        for name in package.__all__:
            exported = _target(module.members[name])
            port = loader.modules_collection[PORTS[name]] if name in PORTS else None
            told = set(port.members) if port else set()
            silent += [f"{package.__name__}.{name}"] if not exported.docstring else []
            silent += [f"{package.__name__}.{name}.{member}" for member in _silent(exported) if member not in told]
    assert silent == [], "these have no docstring"


def _target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _silent(exported: griffe.Object) -> Iterator[str]:
    """The public members of a class without a docstring. A test says in its name what it tests, and pydantic has its own."""
    for name, member in exported.members.items() if exported.is_class else ():
        if not name.startswith(("_", "test_", "model_")) and not _target(member).docstring:
            yield name


def test_every_page_is_in_the_site(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in PAGES if page.parent != ROOT}
    pages.remove(Path("README.html"))
    assert [str(page) for page in sorted(pages) if not (site / page).exists()] == []
    assert (site / "index.html").exists() and (site / "project" / "contributing.html").exists()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(?:\w+:)?//[^>]*>")
    loaded = {f"{page.name}: {tag}" for page in site.rglob("*.html") for tag in loading.findall(page.read_text())}
    assert loaded == set()
    assert not any('class="mermaid"' in page.read_text() for page in site.rglob("*.html")), "its script is elsewhere"


def test_blocks_and_links_of_the_repository_are_as_a_site_shows_them(site: Path) -> None:
    strategies = (site / "strategies.html").read_text(encoding="utf-8")
    assert "strategies.d/publish_products.py" in strategies and "```" not in strategies
    architecture = (site / "architecture.html").read_text(encoding="utf-8")
    assert "stateDiagram" not in architecture and "a worker with a free slot took it" in architecture
    assert 'href="decisions/index.html"' in architecture
    assert 'href="../strategies.html"' in (site / "project" / "contributing.html").read_text(encoding="utf-8")

"""Every distribution that a package imports from is declared in its pyproject.toml, and nothing else is declared there.

A library that happens to be installed because another one needs it can go with any upgrade of that other one.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {"events": "batchbus_events", "strategies": "batchbus_strategies", "service": "batchbus_service"}
OURS: Final = {
    "batchbus_events": "batchbus-events",
    "batchbus_strategies": "batchbus-strategies",
    "batchbus_service": "batchbus",
}
_INSTALLED: Final = packages_distributions()
WITH_INTERNALS: Final = {
    "aio-pika": ("events", "rabbitmq/connection.py takes the connection and the channels beneath it"),
    "aiormq": ("events", "rabbitmq/ uses its channels and the futures by which they close"),
    "uvicorn": ("service", "the protocol in http/server/connections.py is a subclass of its own"),
}
"""Libraries of which we use more than what they promise. The next version may break it, so it takes a test run to allow it."""


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a module imports, wherever in the module that happens."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@cache
def distribution_of(module: str) -> str:
    """The distribution that an imported module comes with. Several share a namespace package such as `opentelemetry`."""
    top = module.partition(".")[0]
    if top in OURS:
        return OURS[top]
    candidates = sorted({name.lower().replace("_", "-") for name in _INSTALLED[top]})
    if len(candidates) == 1:
        return candidates[0]
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin, f"{module} is in none of {candidates} alone: import what is below it"
    origin = Path(spec.origin)
    (owner,) = [name for name in candidates if any(file.locate() == origin for file in distribution(name).files or ())]
    return owner


def needed(package: str) -> set[str]:
    """The distributions that a package imports from, itself and the standard library left out."""
    source = ROOT / package / "src" / PACKAGES[package]
    modules = {name for path in source.rglob("*.py") for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
    foreign = {name for name in modules if name.partition(".")[0] not in {*sys.stdlib_module_names, PACKAGES[package]}}
    return {distribution_of(name) for name in foreign}


def requirements(package: str) -> list[str]:
    """What a package requires by itself and by its extras."""
    project: dict[str, Any] = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports_and_nothing_else(package: str) -> None:
    declared = {name_of(requirement) for requirement in requirements(package)}
    assert sorted(needed(package) - declared) == [], f"imported, and not declared in {package}/pyproject.toml"
    assert sorted(declared - needed(package)) == [], f"declared in {package}/pyproject.toml, and never imported"


@pytest.mark.parametrize("library", WITH_INTERNALS)
def test_a_library_whose_internals_are_used_has_an_upper_bound(library: str) -> None:
    package, reason = WITH_INTERNALS[library]
    (requirement,) = [line for line in requirements(package) if name_of(line) == library]
    assert re.search(r",<\d", requirement), f"{library} takes an upper bound: {reason}"


def test_imports_are_found_wherever_they_stand() -> None:
    """What the tests above rest on."""
    tree = ast.parse(
        "import a.b\nfrom c import d\nfrom . import e\ndef f():\n    import g, h\nif x:\n    from i.j import k"
    )
    assert sorted(imported(tree)) == ["a.b", "c", "g", "h", "i.j"]

"""Every regular expression of the product takes linear time, whatever text a stranger brings."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

import batchbus_events
import batchbus_service
import batchbus_strategies
from tests.security.expressions import faults

_PACKAGES: Final = (batchbus_events, batchbus_strategies, batchbus_service)
_CALLS: Final = frozenset({"compile", "match", "search", "fullmatch", "split", "findall", "finditer", "sub", "subn"})
_SEARCHING: Final = frozenset({"search", "split", "findall", "finditer", "sub", "subn"})
_LOCALS: Final[dict[str, dict[str, Any]]] = {
    "batchbus_strategies.records.header": {
        "before": "Option ",
        "after": " Name",
        "column": "Product Category <n> Handle",
    },
    "batchbus_strategies.tables.csv_reader": {"self": SimpleNamespace(delimiter=";")},
}
"""What the expressions of functions are made of, for those that are made anew each time."""
_HANDED_ON: Final[dict[str, set[str]]] = {"_URI": {"fullmatch"}, "_SECRETS_IN_TEXT": {"sub"}}
"""What is called of expressions that other names stand for where they are used."""


@dataclass(frozen=True, slots=True)
class _Expression:
    where: str
    pattern: str | bytes
    flags: int
    searched: bool
    anchored: bool


def _modules() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES:
        assert package.__file__
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = [package.__name__, *path.relative_to(root).with_suffix("").parts]
            if path.name != "__main__.py" and "batch_types" not in parts[-2:]:
                yield ".".join(parts).removesuffix(".__init__"), path


@cache
def _expressions() -> tuple[_Expression, ...]:
    trees = {name: ast.parse(path.read_text()) for name, path in _modules()}
    public = _uses(trees.values())
    return tuple(
        expression
        for name, tree in trees.items()
        for expression in _in_module(name, tree, public | _uses([tree]) | _HANDED_ON)
    )


def _uses(trees: Any) -> dict[str, set[str]]:
    """What is called of each name: `_NUMBER.fullmatch(…)` gives `{"_NUMBER": {"fullmatch"}}`."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in _CALLS and isinstance(node.value, ast.Name):
                found.setdefault(node.value.id, set()).add(node.attr)
    return found


def _in_module(module: str, tree: ast.Module, uses: Mapping[str, set[str]]) -> Iterator[_Expression]:
    names = {
        id(call): target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
        for call in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        pattern, flags = _evaluated(module, node)
        method = node.func.attr
        methods = uses.get(names.get(id(node), ""), set()) if method == "compile" else {method}
        yield _Expression(
            f"{module}:{node.lineno}",
            pattern,
            flags,
            searched=not methods or bool(methods & _SEARCHING),
            anchored=not methods or "fullmatch" in methods,
        )


def _evaluated(module: str, call: ast.Call) -> tuple[str | bytes, int]:
    space = vars(importlib.import_module(module)) | _LOCALS.get(module, {})
    values = [eval(compile(ast.Expression(arg), module, "eval"), space) for arg in [call.args[0]]]
    flags = [arg for arg in call.args[1:] + [word.value for word in call.keywords] if "re." in ast.unparse(arg)]
    found = [eval(compile(ast.Expression(arg), module, "eval"), space) for arg in flags]
    return values[0], int(sum(found))


def test_expressions_are_found() -> None:
    assert len(_expressions()) > 60


def test_every_expression_takes_linear_time() -> None:
    bad = {
        f"{each.where} {each.pattern!r}": found
        for each in _expressions()
        if (found := faults(each.pattern, searched=each.searched, anchored=each.anchored, flags=each.flags))
    }
    assert not bad


def test_pydantic_matches_with_an_engine_that_is_linear() -> None:
    """`pattern=` of a field is matched by Rust's `regex`, unless someone asks for Python's."""
    assert not [name for name, path in _modules() if "python-re" in path.read_text()]


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+b", r"(a|a)*+(a*)*b", r"\s*\s*x", r"(\w+\s?)+:", r"(.*)=(.*);", r"([a-z]+)*\Z", r"\d+\d+x", r"(x+x+)+y"],
)
def test_expressions_that_are_known_to_be_slow_are_noticed(pattern: str) -> None:
    assert faults(pattern, searched=False, anchored=True)


@pytest.mark.parametrize("pattern", [r"<c[^>]*>", r"\s+$", r"a.*b", r"[^@]+@"])
def test_expressions_that_are_slow_only_when_they_are_searched_for_are_noticed(pattern: str) -> None:
    assert faults(pattern, searched=True, anchored=False)
    assert not faults(pattern, searched=False, anchored=False)


@pytest.mark.parametrize("pattern", [r"[a-z]+(\.[a-z]+)*", r"(?:[^\"]|\"\")*x", r"\d{1,20}(?:\.\d{0,40})?", r"a*+b"])
def test_expressions_that_are_fast_are_not_named(pattern: str) -> None:
    assert not faults(pattern, searched=False, anchored=True)


def test_what_stands_for_all_characters_has_those_of_every_expression() -> None:
    """A character that is not in the test's alphabet would be overlooked."""
    assert re.fullmatch(r"\w", chr(0x4E00))

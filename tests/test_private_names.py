"""Tests use what is public: none reads, sets or imports a name with an underscore that belongs to something else.

A name is a test's own where its module defines it, as a class that tests define does with its attributes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TESTS: Final = Path(__file__).parent

_EXCEPTIONS: Final = {
    "engine/batch_types/dying.py _exit": "is public: `os._exit` is the documented way to end a process at once",
    "engine/worker_main.py _exit": "the same",
}
_MUTANTS: Final = "mutants/wrong.py"
"""Wrong bodies for methods of the product, with the `self` of those: there is nothing public in the middle of one."""
_NAMING: Final = {"setattr", "getattr", "delattr", "hasattr", "object", "patch"}
"""Calls that take the name of an attribute as text."""


def test_no_test_uses_a_private_name_of_something_else() -> None:
    found = {
        f"{path.relative_to(_TESTS).as_posix()} {name}"
        for path in sorted(_TESTS.rglob("*.py"))
        if path != _TESTS / _MUTANTS
        for name in _foreign(ast.parse(path.read_text()))
    }
    assert sorted(found - _EXCEPTIONS.keys()) == [], "use what is public, or say here why that cannot be"
    assert sorted(_EXCEPTIONS.keys() - found) == [], "it is not there any more"


def _foreign(module: ast.Module) -> Iterator[str]:
    own = set(_defined(module))
    for node in ast.walk(module):
        match node:
            case ast.Attribute(attr=name):
                yield from _private(name, own)
            case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)) if called in _NAMING:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield from _private(argument.value.rpartition(".")[2], own)
            case ast.ImportFrom():
                for alias in node.names:
                    yield from _private(alias.name, set())


def _private(name: str, own: set[str]) -> Iterator[str]:
    if name.startswith("_") and not name.startswith("__") and name not in own:
        yield name


def _defined(module: ast.Module) -> Iterator[str]:
    """Functions, methods, classes and variables of the module, and what its classes set on themselves."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name

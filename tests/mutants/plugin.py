"""A pytest plugin (`-p tests.mutants.plugin`): one mutation, named by `BATCHBUS_MUTANT`, is in place while tests run."""

from __future__ import annotations

import importlib
import os
from typing import Any

from tests.mutants.mutations import MUTATIONS, Mutation

__all__ = ["apply", "break_if_asked", "found"]


def pytest_configure() -> None:
    break_if_asked()


def break_if_asked() -> None:
    """For processes that tests start, too."""
    if name := os.environ.get("BATCHBUS_MUTANT"):
        apply(next(mutation for mutation in MUTATIONS if mutation.name == name))


def apply(mutation: Mutation) -> None:
    """Put the wrong function in the place of the right one, for the rest of the process, wherever it was imported to."""
    owner, name, real = found(mutation)
    wrong = mutation.make(real)
    setattr(owner, name, wrong)
    for module in _of_the_product():
        for known, value in list(vars(module).items()):
            if value is real:
                setattr(module, known, wrong)


def found(mutation: Mutation) -> tuple[Any, str, Any]:
    """What the function stands in, its name there, and the function. Raises `AttributeError` where there is none."""
    module, _, qualified = mutation.target.partition(":")
    *path, name = qualified.split(".")
    owner = importlib.import_module(module)
    for part in path:
        owner = getattr(owner, part)
    return owner, name, vars(owner)[name]


def _of_the_product() -> list[Any]:
    import sys

    importlib.import_module("batchbus_service.app.bootstrap")
    return [module for name, module in list(sys.modules.items()) if name.startswith("batchbus_")]

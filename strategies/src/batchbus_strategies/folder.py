"""Strategies in a folder: each file is a module with a name of its own, so that `csv.py` in it hides none of Python's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["import_file", "import_from"]

_PACKAGE: Final = "batchbus_strategies_folder"


def import_file(path: Path) -> ModuleType:
    """Import a file, anew if it was imported before. Raises what the file raises."""
    name = f"{_PACKAGE}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # it always has one for a path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(_PACKAGE, _package())  # pickle looks for it before it gives a function its name
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def import_from(folder: Path) -> None:
    """Have `import` find the files of a folder, under the names that `import_file` gives them, when they are needed."""
    sys.meta_path.append(_Finder(folder))


def _package() -> ModuleType:
    return importlib.util.module_from_spec(ModuleSpec(_PACKAGE, None, is_package=True))


class _Finder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, stem = name.partition(".")
        if package != _PACKAGE:
            return None
        if not stem:
            return ModuleSpec(name, None, is_package=True)
        path = self._folder / f"{stem}.py"
        return importlib.util.spec_from_file_location(name, path) if path.is_file() else None

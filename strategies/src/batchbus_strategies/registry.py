"""The registry: which strategy serves which batch type, and where it was found.

Strategies come from three places, and a later one overrides an earlier one with the same `batch_type`:

1. entry points (group `batchbus.strategies`) of this distribution: the built-in strategies;
2. entry points of other installed distributions;
3. a folder of Python files.

Two of the same rank for one batch type are an error, since it would be left to chance which of them runs.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from batchbus_events.topics import BATCH_TYPE
from batchbus_strategies.folder import import_file
from batchbus_strategies.strategy import BatchStrategy

__all__ = ["Registry", "RegistryEntry", "RegistryError"]

_GROUP: Final = "batchbus.strategies"
_BUILT_IN: Final = "batchbus-strategies"
_PHASES: Final = ("pre_process", "process")

Strategy = BatchStrategy[Any]


class RegistryError(Exception):
    """The strategies cannot be used as they are."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        """Every reason, one sentence each."""
        super().__init__("\n".join(self.errors))


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One batch type and the strategy that serves it."""

    batch_type: str
    """The batch type, such as `product-import`."""
    identifier: str
    """The name of the implementation, as the class gives it."""
    strategy_class: type[Strategy]
    """The class that serves the batch type."""
    origin: str
    """`built-in`, `entry point <distribution>`, or the path of a file."""
    overrides: tuple[RegistryEntry, ...] = ()
    """The strategies for the same batch type that it took the place of, the nearest first."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A class that says it is a strategy, not looked at yet. `place` is for error messages."""

    rank: int
    strategy_class: type[Strategy]
    origin: str
    place: str


class Registry:
    """The strategies of this process, one instance each. Make it with `Registry.load`."""

    def __init__(self, entries: Iterable[RegistryEntry]) -> None:
        """Raises `RegistryError` if a strategy cannot be made."""
        self.entries: tuple[RegistryEntry, ...] = tuple(sorted(entries, key=lambda entry: entry.batch_type))
        """Every batch type that is served, in the order of their names."""
        self._strategies: dict[str, Strategy] = {}
        errors = []
        for entry in self.entries:
            try:
                self._strategies[entry.batch_type] = entry.strategy_class()
            except BaseException as error:  # noqa: BLE001  told at the start of the service
                _let_through(error)
                name = entry.strategy_class.__name__
                errors.append(f"{name} ({entry.origin}) cannot be made: {type(error).__name__}: {error}")
        if errors:
            raise RegistryError(errors)

    @classmethod
    def load(cls, folder: Path | None = None) -> Registry:
        """Find every strategy. Raises `RegistryError` with all that is wrong, not with the first of it."""
        errors: list[str] = []
        found = [*_from_entry_points(errors), *(_from_folder(folder, errors) if folder else ())]
        usable = []
        for candidate in found:
            wrong = _errors_of(candidate.strategy_class)
            errors += [f"{candidate.place} {what}" for what in wrong]
            if not wrong:
                usable.append(candidate)
        entries = list(_ranked(usable, errors))
        if errors:
            raise RegistryError(errors)
        return cls(entries)

    def get(self, batch_type: str) -> Strategy | None:
        """The strategy that serves this batch type, always the same instance; None if there is none."""
        return self._strategies.get(batch_type)

    def declared(self, batch_type: str) -> Strategy | type[Strategy]:
        """What to ask for the class attributes of a batch type; the defaults, if no strategy here serves it."""
        return self._strategies.get(batch_type, BatchStrategy)

    @property
    def strategies(self) -> Mapping[str, Strategy]:
        """Every strategy by its batch type."""
        return MappingProxyType(self._strategies)


@cache
def _installed(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of the packages on `sys.path`: to find them, a file of every package there is read."""
    return tuple(entry_points(group=_GROUP))


def _from_entry_points(errors: list[str]) -> Iterator[_Found]:
    for point in _installed(tuple(sys.path)):
        distribution = point.dist.name if point.dist else "unknown"
        built_in = distribution.lower().replace("_", "-") == _BUILT_IN
        place = f"Entry point {point.name} of {distribution} ({point.value})"
        try:
            loaded: object = point.load()
        except BaseException as error:  # noqa: BLE001  told at the start of the service, with every other problem
            _let_through(error)
            errors.append(f"{place}: {_entry_point_error(point, error)}")
            continue
        if not (isinstance(loaded, type) and issubclass(loaded, BatchStrategy)):
            errors.append(f"{place} is not a subclass of BatchStrategy")
            continue
        origin = "built-in" if built_in else f"entry point {distribution}"
        yield _Found(0 if built_in else 1, loaded, origin, place)


def _let_through(error: BaseException) -> None:
    """Only Ctrl-C ends the start without a word; `sys.exit` in a strategy's file is a problem like any other."""
    if isinstance(error, KeyboardInterrupt):
        raise error


def _entry_point_error(point: EntryPoint, error: BaseException) -> str:
    if isinstance(error, AttributeError) and not hasattr(sys.modules.get(point.module), point.attr):
        return f"{point.module} has no {point.attr}"
    return f"{type(error).__name__}: {error}"


def _from_folder(folder: Path, errors: list[str]) -> Iterator[_Found]:
    if not folder.is_dir():
        errors.append(f"{folder} is not a folder")
        return
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith("_"):
            continue
        try:
            module = import_file(path)
        except BaseException as error:  # noqa: BLE001  told at the start of the service, with every other problem
            _let_through(error)
            errors.append(f"{path}, line {_line_of(error, path)}: {type(error).__name__}: {_message(error)}")
            continue
        own = [
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if member.__module__ == module.__name__ and issubclass(member, BatchStrategy)
        ]
        for strategy_class in own:
            is_base = any(other is not strategy_class and issubclass(other, strategy_class) for other in own)
            if is_base and not hasattr(strategy_class, "batch_type"):
                continue
            yield _Found(2, strategy_class, str(path), f"{path}, class {strategy_class.__name__}")


def _line_of(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.lineno and error.filename == str(path):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)


def _message(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _errors_of(strategy_class: type[Strategy]) -> list[str]:
    """What keeps a class from being used as a strategy."""
    errors = []
    batch_type: object = getattr(strategy_class, "batch_type", None)
    if not isinstance(batch_type, str):
        errors.append("has no batch_type")
    elif not BATCH_TYPE.fullmatch(batch_type):
        errors.append(
            f"batch_type {batch_type!r} is not allowed: lower-case letters, digits and hyphens, at most 63, "
            "and no hyphen in front"
        )
    identifier: object = getattr(strategy_class, "identifier", None)
    if not (isinstance(identifier, str) and identifier.strip()):
        errors.append("has no identifier")
    model: object = strategy_class.context_model
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        errors.append("context_model is not a subclass of pydantic.BaseModel")
    if strategy_class.isolation not in (None, "process"):
        errors.append(f'isolation can be "process" or None, not {strategy_class.isolation!r}')
    if abstract := sorted(getattr(strategy_class, "__abstractmethods__", ())):
        errors.append(f"does not implement {', '.join(abstract)}")
    elif required := _required_arguments(strategy_class):
        errors.append(f"cannot be made without arguments: __init__ asks for {', '.join(required)}")
    if all(getattr(strategy_class, phase) is getattr(BatchStrategy, phase) for phase in _PHASES):
        errors.append(
            f"has neither phase, so its jobs would do nothing: define process, or pre_process{_misspelt(strategy_class)}"
        )
    return errors


def _misspelt(strategy_class: type[Strategy]) -> str:
    """What a method was perhaps meant to be."""
    methods = (name for name, _ in inspect.getmembers(strategy_class, callable) if not hasattr(BatchStrategy, name))
    own = {name.lower(): name for name in methods}
    for phase in _PHASES:
        if near := get_close_matches(phase, own, n=1, cutoff=0.75):
            return f". It has {own[near[0]]}: did you mean {phase}?"
    return ""


def _required_arguments(strategy_class: type[Strategy]) -> list[str]:
    return [
        parameter.name
        for parameter in inspect.signature(strategy_class).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _ranked(found: Iterable[_Found], errors: list[str]) -> Iterator[RegistryEntry]:
    """One entry for each batch type: the highest rank, with what it overrides."""
    by_type: dict[str, list[_Found]] = {}
    for candidate in sorted(found, key=lambda candidate: candidate.rank):
        by_type.setdefault(candidate.strategy_class.batch_type, []).append(candidate)
    for batch_type, candidates in by_type.items():
        entry: RegistryEntry | None = None
        for _, group in groupby(candidates, key=lambda candidate: candidate.rank):
            first, *others = group
            if others:
                places = " and ".join(candidate.place for candidate in (first, *others))
                errors.append(f"Two strategies of the same rank serve {batch_type}: {places}")
            entry = RegistryEntry(
                batch_type,
                first.strategy_class.identifier,
                first.strategy_class,
                first.origin,
                (replace(entry, overrides=()), *entry.overrides) if entry else (),
            )
        if entry:
            yield entry

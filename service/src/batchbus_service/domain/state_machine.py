"""The one form in which it is written down how something moves from state to state: jobs, replays, parked messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

__all__ = ["Move", "StateMachine"]

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Move(Generic[S]):
    """One allowed change of state."""

    source: S
    target: S
    reason: str
    by: str
    """Who makes it: a part of batchbus, or the kind of person."""


class StateMachine(Generic[S]):
    """Every allowed move. The rules, the errors, the commands and the documentation derive from it."""

    def __init__(self, first: S, begins: str, *moves: Move[S]) -> None:
        """`first`: the state in which each begins. `begins`: what begins it, for the diagram."""
        self._first = first
        self._begins = begins
        self._moves = moves
        self._allowed = {(move.source, move.target) for move in moves}
        self._sources = {move.source for move in moves}

    def __iter__(self) -> Iterator[Move[S]]:
        return iter(self._moves)

    def allows(self, source: S, target: S) -> bool:
        return (source, target) in self._allowed

    def ends(self, state: S) -> bool:
        """Whether nothing leads on from there."""
        return state not in self._sources

    def diagram(self) -> str:
        """As a Mermaid state diagram, for the documentation."""
        lines = ["stateDiagram-v2", f"    [*] --> {self._first}: {self._begins}"]
        lines += [f"    {move.source} --> {move.target}: {move.reason}" for move in self._moves]
        lines += [f"    {state} --> [*]" for state in type(self._first) if self.ends(state)]
        return "\n".join(lines) + "\n"

"""Slots: how many jobs a worker pre-processes and processes at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from batchbus_strategies import Phase

__all__ = ["Seat", "Slots"]


class Slots:
    """Previews (`pre_process`) and runs (`process`) have slots of their own, so that neither waits for the other."""

    def __init__(self, sizes: Mapping[Phase, int]) -> None:
        self._free = dict(sizes)
        self.on_free: Callable[[Phase], None] = lambda phase: None

    def free(self, phase: Phase) -> int:
        return self._free[phase]

    def take(self, phase: Phase) -> Seat | None:
        """A slot, until its seat is left; None if all are taken."""
        if self._free[phase] == 0:
            return None
        self._free[phase] -= 1
        return Seat(self, phase)

    def give_back(self, phase: Phase) -> None:
        self._free[phase] += 1
        self.on_free(phase)


class Seat:
    """One taken slot."""

    def __init__(self, slots: Slots, phase: Phase) -> None:
        self._slots: Slots | None = slots
        self.phase: Phase = phase

    def leave(self) -> None:
        """Free the slot. Does nothing the second time."""
        if self._slots:
            slots, self._slots = self._slots, None
            slots.give_back(self.phase)

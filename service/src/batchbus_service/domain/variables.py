"""The environment variables that batchbus reads, and those that only look like it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

__all__ = ["misspelt_variables", "unknown_variables"]

_PREFIX: Final = "BATCHBUS_"
_KUBERNETES: Final = re.compile(r"BATCHBUS_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\w+)?)")
"""What Kubernetes sets in every container, where a service is called batchbus."""
_LIKE: Final = 0.5
"""From which likeness on, of 0 to 1, another name is proposed."""
_MISSPELT: Final = 0.85
"""From which likeness on a name is taken for a misspelt one."""


def unknown_variables(names: Iterable[str], known: Collection[str]) -> Mapping[str, str | None]:
    """The variables with our prefix that are not among the known ones, each with the nearest of those.

    Names of variables are whole, such as `BATCHBUS_URL`.
    """
    return {name: _nearest(name, known, _LIKE) for name in _unknown(names, known)}


def misspelt_variables(names: Iterable[str], known: Collection[str]) -> Mapping[str, str]:
    """Those of them that can hardly be anything but a misspelt setting, with its name."""
    found = {name: _nearest(name, known, _MISSPELT) for name in _unknown(names, known)}
    return {name: near for name, near in found.items() if near is not None}


def _unknown(names: Iterable[str], known: Collection[str]) -> list[str]:
    ours = (name for name in names if name.upper().startswith(_PREFIX))
    return sorted(name for name in ours if name.upper() not in known and not _KUBERNETES.fullmatch(name.upper()))


def _nearest(name: str, known: Collection[str], likeness: float) -> str | None:
    """Compared without the prefix, which all have in common."""
    suffixes = [each.removeprefix(_PREFIX) for each in known]
    near = get_close_matches(name.upper().removeprefix(_PREFIX), suffixes, n=1, cutoff=likeness)
    return f"{_PREFIX}{near[0]}" if near else None

"""Reading a page of the documentation: its fenced blocks, by what they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["PAGES", "ROOT", "Block", "blocks_of", "name_of"]

ROOT: Final = Path(__file__).parent.parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE: Final = re.compile(r"^```(?P<language>\w+)(?: (?P<role>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block. `role` is the word after the language: `service`, `refused`, or the name of a file."""

    page: str
    line: int
    language: str
    role: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}, line {self.line}:\n{self.text}"


def name_of(page: Path) -> str:
    """Its path within the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(name_of(page), text.count("\n", 0, match.start()) + 1, match["language"], match["role"], match["text"])
        for match in _FENCE.finditer(text)
    ]

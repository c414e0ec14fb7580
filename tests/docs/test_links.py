"""Every link of every Markdown file that stays within the repository leads somewhere: to a file, and to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT, name_of

_CODE: Final = re.compile(r"^```.*?^```$|`[^`\n]+`", re.M | re.S)
_LINK: Final = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*<?([^\s>]+)|(?:href|src)=\"([^\"]+)\"", re.M)
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.I)


def pages(root: Path) -> list[Path]:
    """The Markdown files below `root`, without those in hidden folders and in what was built."""
    found = (path.relative_to(root) for path in root.rglob("*.md"))
    return sorted(
        root / path for path in found if path.parts[0] != "build" and not any(p[0] == "." for p in path.parts)
    )


def links(text: str) -> Iterator[str]:
    """The targets of all links, those in code left out."""
    for match in _LINK.finditer(_CODE.sub("`code`", text)):
        yield next(filter(None, match.groups()))


def anchors(text: str) -> set[str]:
    """The names that GitHub and the site give to the headings of a page."""
    found: set[str] = set()
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for heading in re.findall(r"^#+ +(.+?) *#*$", outside, re.M):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        again = sum(1 for other in found if re.fullmatch(rf"{re.escape(name)}(-\d+)?", other))
        found.add(f"{name}-{again}" if again else name)
    return found


def broken(page: Path, root: Path) -> Iterator[str]:
    """What is wrong with the links of a page, one sentence each."""
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if _ELSEWHERE.match(link):
            continue
        if path.startswith("/") or not target.is_relative_to(root):
            yield f"{link} leads out of the repository"
        elif not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in (anchors(target.read_text(encoding="utf-8")) if target.suffix == ".md" else ()):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("page", pages(ROOT), ids=name_of)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    assert list(broken(page, ROOT)) == []


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    reached: set[Path] = set()
    todo = [ROOT / "docs" / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = [link.partition("#")[0] for link in links(page.read_text(encoding="utf-8"))]
        todo += [(page.parent / path).resolve() for path in targets if path and not _ELSEWHERE.match(path)]
    assert [name_of(page) for page in pages(ROOT) if page not in reached] == [], "no link leads there"


def test_the_index_of_decisions_has_their_titles() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", (folder / "README.md").read_text(encoding="utf-8"), re.M)
    told = [f"# {number}. {title}" for number, title, _ in rows]
    assert [name for *_, name in rows] == [path.name for path in sorted(folder.glob("0*.md"))]
    assert told == [(folder / name).read_text(encoding="utf-8").splitlines()[0] for *_, name in rows]


def test_broken_links_are_found(tmp_path: Path) -> None:
    """What the tests above rest on."""
    other = tmp_path / "folder" / "other.md"
    other.parent.mkdir()
    other.write_text("# A `title`, with more\n\n```sh\n# no heading\n```\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[fine](folder/other.md) [fine](folder/other.md#a-title-with-more) [fine](folder/other.md#twice-1)\n"
        "[fine](#here) [fine](https://example.com/x#y) `[code](nowhere.md)` [fine](folder) [fine][by name]\n\n"
        "[by name]: folder/other.md#twice\n\n# Here\n"
        "[wrong](folder/other.md#no-heading) [wrong](gone.md) [wrong](../outside.md) [wrong](#there) [wrong](/page.md)\n"
        "[wrong]: gone-too.md\n"
    )
    assert pages(tmp_path) == [other, page]
    assert sorted(sentence.split(":")[0].split(" leads")[0] for sentence in broken(page, tmp_path)) == [
        "#there",
        "../outside.md",
        "/page.md",
        "folder/other.md#no-heading",
        "gone-too.md",
        "gone.md",
    ]

"""What `make docs` changes of the pages that are in the repository, so that they are right as a site. A hook of mkdocs.

The pages are written to be read in the repository. A site differs from it in this:

* It has CONTRIBUTING.md, SECURITY.md and CHANGELOG.md below `project/`. A link to any other file outside docs/ becomes text.
* A link to a folder leads to its README.md, and becomes text if there is none.
* A code block may have one word behind its language, which says how the tests run it. It is shown if it is a file's name.
* A state diagram is shown as a table, since what draws it in a browser would have to be loaded from elsewhere.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = {name: f"project/{name.lower()}" for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}
"""Pages from outside docs/: their path in the repository, and the one in the site."""

_BLOCK: Final = re.compile(r"(^```.*?^```$)", re.M | re.S)
_FENCE: Final = re.compile(r"^```(?P<language>\w+) (?P<role>\S+)$", re.M)
_MOVE: Final = re.compile(r"^ *(?P<old>\S+) --> (?P<new>\S+): (?P<when>.+)$", re.M)
_LINK: Final = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    """A folder in the navigation stands for all of its pages, in the order of their names."""
    for entry in config.nav or []:
        for title, pages in entry.items() if isinstance(entry, dict) else ():
            if isinstance(pages, str) and pages.endswith("/"):
                numbered = sorted(path.name for path in Path(config.docs_dir, pages).glob("0*.md"))
                entry[title] = [f"{pages}README.md", *(f"{pages}{name}" for name in numbered)]


def on_files(files: Files, config: MkDocsConfig) -> None:
    for path, uri in PROJECT.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    parts = _BLOCK.split(markdown)
    return "".join(_block(part) if part.startswith("```") else _linked(part, page.file.src_uri) for part in parts)


def _block(block: str) -> str:
    if block.startswith("```mermaid"):
        moves = [match.groupdict() for match in _MOVE.finditer(block)]
        rows = [f"| {_state(move['old'])} | {_state(move['new'])} | {move['when']} |" for move in moves]
        return "\n".join(("| from | to | when |", "|---|---|---|", *rows))
    return _FENCE.sub(_fence, block)


def _state(name: str) -> str:
    return "" if name == "[*]" else f"`{name}`"


def _fence(match: re.Match[str]) -> str:
    title = f' title="{match["role"]}"' if "." in match["role"] else ""
    return f"```{match['language']}{title}"


def _linked(text: str, uri: str) -> str:
    """`text` with its links made relative to the page at `uri` in the site."""
    places = {site: path for path, site in PROJECT.items()}
    folder = posixpath.dirname(places.get(uri, f"docs/{uri}"))

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match["path"]))
        if (ROOT / target).is_dir():
            target += "/README.md"
        if target in PROJECT:
            found = PROJECT[target]
        elif target.startswith("docs/") and (ROOT / target).is_file():
            found = target.removeprefix("docs/")
        else:
            return match["text"]
        return f"[{match['text']}]({posixpath.relpath(found, posixpath.dirname(uri) or '.')}{match['anchor'] or ''})"

    return _LINK.sub(link, text)

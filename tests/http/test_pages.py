"""The operator's pages: whole, closed against everything else, and true to the API that they call."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from batchbus_service.domain.job import TERMINAL, Status
from tests.http.conftest import Person, Site
from tests.http.medusa_js.conftest import node  # noqa: F401 - the fixture
from tests.http.medusa_js.nodejs import NodeProject
from tests.http.wire import connected
from tests.patience import PATIENCE

FOLDER: Final = Path(str(files("batchbus_service.http.pages").joinpath("static")))
FILES: Final = {path.name: path.read_text() for path in FOLDER.iterdir()}
SCRIPTS: Final = {name: text for name, text in FILES.items() if name.endswith(".js")}
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
IN_NODE: Final = Path(__file__).parent / "pages.mjs"
IMPORT: Final = re.compile(r'^import (?:\{([^}]*)\} from )?"(?:\./([\w.-]+))";$', re.MULTILINE)


class Markup(HTMLParser):
    """What a page refers to, and what in it would need a looser policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("href", "src") if (value := given.get(name))]
        self.inline += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(f"<{tag}>")


def referred(name: str) -> list[str]:
    """The other files that one names."""
    if name == "index.html":
        addresses = Markup(FILES[name]).addresses
        return [address.removeprefix("pages/") for address in addresses if not address.startswith("#")]
    return [other for _, other in IMPORT.findall(FILES[name])] if name in SCRIPTS else []


def statuses(script: str, constant: str) -> list[str]:
    found = re.search(rf"const {constant} = (\[.*\]);", FILES[script])
    assert found is not None
    listed: list[str] = json.loads(found[1])
    return listed


def test_the_pages_know_the_statuses_that_there_are() -> None:
    assert statuses("jobs.js", "STATUSES") == list(Status)
    assert set(statuses("format.js", "ENDED")) == TERMINAL


async def test_whoever_comes_gets_the_page_under_a_strict_policy(site: Site) -> None:
    answer = await (await site.client()).get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPES[".html"])
    assert answer.text == FILES["index.html"]
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers


async def test_every_file_that_the_page_needs_is_served_and_there_is_no_other(site: Site) -> None:
    stranger = await site.client()
    reached, waiting = {"index.html"}, ["index.html"]
    while waiting:
        for name in referred(waiting.pop()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
                answer = await stranger.get(f"/pages/{name}")
                assert (answer.status_code, answer.text) == (200, FILES[name]), name
                assert answer.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert reached == set(FILES)


async def test_a_file_that_is_known_is_not_sent_again(site: Site) -> None:
    stranger = await site.client()
    for path in ("/", "/pages/app.js"):
        first = await stranger.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await stranger.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert "content-type" not in again.headers
        older = await stranger.get(path, headers={"if-none-match": '"another version"'})
        assert (older.status_code, older.content) == (200, first.content)
        head = await stranger.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(first.content)))
        assert head.headers["etag"] == first.headers["etag"]


async def test_nothing_else_is_served_from_the_pages_folder_or_around_it(site: Site) -> None:
    for path in (
        "/pages",
        "/pages/",
        "/pages/.",
        "/pages/routes.py",
        "/pages/../routes.py",
        "/pages/..%2Froutes.py",
        "/pages/%2e%2e/routes.py",
        "/pages/..%5Croutes.py",
        "/pages/%2Fetc%2Fpasswd",
        "/pages/app.js%00",
        "/pages/app.js/x",
        "/pages/App.js",
        "/pages//index.html/..",
        "/index.html",
    ):
        async with connected(site) as wire:  # a client would tidy the path up
            await wire.send(f"GET {path} HTTP/1.1", "host: x", "connection: close")
            answer = await wire.answer()
        assert answer.startswith("HTTP/1.1 404 ") and '"type":"not_found"' in answer, path
    stranger = await site.client()
    for path in ("/", "/pages/app.js"):
        assert (await stranger.post(path)).status_code == 404


async def test_the_pages_call_only_routes_that_there_are(site: Site, ann: Person) -> None:
    document = (await ann.http.get("/openapi.json")).json()
    assert "/" not in document["paths"]  # it is no part of the API
    routes = {re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]}
    called = {
        "/" + re.sub(r"\$\{[^}]*\}", "{}", literal)
        for text in SCRIPTS.values()
        for literal in re.findall(r'["`](admin/[^"`?]*)', text)
    }
    assert len(called) > 10
    assert called <= routes


def test_a_page_is_text_and_never_markup_made_of_data() -> None:
    dangerous = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|DOMParser|\beval\(|new Function|javascript:"
    )
    for name, text in FILES.items():
        assert not re.search(dangerous, text), name
    assert Markup(FILES["index.html"]).inline == []


def test_the_pages_need_nothing_from_anywhere_else() -> None:
    for name, text in FILES.items():
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name
        assert "@import" not in text and "url(" not in text, name


def test_words_are_broken_in_no_table_but_on_a_phone() -> None:
    desktop = FILES["style.css"].partition("@media (max-width")[0]
    assert not re.search(r"\btd\b[^{]*\{[^}]*(overflow-wrap: anywhere|word-break)", desktop)


def test_what_a_script_imports_is_exported_where_it_says() -> None:
    for name, text in SCRIPTS.items():
        assert len(IMPORT.findall(text)) == len(re.findall("^import ", text, re.MULTILINE)), name
        for names, other in IMPORT.findall(text):
            exported = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", SCRIPTS[other], re.MULTILINE)
            asked = {asked.strip() for asked in names.split(",") if asked.strip()}
            assert asked <= set(exported), f"{name} from {other}"
            for word in asked:
                assert len(re.findall(rf"\b{word}\b", text)) > 1, f"{name} has no use for {word}"


@pytest.mark.timeout(600)  # the first run on a machine installs Node.js
def test_the_scripts_are_sound_and_reckon_right(node: NodeProject, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    pages = shutil.copytree(FOLDER, tmp_path / "pages")
    (pages / "package.json").write_text('{"type": "module"}')
    for name in SCRIPTS:
        _run(node, "--check", str(pages / name))
    _run(node, "--test", "--test-reporter=spec", str(IN_NODE), PAGES=str(pages))


def _run(project: NodeProject, *arguments: str, **told: str) -> None:
    done = subprocess.run(
        [project.node, *arguments],
        env=project.environment | told,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr

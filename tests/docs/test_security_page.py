"""The page about security names tests that there are."""

from __future__ import annotations

import re
from typing import Final

from tests.docs.pages import ROOT

_PAGE: Final = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:tests|deploy)/[\w/.]+)`", _PAGE)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).is_file()] == []

"""What is taken for an email address: what Medusa takes for one, and hosts without a dot."""

from __future__ import annotations

import pytest

from batchbus_service.access.emails import is_email


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "a+b@example.com",
        '"a b"@example.com',
        "ünal@bücher.example",
        "a@xn--bcher-kva.xn--p1ai",
        "admin@localhost",
        "a" * 64 + "@example.com",
    ],
)
def test_these_are_addresses(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "a@b@example.com",
        " ann@example.com",
        "ann@example.com\n",
        "Ann <ann@example.com>",
        "a..b@example.com",
        ".a@example.com",
        "a@-b.com",
        "a@b_c.com",
        "a@b.c",
        "a@b.12",
        "a@[127.0.0.1]",
        "a\0@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "b.c" * 90 + ".com",
    ],
)
def test_these_are_none(text: str) -> None:
    assert not is_email(text)

"""What an email address may look like: what Medusa takes for one, and names of hosts without a dot."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_email"]

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u00a1-\ud7ff\uf900-\uffef]+"
_QUOTED: Final = r'"[^"\\\x00-\x1f\x7f]+"'
_LABEL: Final = r"(?!-)[A-Za-z0-9\u00a1-\ud7ff\uf900-\uffef-]{1,63}(?<!-)"
_TOP: Final = r"(xn[A-Za-z0-9-]{2,61}|[A-Za-z\u00a1-\ud7ff\uf900-\uffef]{2,63})"
_EMAIL: Final = re.compile(rf"(?P<local>{_ATOM}(\.{_ATOM})*|{_QUOTED})@(?P<domain>({_LABEL}\.)*{_TOP})")
_MAX_LOCAL: Final = 64
_MAX_DOMAIN: Final = 254
"""Bytes."""


def is_email(text: str) -> bool:
    match = _EMAIL.fullmatch(text)
    return (
        match is not None
        and len(match["local"].encode()) <= _MAX_LOCAL
        and len(match["domain"].encode()) <= _MAX_DOMAIN
    )

"""Secrets that the service makes up, and the times that go with them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

from batchbus_service.domain.instants import to_ms

__all__ = ["digest", "new_secret", "now"]


def new_secret() -> str:
    """256 bits of chance, in letters that fit into a URL and a cookie."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret. Slow hashing is for secrets that people choose: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def now() -> datetime:
    """UTC, in the milliseconds that MongoDB keeps."""
    return to_ms(datetime.now(UTC))

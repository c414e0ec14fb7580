"""What the service signs: access tokens (JWT) and download links. Both end by themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt

from batchbus_service.domain.errors import BadSettings
from batchbus_service.domain.secret_values import check_secret
from batchbus_service.domain.settings import Settings
from batchbus_service.storage.private import keep_private, private_folder

__all__ = ["ACCESS_SECONDS", "LINK_SECONDS", "Bearer", "Keys", "derived_key"]

ACCESS_SECONDS: Final = 24 * 3600
LINK_SECONDS: Final = 3600

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "batchbus"


@dataclass(frozen=True, slots=True)
class Bearer:
    """The user for whom an access token stands, and the generation of their password at the time."""

    user_id: str
    generation: int
    session: str
    """The key of the session that the token is: once that has ended, so has the token."""


class Keys:
    """Signs with keys derived from one secret, the same in every process of an installation.

    What an earlier secret has signed is good until it ends, so that a secret can be replaced.
    """

    def __init__(self, secret: str, earlier: str | None = None) -> None:
        secrets_ = [secret] if earlier is None else [secret, earlier]
        self._access = [derived_key(each, "access tokens") for each in secrets_]
        self._kept = [derived_key(each, "what browsers keep") for each in secrets_]
        self._links = [derived_key(each, "download links") for each in secrets_]

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """From `BATCHBUS_JWT_SECRET`; on the embedded default, from a secret in the data directory.

        Raises `BadSettings` if there is none.
        """
        if settings.jwt_secret is not None:
            return cls(*settings.jwt_secrets)
        if not settings.embedded:
            raise BadSettings(
                "BATCHBUS_JWT_SECRET is not set: it takes a secret of at least 16 characters, the same in every process "
                "that serves HTTP"
            )
        return cls(_kept_secret(settings.data_dir / "jwt.secret"))

    def access_token(self, bearer: Bearer) -> str:
        """A JWT that lets its bearer act as the user for `ACCESS_SECONDS`."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": bearer.user_id, "gen": bearer.generation, "jti": bearer.session, "iat": now}
        return jwt.encode({**claims, "exp": now + ACCESS_SECONDS}, self._access[0], algorithm=_ALGORITHM)

    def bearer_of(self, token: str) -> Bearer | None:
        """To whom a JWT was given; None if it is not ours, or not valid any more."""
        for key in self._access:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[_ALGORITHM],
                    issuer=_ISSUER,
                    options={"require": ["iss", "sub", "gen", "jti", "iat", "exp"]},
                )
            except jwt.InvalidTokenError:
                continue
            return Bearer(claims["sub"], claims["gen"], claims["jti"])
        return None

    def sealed(self, texts: Mapping[str, str], seconds: int) -> str:
        """Texts that someone else keeps, and cannot change, for so many seconds. They can be read there."""
        claims = {"iss": _ISSUER, "kept": dict(texts), "exp": int(time.time()) + seconds}
        return jwt.encode(claims, self._kept[0], algorithm=_ALGORITHM)

    def unsealed(self, sealed: str) -> dict[str, str] | None:
        """The texts; None if they are not ours, or too old."""
        for key in self._kept:
            try:
                claims = jwt.decode(
                    sealed, key, algorithms=[_ALGORITHM], issuer=_ISSUER, options={"require": ["iss", "exp", "kept"]}
                )
            except jwt.InvalidTokenError:
                continue
            kept: dict[str, str] = claims["kept"]
            return kept
        return None

    def link(self, file_key: str) -> dict[str, str]:
        """The query parameters that let anyone fetch the file for `LINK_SECONDS`."""
        expires = int(time.time()) + LINK_SECONDS
        return {"expires": str(expires), "signature": _signature(self._links[0], file_key, expires)}

    def opens(self, file_key: str, expires: str, signature: str) -> bool:
        """Whether a link's parameters let one fetch the file now."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        expected = [_signature(key, file_key, int(expires)) for key in self._links]
        matching = [hmac.compare_digest(each.encode(), signature.encode()) for each in expected]
        return any(matching) and int(expires) > time.time()


def _signature(key: bytes, file_key: str, expires: int) -> str:
    digest = hmac.digest(key, f"{expires}\n{file_key}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def derived_key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"batchbus {purpose}".encode(), hashlib.sha256)


def _kept_secret(path: Path) -> str:
    """Made once, readable by its owner alone. Raises `BadSettings` for one that is empty, short, or open to others."""
    if not path.exists():
        private_folder(path.parent)
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        unfinished.replace(path)
    keep_private(path)
    secret = path.read_text().strip()
    try:
        check_secret(secret)
    except ValueError as error:
        raise BadSettings(f"{path}: {error}. Delete it, and a new one is made") from None
    return secret

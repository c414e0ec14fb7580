"""A small provider of OpenID Connect on a loopback port, which signs everyone in with the claims that a test gives it."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.http.tiny_server import Request, Response, serving

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "OidcProvider"]

CLIENT_ID = "batchbus"
CLIENT_SECRET = "a secret of the client's own"


@dataclass
class OidcProvider:
    """What the next sign-in says, and how the provider behaves."""

    url: str = ""
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "subject-1", "email": "Ann@Example.com", "email_verified": True}
    )
    changed: dict[str, Any] = field(default_factory=dict)
    """Claims that a token has instead of the right ones; None for none."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What its metadata says instead."""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    key_id: str = "key-1"
    signs: Any = None
    """What makes a token of claims, if it is not done with the key."""
    user_info: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[OidcProvider]:
        provider = cls()
        async with serving(provider.answer) as provider.url:
            yield provider

    def code_for(self, address: str) -> dict[str, str]:
        """A person signs in at the address that the browser was sent to. Returns what the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        match request.path:
            case "/.well-known/openid-configuration":
                return Response(200, self._metadata())
            case "/keys":
                public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
                return Response(200, {"keys": [{**public, "kid": self.key_id, "alg": "RS256", "use": "sig"}]})
            case "/token":
                return self._token(request)
            case "/userinfo" if request.headers.get("authorization") == "Bearer access":
                return Response(200, self.user_info or {})
            case _:
                return Response(404, {})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            **self.metadata,
        }

    def _token(self, request: Request) -> Response:
        """Each code is good once, for who can show the verifier, from the client that it was made for (RFC 7636, 4.6)."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        asked = self._codes.pop(form.get("code", ""), None)
        basic = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        client = (
            [unquote(part) for part in basic.split(":")]
            if basic
            else [form.get("client_id"), form.get("client_secret")]
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or client != [CLIENT_ID, CLIENT_SECRET]
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge.rstrip(b"=").decode() != asked["code_challenge"]
        ):
            return Response(400, {"error": "invalid_grant"})
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {key: value for key, value in {**claims, **self.claims, **self.changed}.items() if value is not None}
        return Response(200, {"access_token": "access", "token_type": "Bearer", "id_token": self._signed(claims)})

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.signs is not None:
            signed: str = self.signs(claims)
            return signed
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})

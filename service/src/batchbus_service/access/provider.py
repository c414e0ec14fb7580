"""A provider of OpenID Connect: the authorization code flow with PKCE, and what its tokens say (OpenID Connect Core 1.0)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import quote, urlencode

import httpx
import jwt

from batchbus_service.domain.errors import ProviderUnavailable, SignInRefused, TryLater

__all__ = ["Claims", "Pending", "Provider"]

Claims = Mapping[str, object]

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a key pair. A token that is signed with the client's secret, or by nobody, is refused."""
_TIMEOUT: Final = 10.0
_KEPT_SECONDS: Final = 3600.0
_ANEW_SECONDS: Final = 60.0
"""So often the keys are fetched anew for a token whose key is not among them."""
_LEEWAY: Final = 60
"""Seconds by which the provider's clock may differ."""
_AT_ONCE: Final = 8
"""Sign-ins that may be waiting for the provider."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that has begun. The browser that began it keeps these until it comes back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Pending:
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """Of RFC 7636, by `S256`."""
        hashed = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


class Provider:
    """One per process. Methods that ask the provider raise `ProviderUnavailable`, and `TryLater` if too many wait for it."""

    def __init__(
        self, issuer: str, client_id: str, client_secret: str | None = None, *, scopes: str = "openid email profile"
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._http: httpx.AsyncClient | None = None
        self._metadata: tuple[float, Claims] | None = None
        self._keys: tuple[float, jwt.PyJWKSet] | None = None
        self._fetching = asyncio.Lock()
        self._waiting = 0

    async def close(self) -> None:
        """End connections to the provider."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def address_for(self, pending: Pending, redirect_uri: str) -> str:
        """Where a browser signs in."""
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = await self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def claims(self, code: str, pending: Pending, redirect_uri: str) -> Claims:
        """What the provider says of who has signed in, given the code that the browser has brought.

        Raises: `SignInRefused` if the code, or the token that it stands for, is not good.
        """
        if self._waiting >= _AT_ONCE:
            raise TryLater("Too many sign-ins at the same moment", 1)
        self._waiting += 1
        try:
            answer = await self._exchanged(code, pending, redirect_uri)
            claims = await self._verified(str(answer.get("id_token", "")), pending)
            if "email" in claims or "access_token" not in answer:
                return claims
            return {**await self._user_info(str(answer["access_token"]), claims), **claims}
        finally:
            self._waiting -= 1

    async def _exchanged(self, code: str, pending: Pending, redirect_uri: str) -> Claims:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
        }
        auth: httpx.BasicAuth | None = None
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in cast(list[str], await self._field("token_endpoint_auth_methods_supported", [])):
            auth = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._client_secret, safe=""))
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        response = await self._asked("POST", await self._endpoint("token_endpoint"), data=form, auth=auth)
        if response.status_code in (400, 401, 403):
            raise SignInRefused("The provider did not accept the sign-in: begin again")
        return _object(response)

    async def _verified(self, token: str, pending: Pending) -> Claims:
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid"))
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                audience=self._client_id,
                issuer=self.issuer,
                leeway=_LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            )
        except jwt.PyJWTError:
            raise SignInRefused("The provider's token is not valid: begin again") from None
        party = claims.get("azp", self._client_id)
        if party != self._client_id or not secrets.compare_digest(
            str(claims["nonce"]).encode(), pending.nonce.encode()
        ):
            raise SignInRefused("The provider's token is not for this sign-in: begin again")
        return claims

    async def _user_info(self, access_token: str, claims: Claims) -> Claims:
        """Of providers whose tokens have no more than the subject."""
        endpoint = await self._field("userinfo_endpoint", None)
        if not isinstance(endpoint, str):
            return {}
        response = await self._asked("GET", endpoint, headers={"authorization": f"Bearer {access_token}"})
        info = _object(response)
        return info if info.get("sub") == claims["sub"] else {}  # it may be somebody else's: Core, 5.3.2

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        """Raises: `jwt.PyJWTError` if there is none."""
        for anew in (False, True):
            keys = (await self._key_set(anew=anew)).keys
            found = [key for key in keys if key_id is None or key.key_id == key_id]
            if len(found) == 1:
                return found[0]
        raise jwt.InvalidKeyError

    async def _key_set(self, *, anew: bool) -> jwt.PyJWKSet:
        async with self._fetching:
            age = _ANEW_SECONDS if anew else _KEPT_SECONDS
            if self._keys is None or time.monotonic() - self._keys[0] > age:
                response = await self._asked("GET", await self._endpoint("jwks_uri"))
                self._keys = (time.monotonic(), jwt.PyJWKSet.from_dict(dict(_object(response))))
            return self._keys[1]

    async def _endpoint(self, name: str) -> str:
        endpoint = await self._field(name, None)
        if not isinstance(endpoint, str):
            raise ProviderUnavailable(f"its metadata has no {name}")
        return endpoint

    async def _field(self, name: str, otherwise: object) -> object:
        if self._metadata is None or time.monotonic() - self._metadata[0] > _KEPT_SECONDS:
            response = await self._asked("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            metadata = _object(response)
            if metadata.get("issuer") != self.issuer:
                raise ProviderUnavailable("its metadata names another issuer than BATCHBUS_OIDC_ISSUER")
            self._metadata = (time.monotonic(), metadata)
        return self._metadata[1].get(name, otherwise)

    async def _asked(
        self,
        method: str,
        url: str,
        *,
        data: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        auth: httpx.BasicAuth | None = None,
    ) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)
        try:
            return await self._http.request(method, url, data=data, headers=headers, auth=auth)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"it cannot be asked ({type(error).__name__})") from None


def _object(response: httpx.Response) -> Claims:
    """The JSON object of an answer. Raises `ProviderUnavailable` for any other."""
    try:
        content = response.json() if response.status_code == 200 else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProviderUnavailable(f"it answered with status {response.status_code}, and not as it should")
    return content

"""Every setting, from environment variables with the prefix `BATCHBUS_`."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from batchbus_service.domain.bus_rules import Unvouched
from batchbus_service.domain.errors import BadSettings
from batchbus_service.domain.roles import Role
from batchbus_service.domain.secret_values import check_secret, from_files
from batchbus_service.domain.variables import misspelt_variables

__all__ = ["SECRETS", "Settings"]

_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


def _scheme(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        if not url.startswith(schemes):
            raise ValueError(f"takes an address that begins with {' or '.join(schemes)}")
        return url

    return AfterValidator(check)


def _list(value: object) -> object:
    return _parts(value) if isinstance(value, str) else value


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError(
            "takes origins as a browser names them, such as https://admin.example.com, separated by commas"
        )
    return text


_CONFIRMED_WITHIN: Final = 8
"""Days after which no plan is waited for any more."""


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("takes IP addresses or networks such as 10.0.0.0/8, separated by commas") from None


def _days_of_files(days: int) -> int:
    if 0 < days < _CONFIRMED_WITHIN:
        raise ValueError(
            f"takes {_CONFIRMED_WITHIN} days and more, since a dry run waits for a week to be confirmed; or 0, for ever"
        )
    return days


def _jwt_secrets(text: str) -> str:
    parts = text.split(",")
    if len(parts) > 2:
        raise ValueError("takes a secret, or two separated by a comma: the one that signs, and the one before it")
    for part in parts:
        check_secret(part.strip())
    return text


SECRETS: Final = ("amqp_url", "mongodb_url", "catalog_url", "jwt_secret", "oidc_client_secret")
"""Settings that hold a secret. Each may be in a file instead, which `BATCHBUS_..._FILE` names."""


_OF_CLIENTS: Final = ("url", "token", "token_file")
"""What the client commands read: where the service is, and who they are."""


def _issuer(url: str) -> str:
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ValueError("takes the address of a provider, which begins with https://, or with http:// on this machine")
    return url


def _scopes(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError("takes scopes with blanks between them, of which openid is one")
    return text


def _roles_by_value(value: object) -> object:
    """`admins=admin, *=member` as roles by the values of a claim."""
    if not isinstance(value, str):
        return value
    pairs = [part.rpartition("=") for part in _parts(value)]
    if not all(claim.strip() and role.strip() in tuple(Role) for claim, _, role in pairs):
        raise ValueError(f"takes values with roles, such as admins=admin, *=member; roles are {', '.join(Role)}")
    return {claim.strip(): Role(role.strip()) for claim, _, role in pairs}


def _files_by_name(value: object) -> object:
    """`shop=feeds/*, billing=invoices/*` as patterns of keys by the names of services."""
    if not isinstance(value, str):
        return value
    files: dict[str, list[str]] = {}
    for part in _parts(value):
        name, equals, pattern = (each.strip() for each in part.partition("="))
        if not (name and equals and pattern):
            raise ValueError(
                "takes names of services with the keys of files, such as shop=feeds/*, separated by commas"
            )
        files.setdefault(name, []).append(pattern)
    return files


class Settings(BaseSettings):
    """See the table in docs/settings.md. Fields are the variables' names without the prefix."""

    model_config = SettingsConfigDict(env_prefix="BATCHBUS_", frozen=True, extra="ignore")

    amqp_url: Annotated[str, _scheme("memory://", "amqp://", "amqps://")] = "memory://"
    mongodb_url: Annotated[str, _scheme("embedded://", "mongodb://", "mongodb+srv://")] = "embedded://"
    mongodb_database: Annotated[str, Field(min_length=1, max_length=38)] = "batchbus"
    catalog_database: Annotated[str, Field(min_length=1, max_length=38)] = "catalog"
    catalog_url: Annotated[str, _scheme("mongodb://", "mongodb+srv://")] | None = None
    files_url: Annotated[str, _scheme("file://", "s3://", "gs://", "az://", "memory://")] | None = None
    data_dir: Path = Path(".batchbus")
    strategies_dir: Path | None = None
    worker_slots: Annotated[int, Field(ge=1, le=1000)] = 4
    worker_preview_slots: Annotated[int, Field(ge=1, le=1000)] = 2
    worker_processes: Annotated[int, Field(ge=1, le=1000)] | None = None
    worker_types: Annotated[list[str] | None, NoDecode, BeforeValidator(_list)] = None
    isolation: Literal["marked", "all"] = "marked"
    isolated_memory_mib: Annotated[int, Field(ge=128, le=1024 * 1024)] = 1024
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 30
    early_trigger_seconds: Annotated[float, Field(ge=1, le=86400)] = 600
    require_plan_digest: bool = False
    unvouched: Unvouched = "own"
    bus_operators: Annotated[list[str], NoDecode, BeforeValidator(_list)] = []
    bus_files: Annotated[dict[str, list[str]], NoDecode, BeforeValidator(_files_by_name)] = {}
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    progress_interval_seconds: Annotated[float, Field(ge=0.01, le=3600)] = 0.25
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    trusted_proxies: Annotated[list[Annotated[str, AfterValidator(_network)]], NoDecode, BeforeValidator(_list)] = [
        "127.0.0.0/8",
        "::1/128",
    ]
    cors_origins: Annotated[list[Annotated[str, AfterValidator(_origin)]], NoDecode, BeforeValidator(_list)] = []
    jwt_secret: Annotated[str, AfterValidator(_jwt_secrets)] | None = None
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] | None = None
    oidc_client_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    oidc_client_secret: Annotated[str, AfterValidator(check_secret)] | None = None
    oidc_name: Annotated[str, Field(min_length=1, max_length=60)] = "single sign-on"
    oidc_scopes: Annotated[str, AfterValidator(_scopes)] = "openid email profile"
    oidc_role_claim: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    oidc_roles: Annotated[dict[str, Role], NoDecode, BeforeValidator(_roles_by_value)] = {}
    job_files_days: Annotated[int, Field(ge=0, le=36500), AfterValidator(_days_of_files)] = 30
    max_upload_bytes: Annotated[int, Field(ge=1)] = 1024**3
    max_user_upload_bytes: Annotated[int, Field(ge=1)] = 20 * 1024**3
    max_unfinished_jobs: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    log_format: Literal["console", "json"] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _whole_provider(self) -> Settings:
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("BATCHBUS_OIDC_ISSUER and BATCHBUS_OIDC_CLIENT_ID are set together, or not at all")
        if self.oidc_role_claim is None and any(value != "*" for value in self.oidc_roles):
            raise ValueError("BATCHBUS_OIDC_ROLES takes BATCHBUS_OIDC_ROLE_CLAIM, the claim whose values it is about")
        return self

    @property
    def jwt_secrets(self) -> list[str]:
        """The secret that signs, and the earlier one, if there is one that is good until what it has signed ends."""
        return [each.strip() for each in self.jwt_secret.split(",")] if self.jwt_secret else []

    @property
    def embedded(self) -> bool:
        """Whether the database is within the process."""
        return self.mongodb_url.startswith("embedded://")

    @property
    def embedded_broker(self) -> bool:
        """Whether the broker is within the process."""
        return self.amqp_url.startswith("memory://")

    @property
    def embedded_parts(self) -> dict[str, str]:
        """What is within the process, each with the variable that would name a server for it."""
        parts = {}
        if self.embedded_broker:
            parts["the broker"] = "BATCHBUS_AMQP_URL"
        if self.embedded:
            parts["the database"] = "BATCHBUS_MONGODB_URL"
        return parts

    @property
    def strategies_folder(self) -> Path | None:
        if self.strategies_dir is not None:
            return self.strategies_dir
        default = Path("strategies.d")
        return default if default.is_dir() else None

    @classmethod
    def variables(cls) -> list[str]:
        """Every environment variable that batchbus reads, those of its client commands included."""
        names = [*cls.model_fields, *(f"{name}_file" for name in SECRETS), *_OF_CLIENTS]
        return [f"BATCHBUS_{name.upper()}" for name in names]

    @classmethod
    def load(cls) -> Settings:
        """From the environment. Raises: `BadSettings`, naming every variable at fault, and every misspelt one."""
        if misspelt := misspelt_variables(os.environ, cls.variables()):
            raise BadSettings(
                "\n".join(f"{name} is no setting; {near} is. Correct its name" for name, near in misspelt.items())
            )
        given: dict[str, Any] = {**from_files(os.environ, SECRETS)}  # each goes through the validators of its field
        try:
            return cls(**given)
        except ValidationError as error:
            raise BadSettings(_as_text(error)) from None


def _as_text(error: ValidationError) -> str:
    lines: list[str] = []
    for each in error.errors():
        name = f"BATCHBUS_{each['loc'][0]}".upper() if each["loc"] else "BATCHBUS_*"
        shown = "" if name.endswith(("_SECRET", "_URL")) else f"={os.environ.get(name, '')!r}"
        lines.append(f"{name}{shown}: {each['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)

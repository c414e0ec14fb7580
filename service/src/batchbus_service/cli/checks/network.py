"""The ports that are to be served on, and the service that may run already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchbus_service.cli.checks.check import TIMEOUT, Check
from batchbus_service.cli.refusals import Refusal

if TYPE_CHECKING:
    import httpx

    from batchbus_service.domain.settings import Settings

__all__ = ["ports", "service"]


async def ports(settings: Settings) -> Check:
    """Whether the ports are free, or a batchbus has them already."""
    wanted = [("BATCHBUS_HTTP_PORT", settings.http_port)]
    if settings.metrics_port is not None:
        wanted.append(("BATCHBUS_METRICS_PORT", settings.metrics_port))
    said: list[str] = []
    for setting, port in wanted:
        found = await _port(settings.http_host, port, setting)
        if not found.fine:
            return found
        said.append(found.message)
    return Check("port", True, "; ".join(said))


async def _port(host: str, port: int, setting: str) -> Check:
    from batchbus_service.domain.errors import CannotListen
    from batchbus_service.http.server.listen import listen

    if port == 0:
        return Check("port", True, f"any free one, by {setting}")
    try:
        listen(host, port, setting=setting).close()
    except CannotListen as error:
        if await _is_batchbus(host, port):
            return Check("port", True, f"{port} is that of a batchbus that runs")
        return Check(
            "port",
            False,
            str(error),
            f"`ss -ltnp 'sport = :{port}'` says which process has it. End that one, or set {setting} to another port.",
        )
    return Check("port", True, f"{port} is free")


async def _is_batchbus(host: str, port: int) -> bool:
    """Whether what listens there answers as batchbus does."""
    import httpx

    from batchbus_service.http.server.listen import reachable

    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as http:
            answer = await http.get(f"http://{reachable(host)}:{port}/health/live")
            return bool(answer.json() == {"status": "live"})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


async def service() -> Check:
    """Whether the service that the commands of this folder talk to is well."""
    import httpx

    from batchbus_service.cli.credentials import find_credentials

    try:
        credentials = find_credentials()
    except Refusal:
        return Check("service", True, "none runs here, as far as is known; `batchbus up` starts one")
    headers = {"x-medusa-access-token": credentials.token}
    try:
        async with httpx.AsyncClient(base_url=credentials.url, timeout=TIMEOUT, trust_env=False) as http:
            ready = await http.get("/health/ready")
            known = await http.get("/admin/auth", headers=headers)
    except httpx.HTTPError as error:
        if credentials.origin == "BATCHBUS_TOKEN":
            return Check(
                "service",
                False,
                f"{credentials.url} does not answer: {type(error).__name__}",
                "Start the service, or correct BATCHBUS_URL.",
            )
        return Check("service", True, f"not running now; it was at {credentials.url}")
    if known.status_code == 401:
        hint = "Set BATCHBUS_TOKEN to a token that it gave out and that was not revoked."
        return Check("service", False, f"{credentials.url} does not accept {credentials.origin}", hint)
    return _readiness(ready, credentials.url)


def _readiness(ready: httpx.Response, url: str) -> Check:
    checks = ready.json().get("checks", {}) if ready.status_code in (200, 503) else {}
    failures = [f"{name}: {state}" for name, state in checks.items() if state != "ok"]
    if ready.status_code != 200 or failures:
        return Check(
            "service", False, f"{url} is not well: {'; '.join(failures) or ready.status_code}", "Its log says more."
        )
    return Check("service", True, f"ready at {url}")

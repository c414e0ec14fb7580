"""The container and compose file keep to what the page about security says of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

_yaml: Final = importlib.import_module("yaml")  # which mkdocs brings, and which has no types
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"


def _services() -> dict[str, Any]:
    services: dict[str, Any] = _yaml.safe_load((_DEPLOY / "compose.yaml").read_text())["services"]
    return services


def test_no_container_has_more_than_it_needs() -> None:
    for name, service in _services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["pids_limit"] and service["mem_limit"], name
    for name in ("serve", "worker"):
        service = _services()[name]
        assert service["read_only"] is True and int(service["user"].split(":")[0]) > 0, name
        assert "cap_add" not in service, name


def test_everything_is_watched() -> None:
    assert all("healthcheck" in service for name, service in _services().items() if name not in ("serve", "worker"))
    container = (_DEPLOY / "Containerfile").read_text()
    assert "HEALTHCHECK" in container and "/health/live" in container


def test_the_image_runs_as_a_number_and_its_libraries_have_hashes() -> None:
    lines = (_DEPLOY / "Containerfile").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("USER ")] == ["10001"]
    assert any("--require-hashes" in line for line in lines)


def test_batchbus_is_not_the_root_of_the_database() -> None:
    services = _services()
    assert services["mongodb"]["environment"]["MONGO_INITDB_ROOT_USERNAME"] == "root"
    assert "//batchbus:" in services["serve"]["environment"]["BATCHBUS_MONGODB_URL"]
    users = (_DEPLOY / "mongodb" / "users.js").read_text()
    assert "readWrite" in users and "Admin" not in users


def test_ports_are_open_to_this_machine_alone() -> None:
    for service in _services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_image_can_be_pinned_by_its_digest() -> None:
    foreign = {service["image"] for service in _services().values()} - {"batchbus"}
    assert foreign == {"${RABBITMQ_IMAGE:-rabbitmq:4-management}", "${MONGODB_IMAGE:-mongo:8}"}
    lines = (_DEPLOY / "Containerfile").read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${PYTHON_IMAGE}"}
    assert _services()["serve"]["build"]["args"] == {"PYTHON_IMAGE": "${PYTHON_IMAGE:-python:3.13-slim}"}

"""What is published: three distributions of one version, the smallest of which needs pydantic alone."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from batchbus_service import __version__
from batchbus_service.domain.settings import Settings

ROOT = Path(__file__).parents[1]
MEMBERS = {"events": "batchbus_events", "strategies": "batchbus_strategies", "service": "batchbus_service"}

IMPORT_EVERYTHING = """
import importlib, importlib.util, pkgutil
import batchbus_events

assert importlib.util.find_spec("aio_pika") is None
for module in pkgutil.iter_modules(batchbus_events.__path__, "batchbus_events."):
    if not module.name.startswith("batchbus_events.rabbitmq"):
        importlib.import_module(module.name)
"""


def project(member: str) -> dict[str, Any]:
    described: dict[str, Any] = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
    return described


def build(member: str, folder: Path) -> Path:
    """A wheel, by the build backend that the lock pins."""
    code = "import sys, uv_build; uv_build.build_wheel(sys.argv[1])"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT / member,
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_events_install_and_import_beside_pydantic_alone(tmp_path: Path) -> None:
    wheel = build("events", tmp_path)
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)

    listed = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    pydantic_and_its_own = {"annotated-types", "pydantic", "pydantic-core", "typing-extensions", "typing-inspection"}
    installed = {re.split(r"[=@ ]", line)[0].lower().replace("_", "-") for line in listed.split("\n") if line}
    assert installed - pydantic_and_its_own == {"batchbus-events"}

    # -I: away from this repository, and from PYTHONPATH
    subprocess.run([python, "-I", "-W", "error", "-c", IMPORT_EVERYTHING], cwd=tmp_path, check=True)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_wheel_holds_one_typed_package(member: str, tmp_path: Path) -> None:
    names = zipfile.ZipFile(build(member, tmp_path)).namelist()
    assert f"{MEMBERS[member]}/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {MEMBERS[member]}


def test_the_services_wheel_holds_the_operators_pages(tmp_path: Path) -> None:
    names = set(zipfile.ZipFile(build("service", tmp_path)).namelist())
    pages = ROOT / "service" / "src" / "batchbus_service" / "http" / "pages" / "static"
    assert {f"batchbus_service/http/pages/static/{page.name}" for page in pages.iterdir()} <= names


def test_all_three_have_one_version_and_require_it_of_each_other() -> None:
    versions = {project(member)["version"] for member in MEMBERS}
    assert len(versions) == 1
    own = [line for member in MEMBERS for line in project(member)["dependencies"] if line.startswith("batchbus")]
    assert {line.partition("==")[2] for line in own} == versions
    assert {__version__} == versions
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] in versions, "the newest version is not at the top of CHANGELOG.md"


@pytest.mark.parametrize("lock", ["requirements.txt", "deploy/requirements.txt"])
def test_a_lock_names_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^[a-z][\w.-]*==", text, re.M)
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.M))
    assert len(re.findall(r"^    --hash=sha256:\w{64}", text, re.M)) >= len(pins)
    assert "://" not in text


def test_the_image_and_compose_use_settings_that_exist() -> None:
    deployed = "".join(
        (ROOT / "deploy" / name).read_text() for name in ("Containerfile", "compose.yaml", "compose.tls.yaml")
    )
    used = {name.lower() for name in re.findall(r"\bBATCHBUS_(\w+)(?=[:=])", deployed)}
    assert used
    assert used <= set(Settings.model_fields)

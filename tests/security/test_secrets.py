"""Secrets, wherever they come from: empty, short, monotonous, or open to others, they are not used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchbus_service.cli.credentials import client_file, find_credentials, write_client_file
from batchbus_service.cli.refusals import Refusal
from batchbus_service.domain.errors import BadSettings
from batchbus_service.domain.settings import SECRETS, Settings
from batchbus_service.http.medusa.keys import Bearer, Keys
from batchbus_service.storage.private import private_folder

GOOD = {
    "amqp_url": "amqp://user:password@host/",
    "mongodb_url": "mongodb://user:password@host/",
    "catalog_url": "mongodb://user:password@host/",
    "jwt_secret": "a secret that only this test knows",
    "oidc_client_secret": "a secret that the provider knows too",
}
BAD = ["", "   \n", "short", "a" * 64, "abababababababababab"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BATCHBUS_")]:
        monkeypatch.delenv(name)


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_every_setting_that_holds_a_secret_is_known() -> None:
    """An address of a broker or a database has a password in it."""
    assert set(SECRETS) == set(GOOD)
    suspects = {name for name in Settings.model_fields if name.endswith(("_url", "secret", "password", "token"))}
    assert suspects - {"files_url"} == set(SECRETS)  # object stores find their credentials where their own tools do


@pytest.mark.parametrize("field", SECRETS)
def test_a_secret_may_come_from_a_file(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"BATCHBUS_{field.upper()}"
    monkeypatch.setenv(f"{variable}_FILE", str(_file(tmp_path, f"{GOOD[field]}\n")))
    assert getattr(Settings.load(), field) == GOOD[field]
    monkeypatch.setenv(variable, GOOD[field])
    with pytest.raises(BadSettings, match="both set"):
        Settings.load()


@pytest.mark.parametrize("field", SECRETS)
@pytest.mark.parametrize("bad", [*BAD, 0o640, 0o604, 0o620, None])
def test_a_bad_secret_in_a_file_is_refused_and_not_shown(
    field: str, bad: str | int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number is a mode, and None a file that is not there."""
    path = _file(tmp_path, bad if isinstance(bad, str) else GOOD[field], bad if isinstance(bad, int) else 0o600)
    monkeypatch.setenv(f"BATCHBUS_{field.upper()}_FILE", str(path if bad is not None else path / "none"))
    with pytest.raises(BadSettings, match=f"BATCHBUS_{field.upper()}") as refused:
        Settings.load()
    assert GOOD[field] not in str(refused.value)


@pytest.mark.parametrize("bad", [*BAD, f"{GOOD['jwt_secret']},short", "a,b,c", f"{GOOD['jwt_secret']},"])
def test_a_bad_secret_in_the_environment_is_refused(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHBUS_JWT_SECRET", bad)
    with pytest.raises(BadSettings, match="BATCHBUS_JWT_SECRET") as refused:
        Settings.load()
    assert GOOD["jwt_secret"] not in str(refused.value)


@pytest.mark.parametrize("field", ["amqp_url", "mongodb_url", "catalog_url", "oidc_client_secret"])
@pytest.mark.parametrize("bad", BAD)
def test_the_others_are_refused_in_the_environment_too(field: str, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"BATCHBUS_{field.upper()}", bad)
    with pytest.raises(BadSettings, match=f"BATCHBUS_{field.upper()}") as refused:
        Settings.load()
    assert not bad.strip() or bad not in str(refused.value)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_text(""), lambda path: path.write_text("short"), lambda path: path.chmod(0o644)]
)
def test_a_bad_secret_in_the_data_directory_is_refused(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    Keys.of(settings)
    kept = tmp_path / "data" / "jwt.secret"
    assert kept.stat().st_mode & 0o777 == 0o600
    spoil(kept)
    with pytest.raises(BadSettings, match=r"jwt\.secret"):
        Keys.of(settings)


def test_a_secret_can_be_replaced_without_voiding_what_the_earlier_one_signed() -> None:
    old, new, other = (f"the secret of number {number}" for number in range(3))
    bearer = Bearer("usr_ann", 3, "key")
    token, link = Keys(old).access_token(bearer), Keys(old).link("a.csv")
    both = Keys.of(Settings(jwt_secret=f"{new}, {old}"))
    assert both.bearer_of(token) == bearer and both.opens("a.csv", **link)
    assert Keys(new).bearer_of(both.access_token(bearer)) == bearer
    assert Keys(new).bearer_of(token) is None and not Keys(other).opens("a.csv", **link)


def test_a_token_goes_to_the_address_that_it_came_with_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".batchbus").mkdir()
    write_client_file(client_file(tmp_path / ".batchbus"), "http://elsewhere", "bb_theirs")
    assert find_credentials().token == "bb_theirs"
    monkeypatch.setenv("BATCHBUS_TOKEN", "bb_mine")
    with pytest.raises(Refusal, match="BATCHBUS_URL is not"):
        find_credentials()
    monkeypatch.setenv("BATCHBUS_URL", "http://here")
    assert (find_credentials().url, find_credentials().token) == ("http://here", "bb_mine")
    monkeypatch.delenv("BATCHBUS_TOKEN")
    monkeypatch.setenv("BATCHBUS_TOKEN_FILE", str(_file(tmp_path, "bb_mine\n")))
    assert find_credentials().token == "bb_mine"
    _file(tmp_path, "bb_mine", 0o644)
    with pytest.raises(Refusal, match="BATCHBUS_TOKEN_FILE"):
        find_credentials()


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_of_credentials_that_others_may_touch_is_not_used(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".batchbus").mkdir()
    path = client_file(tmp_path / ".batchbus")
    write_client_file(path, "http://elsewhere", "bb_theirs")
    path.chmod(mode)
    with pytest.raises(Refusal, match="closed to others"):
        find_credentials()


def test_a_file_of_credentials_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".batchbus").mkdir()
    write_client_file(client_file(tmp_path / ".batchbus"), "http://elsewhere", "bb_theirs")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refusal, match="has to be yours"):
        find_credentials()


def test_a_data_directory_is_closed_to_others(tmp_path: Path) -> None:
    made, kept, strange = tmp_path / "made" / "below", tmp_path / "kept", tmp_path / "strange"
    private_folder(made)
    assert made.stat().st_mode & 0o777 == 0o700
    for name in ("mongodb", "files", "jwt.secret"):
        (kept / name).mkdir(parents=True, exist_ok=True)
        kept.chmod(0o755)
        private_folder(kept)
        assert kept.stat().st_mode & 0o777 == 0o700
    (strange / "somebody's").mkdir(parents=True)
    strange.chmod(0o755)
    with pytest.raises(BadSettings, match="chmod 700"):
        private_folder(strange)
    assert strange.stat().st_mode & 0o777 == 0o755


def test_a_folder_of_files_may_be_shared_with_a_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    private_folder(tmp_path, shared=True)
    assert tmp_path.stat().st_mode & 0o777 == 0o770
    tmp_path.chmod(0o777 | 0o1000)
    with pytest.raises(BadSettings, match="o-rwx"):
        private_folder(tmp_path, shared=True)
    tmp_path.chmod(0o700)

# SPDX-License-Identifier: Apache-2.0
"""``furo login --oidc`` against a real registry and a real OpenID provider, with a person at the browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from deploy.local.components.oidc import CLIENT, SCOPES, Provider
from deploy.local.components.oidc_person import sign_in
from furoshiki import AuthError, Client
from tests.integration.registry_api.process import RegistryProcess

_ADDRESS: Final = re.compile(r"^\s+(http://127\.0\.0\.1:\d+/auth\?\S+)$")


@pytest.fixture(scope="module")
def trusting(oidc: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry that the provider's people log in to."""
    corp = "FUROSHIKI_OIDC__ISSUERS__CORP__"
    settings = {
        f"{corp}ISSUER": oidc.issuer,
        f"{corp}AUDIENCE": CLIENT,
        f"{corp}ROLES": '{"admins": ["tenant-admin"], "viewers": ["viewer"]}',
        f"{corp}CLIENT_ID": CLIENT,
        f"{corp}SCOPES": SCOPES,
    }
    with RegistryProcess(tmp_path_factory.mktemp("registry") / "home", **settings) as registry:
        yield registry


@pytest.fixture
def environment(trusting: RegistryProcess, tmp_path: Path) -> dict[str, str]:
    return {
        "FUROSHIKI_CONFIG": str(tmp_path / "config.json"),
        "FUROSHIKI_URL": trusting.url,
        "PATH": os.environ["PATH"],
    }


def furo(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "furoshiki.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def log_in(environment: dict[str, str], browser: Callable[[str], object]) -> tuple[int, str]:
    """Runs ``furo login --oidc``; ``browser`` is given the address that it prints. Exit code and what was said."""
    command = [sys.executable, "-m", "furoshiki.cli", "login", "--oidc", "--no-browser", "--output", "json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    person: threading.Thread | None = None
    for line in process.stderr:
        said.append(line)
        found = _ADDRESS.match(line)
        if found is not None:
            person = threading.Thread(target=browser, args=(found[1],))
            person.start()
    process.communicate(timeout=60)
    if person is not None:
        person.join()
    return process.returncode, "".join(said)


def as_alice(address: str) -> object:
    return sign_in(address, login="alice")


def saved(environment: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(environment["FUROSHIKI_CONFIG"]).read_text())
    return found


def age(environment: dict[str, str]) -> None:
    """Makes the saved token one that ends at once."""
    path = Path(environment["FUROSHIKI_CONFIG"])
    config = saved(environment)
    config["login"]["expires_at"] = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    path.write_text(json.dumps(config))


def test_somebody_logs_in_works_and_logs_out(environment: dict[str, str]) -> None:
    """The file is private, holds a token and no key; afterwards it holds neither, and the token's login has ended."""
    code, said = log_in(environment, as_alice)
    assert code == 0, said
    path = Path(environment["FUROSHIKI_CONFIG"])
    assert path.stat().st_mode & 0o777 == 0o600
    config = saved(environment)
    assert config["api_key"].count(".") == 2
    assert config["api_key"] not in said
    assert config["login"]["refresh_token"] not in said
    me = json.loads(furo(environment, "whoami", "--output", "json").stdout)
    assert (me["name"], me["tenant"], me["roles"]) == ("alice@corp", "default", ["tenant-admin"])
    assert furo(environment, "models").returncode == 0
    assert furo(environment, "logout").returncode == 0
    assert (saved(environment)["api_key"], saved(environment)["login"]) == (None, None)
    assert furo(environment, "whoami").returncode == 4
    path.write_text(json.dumps(config))
    age(environment)
    refused = furo(environment, "whoami")
    assert (refused.returncode, "furo login --oidc" in refused.stderr) == (4, True)


def test_a_login_is_renewed_while_it_is_used(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By commands that run at once, which take turns, and by the client; the refresh token is replaced each time."""
    code, said = log_in(environment, as_alice)
    assert code == 0, said
    before = saved(environment)
    age(environment)
    command = [sys.executable, "-m", "furoshiki.cli", "whoami"]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0, 0]
    after = saved(environment)
    assert after["api_key"] != before["api_key"]
    assert after["login"]["refresh_token"] != before["login"]["refresh_token"]
    assert Path(environment["FUROSHIKI_CONFIG"]).stat().st_mode & 0o777 == 0o600
    age(environment)
    for name in ("FUROSHIKI_CONFIG", "FUROSHIKI_URL"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.delenv("FUROSHIKI_API_KEY", raising=False)
    with Client() as client:
        assert client.whoami().name == "alice@corp"
    assert saved(environment)["api_key"] != after["api_key"]


def test_an_answer_to_another_login_is_refused(environment: dict[str, str]) -> None:
    """A made-up code with another state ends the login; nothing is saved, and other paths are no answers."""

    def attack(address: str) -> None:
        redirect = httpx.URL(address).params["redirect_uri"]
        assert httpx.get(redirect.replace("/callback", "/favicon.ico"), trust_env=False).status_code == 404
        page = httpx.get(redirect, params={"code": "stolen-code", "state": "stolen"}, trust_env=False)
        assert "stolen" not in page.text

    code, said = log_in(environment, attack)
    assert (code, "another login" in said) == (4, True)
    assert not Path(environment["FUROSHIKI_CONFIG"]).exists()


def test_a_refusal_at_the_provider_is_told(environment: dict[str, str]) -> None:
    """In the provider's words, without anything that could harm a terminal."""

    def cancel(address: str) -> None:
        query = httpx.URL(address).params
        told = {"error": "access_denied", "error_description": "no\x1b[31m", "state": query["state"]}
        httpx.get(query["redirect_uri"], params=told, trust_env=False)

    code, said = log_in(environment, cancel)
    assert (code, "access_denied" in said, "\x1b" in said) == (4, True, False)


def test_somebody_without_a_role_is_refused(environment: dict[str, str]) -> None:
    """The provider knows them, the registry gives them nothing; nothing is saved."""
    code, said = log_in(environment, lambda address: sign_in(address, login="mallory"))
    assert (code, "AUTH_003" in said) == (4, True)
    assert not Path(environment["FUROSHIKI_CONFIG"]).exists()


def test_keys_and_tenants_on_the_command_line(trusting: RegistryProcess, environment: dict[str, str]) -> None:
    """Make a tenant and a key in it, rotate it without overlap, list it, revoke it; each secret alone on stdout."""
    admin = environment | {"FUROSHIKI_API_KEY": trusting.admin_key}
    assert furo(admin, "tenants", "create", "acme", "--display-name", "Acme Ltd").returncode == 0
    assert [one["name"] for one in json.loads(furo(admin, "tenants", "list", "-o", "json").stdout)] == [
        "acme",
        "default",
    ]
    made = furo(admin, "keys", "create", "ci", "--role", "viewer", "--days", "1", "--tenant", "acme")
    first = made.stdout.strip()
    assert first.startswith("furo_")
    assert first not in made.stderr
    key_id = first.split("_")[1]
    second = furo(admin, "keys", "rotate", key_id, "--overlap", "0", "--tenant", "acme").stdout.strip()
    with Client(trusting.url, api_key=second) as client:
        assert client.whoami().tenant == "acme"
    with Client(trusting.url, api_key=first) as client, pytest.raises(AuthError):
        client.whoami()
    listed = json.loads(furo(admin, "keys", "list", "--tenant", "acme", "-o", "json").stdout)
    assert [(one["id"], one["name"]) for one in listed] == [(key_id, "ci")]
    assert furo(admin, "keys", "revoke", key_id, "--tenant", "acme").returncode == 0
    assert furo(environment | {"FUROSHIKI_API_KEY": second}, "whoami").returncode == 4

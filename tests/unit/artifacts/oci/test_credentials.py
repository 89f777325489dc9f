# SPDX-License-Identifier: Apache-2.0
"""What docker and podman keep of a login, and what is made of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from artifacts.oci.access import Credentials
from artifacts.oci.credentials import stored_credentials
from artifacts.oci.reference import parse_reference
from artifacts.stores.testing import refused
from core.errors import ErrorCode

IMAGE = parse_reference("registry.test:5000/acme/digits:3")


def login(user: str, password: str = "secret") -> dict[str, str]:
    """An entry of ``auths``."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def written(folder: Path, content: dict[str, Any]) -> dict[str, str]:
    """Writes the file; the environment that names it."""
    path = folder / "auth.json"
    path.write_text(json.dumps(content))
    return {"REGISTRY_AUTH_FILE": str(path)}


def helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs a program that keeps credentials; what it is told goes to ``asked``."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\ncat > {folder}/asked\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("keys", "user"),
    [
        (["registry.test:5000"], "u0"),
        (["https://registry.test:5000/v2/"], "u0"),
        (["registry.test:5000", "registry.test:5000/acme"], "u1"),
        (["registry.test:5000/acme/digits", "registry.test:5000"], "u0"),
        (["registry.test:5000/other", "registry.test", "other.test:5000"], None),
    ],
)
def test_the_longest_key_that_covers_the_repository_wins(tmp_path: Path, keys: list[str], user: str | None) -> None:
    """As podman has it; another host, port or folder is nobody's."""
    environment = written(tmp_path, {"auths": {key: login(f"u{at}") for at, key in enumerate(keys)}})
    found = stored_credentials(IMAGE, environment)
    assert found == (None if user is None else Credentials(username=user, password="secret"))


def test_the_hub_has_an_old_name(tmp_path: Path) -> None:
    """``docker login`` writes it."""
    environment = written(tmp_path, {"auths": {"https://index.docker.io/v1/": login("me", "a:b")}})
    found = stored_credentials(parse_reference("docker.io/library/debian:12"), environment)
    assert found == Credentials(username="me", password="a:b")


def test_the_file_of_docker_is_read_where_no_other_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``DOCKER_CONFIG`` says, else below the home; none at all is no login."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert stored_credentials(IMAGE, {}) is None
    for folder, environment in (
        (tmp_path / ".docker", {}),
        (tmp_path / "other", {"DOCKER_CONFIG": f"{tmp_path}/other"}),
    ):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"auths": {IMAGE.host: login(folder.name)}, "more": 1}))
        found = stored_credentials(IMAGE, environment)
        assert found is not None
        assert found.username == folder.name


@pytest.mark.parametrize("field", ["credHelpers", "credsStore"])
def test_a_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """It is told the registry on its stdin."""
    answer = json.dumps({"ServerURL": IMAGE.host, "Username": "robot", "Secret": "s3cret"})
    helper(tmp_path, "test", f"echo '{answer}'", monkeypatch)
    named: Any = {IMAGE.host: "test"} if field == "credHelpers" else "test"
    found = stored_credentials(IMAGE, written(tmp_path, {field: named, "auths": {IMAGE.host: {}}}))
    assert found == Credentials(username="robot", password="s3cret")
    assert (tmp_path / "asked").read_text() == IMAGE.host


def test_a_program_that_knows_no_login_leaves_it_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docker's helpers say it."""
    helper(tmp_path, "test", "echo credentials not found in native keychain; exit 1", monkeypatch)
    found = stored_credentials(IMAGE, written(tmp_path, {"credsStore": "test", "auths": {IMAGE.host: login("file")}}))
    assert found is not None
    assert found.username == "file"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 4", "status 4"),
        ("echo nonsense", "does not answer as docker's helpers do"),
        ('echo \'{"Username":"<token>","Secret":"t0ken"}\'', "identity token"),
    ],
)
def test_a_program_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    """Without what it keeps."""
    helper(tmp_path, "test", script, monkeypatch)
    with refused(ErrorCode.SETTING_INVALID, said):
        stored_credentials(IMAGE, written(tmp_path, {"credsStore": "test"}))


@pytest.mark.parametrize("program", ["missing", "../evil", "a b", "x" * 100])
def test_only_programs_by_name_are_started(tmp_path: Path, program: str) -> None:
    """None that is not installed, and no path."""
    with refused(ErrorCode.SETTING_INVALID, "not installed"):
        stored_credentials(IMAGE, written(tmp_path, {"credsStore": program}))


@pytest.mark.parametrize(
    "content",
    [
        {"auths": {IMAGE.host: {"auth": "not base64!"}}},
        {"auths": {IMAGE.host: {"auth": base64.b64encode(b"nocolon").decode()}}},
        {"auths": {IMAGE.host: {"identitytoken": "t0ken"}}},
        {"auths": {IMAGE.host: {"auth": 7}}},
        {"auths": []},
    ],
)
def test_what_cannot_be_used_is_said_without_being_shown(tmp_path: Path, content: dict[str, Any]) -> None:
    """Instead of going on as a stranger."""
    with refused(ErrorCode.SETTING_INVALID, "credentials of the image registry"):
        stored_credentials(IMAGE, written(tmp_path, content))


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """One that is missing, or no JSON, or huge."""
    path = tmp_path / "auth.json"
    for content in (None, "{", " " * (1 << 21)):
        if content is not None:
            path.write_text(content)
        with refused(ErrorCode.SETTING_INVALID, str(path)):
            stored_credentials(IMAGE, {"REGISTRY_AUTH_FILE": str(path)})

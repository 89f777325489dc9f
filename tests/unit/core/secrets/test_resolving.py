# SPDX-License-Identifier: Apache-2.0
"""References among settings: resolved before validation, named when they lead nowhere, hidden ever after."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from artifacts.testing import refused
from core.errors import ErrorCode, InitError
from core.secrets.interface import Reference, parse_reference
from core.secrets.resolving import OwnScheme
from core.settings import HIDDEN, Section, Settings

SECRET = "s3cr3t-value"


class Issuer(Section):
    name: str = ""


class Store(Section):
    url: Annotated[str | None, OwnScheme("file")] = None
    key: str = ""
    secret: SecretStr | None = None
    port: int = Field(default=1, gt=0)
    hosts: list[str] = Field(default_factory=list)


class Sample(Settings):
    store: Store = Store()
    issuers: Mapping[str, Issuer] = {}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("FUROSHIKI_HOME", raising=False)
    monkeypatch.setenv("MY_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET + "\n")
    return tmp_path / "secret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env://NAME", Reference(scheme="env", path="NAME")),
        ("file:///a/b", Reference(scheme="file", path="/a/b")),
        ("vault://kv/a/b#c", Reference(scheme="vault", path="kv/a/b", field="c")),
        ("https://vault", None),
        (" env://NAME", None),
        ("x env://NAME", None),
    ],
)
def test_what_is_a_reference(text: str, expected: Reference | None) -> None:
    """Only a whole value that begins with one of the schemes is one; it reads as it was written."""
    assert parse_reference(text) == expected
    assert expected is None or str(expected) == text


@pytest.mark.parametrize("scheme", ["env", "file"])
def test_a_reference_works_in_any_setting(monkeypatch: pytest.MonkeyPatch, clean: Path, scheme: str) -> None:
    """In plain and secret fields, lists, mappings and at the top; what they hold is what validation sees."""
    where = "env://MY_SECRET" if scheme == "env" else clean.as_uri()
    monkeypatch.setenv("FUROSHIKI_STORE__KEY", where)
    monkeypatch.setenv("FUROSHIKI_STORE__SECRET", where)
    monkeypatch.setenv("FUROSHIKI_STORE__HOSTS", f'["plain", "{where}"]')
    monkeypatch.setenv("FUROSHIKI_ISSUERS__ONE__NAME", where)
    settings = Sample.read()
    assert settings.store.secret is not None
    values = (settings.store.key, settings.store.secret.get_secret_value(), settings.store.hosts[1])
    assert (*values, settings.issuers["one"].name) == (SECRET,) * 4


def test_no_view_of_settings_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr nor str nor a dump, of the whole or of a section, shows what a reference led to."""
    for name in ("KEY", "SECRET", "HOSTS"):
        monkeypatch.setenv(f"FUROSHIKI_STORE__{name}", '["env://MY_SECRET"]' if name == "HOSTS" else "env://MY_SECRET")
    monkeypatch.setenv("FUROSHIKI_ISSUERS__ONE__NAME", "env://MY_SECRET")
    settings = Sample.read()
    views = [
        repr(settings),
        str(settings),
        repr(settings.store),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ]
    assert [view for view in views if SECRET in view] == []
    assert settings.model_dump()["store"]["key"] == HIDDEN
    assert settings.store.model_dump()["key"] == SECRET  # code that asks a section for its values gets them


def test_a_wrong_secret_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that does not fit its setting is refused without being shown."""
    monkeypatch.setenv("FUROSHIKI_STORE__PORT", "env://MY_SECRET")
    with pytest.raises(InitError, match="FUROSHIKI_STORE__PORT") as caught:
        Sample.read()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("env://NOT_SET", "env://NOT_SET"),
        ("env://MY_SECRET#field", "env://NAME"),
        ("file:///nowhere", "No such file"),
        ("file://relative", "absolute"),
        ("vault://kv/a#b", "FUROSHIKI_VAULT__ADDRESS"),
    ],
)
def test_a_reference_to_nothing_names_the_setting(monkeypatch: pytest.MonkeyPatch, value: str, named: str) -> None:
    """INIT_002 names the variable and what is wrong with it."""
    monkeypatch.setenv("FUROSHIKI_STORE__KEY", value)
    with pytest.raises(InitError) as caught:
        Sample.read()
    assert caught.value.code is ErrorCode.SETTING_INVALID
    assert named in caught.value.message


def test_a_large_or_binary_file_is_refused(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    """A file that cannot be a secret is not read into a setting."""
    monkeypatch.setenv("FUROSHIKI_STORE__KEY", clean.as_uri())
    for data, named in ((b"\xff", "UTF-8"), (b"x" * (2**20 + 1), "larger")):
        clean.write_bytes(data)
        with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_STORE__KEY", named):
            Sample.read()


def test_a_setting_may_have_the_scheme_for_itself(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    """Where ``file://`` is a value of the setting's own, it is left alone; other references are not."""
    monkeypatch.setenv("FUROSHIKI_STORE__URL", "file:///blobs")
    assert Sample.read().store.url == "file:///blobs"
    monkeypatch.setenv("FUROSHIKI_STORE__URL", "env://MY_SECRET")
    assert Sample.read().store.url == SECRET


def test_settings_of_others_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference in a setting this process does not have is not followed."""
    monkeypatch.setenv("FUROSHIKI_STORE__OTHERS", "env://NOT_SET")
    monkeypatch.setenv("FUROSHIKI_DATABASE__URL", "vault://kv/a#b")
    assert Sample.read().store == Store()


def test_vault_is_not_reached_through_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to reach Vault may come from the environment or a file, and not from Vault."""
    monkeypatch.setenv("FUROSHIKI_VAULT__TOKEN", "vault://kv/a#b")
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_VAULT__TOKEN", "cannot be read from Vault"):
        Sample.read()
    monkeypatch.setenv("FUROSHIKI_VAULT__TOKEN", "env://MY_SECRET")
    token = Sample.read().vault.token
    assert token is not None
    assert token.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("auth", "missing"), [("token", "TOKEN"), ("approle", "ROLE_ID"), ("kubernetes", "KUBERNETES_ROLE")]
)
def test_each_login_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, auth: str, missing: str) -> None:
    """A login without what it needs is INIT_002, naming the setting."""
    monkeypatch.setenv("FUROSHIKI_STORE__KEY", "vault://kv/a#b")
    monkeypatch.setenv("FUROSHIKI_VAULT__ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("FUROSHIKI_VAULT__AUTH", auth)
    with refused(ErrorCode.SETTING_INVALID, f"FUROSHIKI_VAULT__{missing}"):
        Sample.read()


def test_without_vault_nothing_of_it_is_imported() -> None:
    """hvac costs nothing where no setting refers to Vault."""
    code = "import sys, registry_api.settings.registry as s; s.Settings.read(); print('hvac' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

# SPDX-License-Identifier: Apache-2.0
"""Secrets of a real OpenBao: what is read, what is refused, and what happens while it is sealed, killed or replaced."""

from __future__ import annotations

import base64
import http.server
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from artifacts.secrets.connection import VaultConnection
from artifacts.secrets.testing import vault_connection, vault_settings
from artifacts.secrets.vault import VaultSecrets
from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode, InitError, Unavailable
from core.secrets.interface import Reference, parse_reference
from core.settings import Section, Settings
from deploy.local.components.openbao import OpenBao

SECRET = "s3cr3t-p4ss"


class Database(Section):
    url: str = ""
    port: int = 0


class Sample(Settings):
    database: Database = Database()


def reference(text: str) -> Reference:
    found = parse_reference(text)
    assert found is not None
    return found


@pytest.fixture
def bao(openbao: OpenBao) -> OpenBao:
    openbao.call("POST", "secret/data/app/db", {"data": {"url": SECRET, "number": 7}})
    return openbao


def secrets(connection: VaultConnection, clock: ManualClock | None = None) -> VaultSecrets:
    return VaultSecrets(connection, clock or ManualClock(), fresh_s=60)


@pytest.fixture
def environment(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("FUROSHIKI_VAULT__ADDRESS", bao.address)
    monkeypatch.setenv("FUROSHIKI_VAULT__TOKEN", bao.token)
    monkeypatch.setenv("FUROSHIKI_DATABASE__URL", "vault://secret/app/db#url")
    return monkeypatch


def test_a_setting_is_read_from_vault_and_never_shown(environment: pytest.MonkeyPatch) -> None:
    """A reference in any setting becomes its value; neither repr nor a dump shows it."""
    settings = Sample.read()
    assert settings.database.url == SECRET
    shown = (
        repr(settings),
        str(settings),
        repr(settings.database),
        str(settings.model_dump()),
        settings.model_dump_json(),
    )
    assert [text for text in shown if SECRET in text] == []
    assert settings.model_dump()["database"]["url"] == "**"


def test_a_secret_of_the_wrong_kind_is_not_repeated(environment: pytest.MonkeyPatch) -> None:
    """A secret that is no valid value of its setting is named, and not repeated."""
    environment.setenv("FUROSHIKI_DATABASE__PORT", "vault://secret/app/db#url")
    with pytest.raises(InitError) as caught:
        Sample.read()
    assert "FUROSHIKI_DATABASE__PORT" in caught.value.message
    assert SECRET not in caught.value.message + repr(caught.value)


def test_a_start_without_vault_names_setting_and_vault(environment: pytest.MonkeyPatch, bao: OpenBao) -> None:
    """Sealed, Vault stops a start with a sentence that names the setting, the reference and the cure."""
    bao.seal()
    try:
        with refused(ErrorCode.INIT_FAILED, "FUROSHIKI_DATABASE__URL", "vault://secret/app/db#url", "sealed", "unseal"):
            Sample.read()
    finally:
        bao.unseal()
    environment.setenv("FUROSHIKI_VAULT__ADDRESS", "http://127.0.0.1:9")
    with refused(ErrorCode.INIT_FAILED, "FUROSHIKI_DATABASE__URL", "FUROSHIKI_VAULT__ADDRESS"):
        Sample.read()


@pytest.mark.parametrize(
    "text", ["vault://secret/app/db", "vault://secret#url", "vault://secret/app/none#url", "vault://none/app#url",
             "vault://secret/app/db#none", "vault://secret/app/db#number"]
)  # fmt: skip
def test_a_reference_to_nothing_is_refused(bao: OpenBao, text: str) -> None:
    """What names no text field of a secret is refused, naming the reference."""
    with refused(ErrorCode.INVALID_FIELD, text):
        secrets(vault_connection(bao.address, bao.token)).read(reference(text))


def test_what_was_read_outlives_vault(bao: OpenBao) -> None:
    """Sealed, killed and started again: what was read keeps serving, what was not is retryable, then all is well."""
    clock = ManualClock()
    provider = secrets(vault_connection(bao.address, bao.token), clock)
    known, other = reference("vault://secret/app/db#url"), reference("vault://secret/app/other#url")
    assert provider.read(known) == SECRET
    for away, back in ((bao.seal, bao.unseal), (bao.kill, bao.start)):
        away()
        try:
            clock.advance(3600)
            assert provider.read(known) == SECRET
            with refused(ErrorCode.STORE_UNAVAILABLE, bao.address):
                provider.read(other)
        finally:
            back()
        clock.advance(3600)
        assert provider.read(known) == SECRET
    with refused(ErrorCode.INVALID_FIELD):
        provider.read(other)


def test_a_changed_secret_is_seen_when_it_is_stale(bao: OpenBao) -> None:
    """A new value is used once the old one is no longer fresh."""
    clock = ManualClock()
    provider, wanted = secrets(vault_connection(bao.address, bao.token), clock), reference("vault://secret/app/new#url")
    bao.call("POST", "secret/data/app/new", {"data": {"url": "one"}})
    assert provider.read(wanted) == "one"
    bao.call("POST", "secret/data/app/new", {"data": {"url": "two"}})
    assert provider.read(wanted) == "one"
    clock.advance(61)
    assert provider.read(wanted) == "two"


def app_role(bao: OpenBao, ttl: str) -> dict[str, Any]:
    bao.call("PUT", "sys/policies/acl/reader", {"policy": 'path "secret/*" { capabilities = ["read"] }'})
    bao.call("POST", "auth/approle/role/app", {"token_policies": "reader", "token_ttl": ttl, "token_max_ttl": "1h"})
    role_id = bao.call("GET", "auth/approle/role/app/role-id")["data"]["role_id"]
    secret_id = bao.call("POST", "auth/approle/role/app/secret-id", {})["data"]["secret_id"]
    return {"auth": "approle", "role_id": role_id, "secret_id": SecretStr(secret_id)}


def own_token(connection: VaultConnection) -> dict[str, Any]:
    found: dict[str, Any] = connection.call(lambda client: client.auth.token.lookup_self()["data"])
    return found


def test_a_revoked_token_is_replaced(bao: OpenBao) -> None:
    """When the token is revoked, the next question logs in again."""
    connection = vault_connection(bao.address, "", **app_role(bao, "10m"))
    before = own_token(connection)
    bao.call("POST", "auth/token/revoke-accessor", {"accessor": before["accessor"]})
    assert own_token(connection)["accessor"] != before["accessor"]


def test_an_expired_token_is_replaced(bao: OpenBao) -> None:
    """When the token has expired at Vault, whatever our clock says, the next question logs in again."""
    connection = vault_connection(bao.address, "", ManualClock(), **app_role(bao, "1s"))
    before = own_token(connection)
    time.sleep(1.3)
    assert own_token(connection)["accessor"] != before["accessor"]


def test_a_token_is_renewed_in_time(bao: OpenBao) -> None:
    """After two thirds of its life the same token is renewed; at its end there is another login."""
    clock = ManualClock()
    connection = vault_connection(bao.address, "", clock, **app_role(bao, "10m"))
    first = own_token(connection)
    clock.advance(399)
    assert own_token(connection).get("last_renewal") is None
    clock.advance(2)
    renewed = own_token(connection)
    assert (renewed["accessor"], renewed.get("last_renewal") is None) == (first["accessor"], False)
    clock.advance(601)
    assert own_token(connection)["accessor"] != first["accessor"]


def test_a_wrong_login_is_retryable_and_names_the_setting(bao: OpenBao, caplog: pytest.LogCaptureFixture) -> None:
    """Refused credentials name the setting; neither message nor log repeats them."""
    wrong = app_role(bao, "10m") | {"secret_id": SecretStr("wrong-secret-id")}
    with caplog.at_level(logging.DEBUG, logger="core"), refused(ErrorCode.STORE_UNAVAILABLE, "FUROSHIKI_VAULT__AUTH"):
        own_token(vault_connection(bao.address, "", **wrong))
    with refused(ErrorCode.STORE_UNAVAILABLE, "FUROSHIKI_VAULT__AUTH"):
        own_token(vault_connection(bao.address, "wrong-token"))
    assert "wrong-" not in caplog.text
    assert "wrong-" not in repr(vault_settings(bao.address, "wrong-token", **wrong))


def test_tls_needs_the_authority(bao: OpenBao) -> None:
    """Over HTTPS the CA file decides; without it the certificate is refused, naming the setting."""
    with refused(ErrorCode.STORE_UNAVAILABLE, "FUROSHIKI_VAULT__CA_FILE"):
        own_token(vault_connection(bao.tls_address, bao.token))
    assert own_token(vault_connection(bao.tls_address, bao.token, ca_file=bao.ca_file))["policies"] == ["root"]


def test_a_namespace_is_the_whole_world(bao: OpenBao) -> None:
    """With a namespace set, the same path means the secret of that namespace."""
    bao.call("POST", "sys/namespaces/team", {})
    bao.call("POST", "team/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    bao.call("POST", "team/secret/data/app/db", {"data": {"url": "of the team"}})
    connection = vault_connection(bao.address, bao.token, namespace="team")
    assert secrets(connection).read(reference("vault://secret/app/db#url")) == "of the team"


class TokenReview(http.server.BaseHTTPRequestHandler):
    """Answers what a Kubernetes API server answers about one service account's token."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["spec"]["token"] == JWT
        user = {"username": "system:serviceaccount:default:furoshiki", "uid": "1", "groups": []}
        body = json.dumps({**asked, "status": {"authenticated": known, "user": user if known else {}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _jwt() -> str:
    """A service account's token as Kubernetes makes it; here nobody but the API server checks its signature."""
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:default:furoshiki",
        f"{prefix}namespace": "default",
        f"{prefix}service-account.name": "furoshiki",
        f"{prefix}service-account.uid": "1",
    }
    parts = (json.dumps({"alg": "RS256", "kid": "1"}).encode(), json.dumps(claims).encode(), b"signature" * 29)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


JWT = _jwt()


@contextmanager
def api_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenReview)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_kubernetes_login(bao: OpenBao, tmp_path: Path) -> None:
    """A service account's token, read from its file at each login, becomes a token of the role."""
    token_file = tmp_path / "token"
    token_file.write_text(JWT + "\n")
    role = {
        "bound_service_account_names": "furoshiki",
        "bound_service_account_namespaces": "default",
        "token_policies": "default",
    }
    with api_server() as url:
        bao.call(
            "POST",
            "auth/kubernetes/config",
            {"kubernetes_host": url, "token_reviewer_jwt": JWT, "kubernetes_ca_cert": bao.ca_file.read_text()},
        )
        bao.call("POST", "auth/kubernetes/role/app", role)
        how: dict[str, Any] = {"auth": "kubernetes", "kubernetes_role": "app", "kubernetes_token_file": token_file}
        assert own_token(vault_connection(bao.address, "", **how))["meta"]["service_account_name"] == "furoshiki"
        token_file.write_text(JWT + "x")
        with pytest.raises(Unavailable, match="FUROSHIKI_VAULT__AUTH"):
            own_token(vault_connection(bao.address, "", **how))
    token_file.unlink()
    with refused(ErrorCode.SETTING_INVALID, "FUROSHIKI_VAULT__KUBERNETES_TOKEN_FILE"):
        own_token(vault_connection(bao.address, "", **how))

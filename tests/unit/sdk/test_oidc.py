# SPDX-License-Identifier: Apache-2.0
"""Logging in with a provider: what is sent, and what is not believed."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from furoshiki import AuthError, TransientError
from furoshiki.oidc import Attempt, Endpoints, discover, refresh

REDIRECT = "http://127.0.0.1:5/callback"


class Provider(HTTPServer):
    """Answers every request with one document; keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.document: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(issuer=self.url, authorization_endpoint=f"{self.url}/auth", token_endpoint=f"{self.url}/token")


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(dict(parse_qsl(body.decode())))
        assert "x-api-key" not in {name.lower() for name in self.headers}
        self._answer()

    def _answer(self) -> None:
        data = json.dumps(self.server.document).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in http.server
        """Logs nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def test_the_browser_is_sent_with_a_challenge_and_never_with_the_verifier(provider: Provider) -> None:
    """S256 of the verifier; each attempt has secrets of its own, and its repr shows none."""
    attempt = Attempt(client_id="furo")
    query = parse_qs(urlsplit(attempt.url(provider.endpoints, redirect_uri=REDIRECT, scopes="openid groups")).query)
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    assert query["code_challenge"] == [base64.urlsafe_b64encode(digest).rstrip(b"=").decode()]
    assert (query["code_challenge_method"], query["redirect_uri"]) == (["S256"], [REDIRECT])
    assert attempt.verifier not in str(query)
    other = Attempt(client_id="furo")
    assert not {attempt.state, attempt.nonce, attempt.verifier} & {other.state, other.nonce, other.verifier}
    assert not any(secret in repr(attempt) for secret in (attempt.state, attempt.nonce, attempt.verifier))


@pytest.mark.parametrize("answer", [{}, {"state": ""}, {"state": "other", "code": "c"}, {"code": "c"}, {"state": "é"}])
def test_an_answer_without_the_state_is_of_another_login(provider: Provider, answer: dict[str, str]) -> None:
    """Whatever else it says."""
    with pytest.raises(AuthError, match="another login"):
        Attempt(client_id="furo").code(answer, provider.endpoints)


def test_an_answer_of_another_issuer_is_refused(provider: Provider) -> None:
    """RFC 9207; without ``iss`` the state has to do."""
    attempt = Attempt(client_id="furo")
    answer = {"state": attempt.state, "code": "c"}
    assert attempt.code(answer, provider.endpoints) == "c"
    with pytest.raises(AuthError, match="another provider"):
        attempt.code(answer | {"iss": "https://evil.example"}, provider.endpoints)


def test_the_code_is_redeemed_with_the_verifier(provider: Provider) -> None:
    """And the ID token has to be of this attempt, this client and this issuer."""
    attempt = Attempt(client_id="furo")
    good = {"nonce": attempt.nonce, "aud": "furo", "iss": provider.url}
    provider.document = {"id_token": token(**good), "refresh_token": "r"}
    grant = attempt.redeem("code", provider.endpoints, redirect_uri=REDIRECT)
    assert (grant.refresh_token, provider.asked[0]["code_verifier"]) == ("r", attempt.verifier)
    assert provider.document["id_token"] not in repr(grant)
    for changes in (
        {"nonce": "x"},
        {"nonce": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"iss": "https://evil.example"},
    ):
        provider.document = {"id_token": token(**(good | changes))}
        with pytest.raises(AuthError):
            attempt.redeem("code", provider.endpoints, redirect_uri=REDIRECT)
    for nonsense in ("", "a", "a.b.c"):
        provider.document = {"id_token": nonsense}
        with pytest.raises(AuthError):
            attempt.redeem("code", provider.endpoints, redirect_uri=REDIRECT)


def test_a_refusal_is_told_without_what_could_harm_a_terminal(provider: Provider) -> None:
    """Its error and description; a fault of the provider can be tried again."""
    provider.status, provider.document = 400, {"error": "invalid_grant", "error_description": "used\x1b[31m twice"}
    with pytest.raises(AuthError) as caught:
        refresh(provider.endpoints.token_endpoint, client_id="furo", refresh_token="secret-r")
    assert "invalid_grant: used" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "secret-r" not in caught.value.message
    provider.status = 503
    with pytest.raises(TransientError):
        refresh(provider.endpoints.token_endpoint, client_id="furo", refresh_token="secret-r")


def test_discovery_believes_only_the_issuer_that_was_asked(provider: Provider) -> None:
    """Its document names it to the letter, and only addresses over TLS or on this machine."""
    good = {"issuer": provider.url, "authorization_endpoint": "https://x/a", "token_endpoint": "https://x/t"}
    provider.document = good
    assert discover(provider.url).token_endpoint == "https://x/t"
    for changes in (
        {"issuer": provider.url + "/"},
        {"token_endpoint": "http://x/t"},
        {"authorization_endpoint": "file:///x"},
    ):
        provider.document = good | changes
        with pytest.raises(AuthError):
            discover(provider.url)
    provider.document = {"issuer": provider.url}
    with pytest.raises(TransientError):
        discover(provider.url)
    with pytest.raises(AuthError, match="not https"):
        discover("http://id.example")

# SPDX-License-Identifier: Apache-2.0
"""Finding an issuer's keys through its discovery document, and nothing else through it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artifacts.testing import refused
from artifacts.tokens.discovery import DiscoveredSource, origin
from artifacts.tokens.testing import KeyServer, TokenSigner, key_set
from core.errors import ErrorCode

ISSUER = "https://id.example"


def document(**changes: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "other": 1, **changes}).encode()


def source(url: str) -> DiscoveredSource:
    return DiscoveredSource(issuer=ISSUER, url=url, timeout_s=2.0)


async def test_the_key_set_is_found() -> None:
    """Two documents of one origin; here one server answers both with the same one, which names itself."""
    signer = TokenSigner("EdDSA")
    async with KeyServer(b"").serving() as server:
        both = json.loads(key_set(signer)) | {"issuer": ISSUER, "jwks_uri": server.url}
        server.document = json.dumps(both).encode()
        assert json.loads(await source(server.url).read())["keys"] == [signer.jwk()]
        assert server.requests == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": "https://id.example/keys"},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        {"jwks_uri": "http://127.0.0.1:1/keys"},
        {"jwks_uri": "http://localhost:{port}/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://user@127.0.0.1:{port}@evil.example/keys"},
        {"jwks_uri": ""},
        {"jwks_uri": 1},
    ],
    ids=str,
)
async def test_a_document_cannot_send_us_elsewhere(changes: dict[str, Any]) -> None:
    """Another issuer, another host or port, another scheme: nothing is fetched, and the keys count as not to be had."""
    async with KeyServer(b"").serving() as server:
        port = str(server.url.rsplit(":", 1)[1].partition("/")[0])
        told = {k: v.replace("{port}", port) if isinstance(v, str) else v for k, v in changes.items()}
        server.document = document(**({"jwks_uri": server.url} | told))
        with refused(ErrorCode.STORE_UNAVAILABLE):
            await source(server.url).read()
        assert server.requests == 1


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
async def test_redirects_and_errors_are_not_followed(status: int) -> None:
    """A discovery document is where the operator said, or nowhere."""
    async with KeyServer(document()).serving() as server:
        server.status, server.headers = status, {"location": server.url + "/2"}
        with refused(ErrorCode.STORE_UNAVAILABLE):
            await source(server.url).read()
        assert server.requests == 1


async def test_what_is_no_document_is_refused() -> None:
    """Also what is too long to be one."""
    for data in (b"", b"[]", b"\xff", b"x" * 300_000):
        async with KeyServer(data).serving() as server:
            with refused(ErrorCode.STORE_UNAVAILABLE):
                await source(server.url).read()


def test_an_origin_is_scheme_host_and_port() -> None:
    """Default ports and the host's case make no difference; the path does not count."""
    assert origin("https://ID.example/a") == origin("https://id.example:443/b")
    assert origin("https://id.example") != origin("https://id.example:8443")

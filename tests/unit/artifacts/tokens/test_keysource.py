# SPDX-License-Identifier: Apache-2.0
"""Key sets from files and from a real server on a loopback socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from artifacts.tokens.keysource import MOST_BYTES, FileSource, UrlSource, allowed
from artifacts.tokens.testing import KeyServer
from core.errors import Unavailable


@pytest_asyncio.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with KeyServer(b'{"keys": []}').serving() as serving:
        yield serving


async def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """A set that was put in its place by renaming is the one that is read."""
    path = tmp_path / "keys.json"
    path.write_bytes(b"one")
    source = FileSource(path)
    assert await source.read() == b"one"
    (tmp_path / "next").write_bytes(b"two")
    os.replace(tmp_path / "next", path)
    assert await source.read() == b"two"


async def test_a_file_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    """The reason goes to the log only."""
    with pytest.raises(Unavailable) as caught:
        await FileSource(tmp_path / "none").read()
    assert str(tmp_path) not in caught.value.message
    assert "FileNotFoundError" in str(caught.value.log_context)


async def test_a_url_is_read(server: KeyServer) -> None:
    """The document as it is."""
    assert await UrlSource(server.url, timeout_s=2).read() == b'{"keys": []}'


async def test_a_redirect_is_not_followed(server: KeyServer) -> None:
    """Keys come from the address the operator set, or not at all."""
    server.status, server.headers = 302, {"location": server.url + "/elsewhere"}
    with pytest.raises(Unavailable):
        await UrlSource(server.url, timeout_s=2).read()
    assert server.requests == 1


async def test_too_large_a_document_is_not_read(server: KeyServer) -> None:
    """Reading stops at the limit."""
    server.document = b" " * (MOST_BYTES + 1)
    with pytest.raises(Unavailable):
        await UrlSource(server.url, timeout_s=5).read()


async def test_a_silent_server_costs_its_timeout(server: KeyServer) -> None:
    """Not more."""
    server.silent = True
    with pytest.raises(Unavailable):
        await UrlSource(server.url, timeout_s=0.05).read()


async def test_nobody_there_is_unavailable() -> None:
    """A refused connection is a failure like any other."""
    with pytest.raises(Unavailable):
        await UrlSource("http://127.0.0.1:1/keys", timeout_s=2).read()


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://id.example/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://localhost/keys", True),
        ("http://id.example/keys", False),
        ("http://127.0.0.1.evil.example/keys", False),
        ("http://10.0.0.1/keys", False),
        ("https:///keys", False),
        ("file:///etc/keys", False),
        ("ftp://127.0.0.1/keys", False),
        ("http://[", False),
    ],
)
def test_where_keys_may_come_from(url: str, fine: bool) -> None:
    """Over TLS, or from this machine."""
    assert allowed(url) is fine

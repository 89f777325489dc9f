# SPDX-License-Identifier: Apache-2.0
"""Real registries: open, behind a login over TLS, and behind a token server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from artifacts.oci.access import Access, Credentials
from artifacts.oci.patience import Patience
from deploy.local.components.docker_registry import PASSWORD, USER, DockerRegistry, docker_registry
from deploy.local.components.token_server import TokenServer, token_server

CREDENTIALS = Credentials(username=USER, password=PASSWORD)
QUICK = Patience(attempts=5, base_s=0.02, cap_s=0.1)
OPEN = Access(patience=QUICK)


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Plain HTTP, no login; whoever kills it starts it again."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """TLS and HTTP Basic."""
    with docker_registry(tmp_path_factory.mktemp("guarded"), basic=True, tls=True) as server:
        yield server


@pytest.fixture(scope="package")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """Of the registry ``tokened``."""
    with token_server(tmp_path_factory.mktemp("tokens"), USER, PASSWORD) as server:
        yield server


@pytest.fixture(scope="package")
def tokened(tmp_path_factory: pytest.TempPathFactory, tokens: TokenServer) -> Iterator[DockerRegistry]:
    """Plain HTTP, bearer tokens."""
    with docker_registry(tmp_path_factory.mktemp("tokened"), tokens=tokens) as server:
        yield server

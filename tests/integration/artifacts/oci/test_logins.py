# SPDX-License-Identifier: Apache-2.0
"""Real registries that ask who is there: HTTP Basic over TLS, and bearer tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.oci.access import Access, Credentials
from artifacts.oci.copying import pull, push
from artifacts.oci.registry import Registry
from artifacts.oci.uploads import Way
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from deploy.local.components.certificates import write_certificate
from deploy.local.components.docker_registry import USER, DockerRegistry
from deploy.local.components.token_server import TokenServer
from tests.integration.artifacts.oci.conftest import CREDENTIALS, OPEN, QUICK
from tests.unit.artifacts.oci.images import MIB, empty_layout, image, pattern

DATA = pattern(5 * MIB)
WRONG = Credentials(username=USER, password="wrong")
KNOWN = Access(credentials=CREDENTIALS, patience=QUICK)


async def test_basic_over_tls(guarded: DockerRegistry, tmp_path: Path) -> None:
    """With the right password and the right authority an image goes there and comes back."""
    layout = empty_layout(tmp_path / "layout")
    async with Registry(guarded.host, replace(KNOWN, ca_file=guarded.ca_file)) as client:
        await client.ping()
        repository = client.repository("acme/digits")
        written = image(layout, [DATA])
        await push(layout, written, repository, tag="v1")
        pulled = await pull(repository, "v1", empty_layout(tmp_path / "other"))
    assert pulled.descriptor.digest == written.digest


@pytest.mark.parametrize("credentials", [None, WRONG])
async def test_a_wrong_password_is_said(guarded: DockerRegistry, credentials: Credentials | None) -> None:
    """So is none; neither shows it."""
    async with Registry(guarded.host, Access(credentials=credentials, ca_file=guarded.ca_file)) as client:
        with refused(ErrorCode.OCI_DENIED):
            await client.ping()
        with refused(ErrorCode.OCI_DENIED):
            await client.repository("a").tags()


async def test_an_unknown_authority_is_not_trusted(guarded: DockerRegistry, registry: DockerRegistry) -> None:
    """Neither by the system's authorities nor by another file; and nothing is sent in the clear."""
    assert guarded.ca_file is not None
    other = guarded.ca_file.with_name("other.pem")
    write_certificate(other, guarded.ca_file.with_name("other.key"))
    async with Registry(guarded.host, replace(KNOWN, ca_file=other)) as client:
        with refused(ErrorCode.OCI_UNREACHABLE, "certificate"):
            await client.ping()
    async with Registry(guarded.host, KNOWN) as client:
        with refused(ErrorCode.OCI_REFUSED):
            await client.ping()


async def test_tokens(tokened: DockerRegistry, tokens: TokenServer, tmp_path: Path) -> None:
    """An image goes there, is mounted next door and comes back; one token for each scope."""
    layout, before = empty_layout(tmp_path / "layout"), len(tokens.asked)
    async with Registry(tokened.host, KNOWN) as client:
        repository = client.repository("public/digits")
        written = image(layout, [DATA])
        await push(layout, written, repository, tag="v1")
        next_door = await push(layout, written, client.repository("public/next"), mount_from=("public/digits",))
        await pull(repository, "v1", empty_layout(tmp_path / "other"))
    assert set(next_door.ways.values()) == {Way.MOUNTED}
    assert tokens.asked[before:] == [
        ("repository:public/digits:pull,push",),
        ("repository:public/next:pull,push",),
        ("repository:public/next:pull,push", "repository:public/digits:pull"),
        ("repository:public/digits:pull",),
    ]


async def test_strangers_may_do_what_the_token_server_lets_them(tokened: DockerRegistry, tmp_path: Path) -> None:
    """Pull what is public, and nothing else."""
    layout = empty_layout(tmp_path / "layout")
    written = image(layout, [b"public"])
    async with Registry(tokened.host, KNOWN) as client:
        await push(layout, written, client.repository("public/open"), tag="v1")
    async with Registry(tokened.host, OPEN) as stranger:
        repository = stranger.repository("public/open")
        assert (await pull(repository, "v1", empty_layout(tmp_path / "other"))).descriptor.digest == written.digest
        with refused(ErrorCode.OCI_DENIED):
            await push(layout, image(layout, [b"mine"]), repository, tag="v1")


async def test_rights_that_are_not_given_are_said(tokened: DockerRegistry, tokens: TokenServer, tmp_path: Path) -> None:
    """Another's repository; a neighbour whose blobs may not be read is no obstacle."""
    layout = empty_layout(tmp_path / "layout")
    written = image(layout, [b"layer"])
    async with Registry(tokened.host, KNOWN) as client:
        with refused(ErrorCode.OCI_DENIED):
            await push(layout, written, client.repository("private/one"))
        pushed = await push(layout, written, client.repository("public/mine"), mount_from=("private/one",))
    assert set(pushed.ways.values()) == {Way.SENT}


async def test_a_wrong_password_for_the_token_server_is_said(tokened: DockerRegistry) -> None:
    """Once."""
    async with Registry(tokened.host, replace(KNOWN, credentials=WRONG)) as client:
        with refused(ErrorCode.OCI_DENIED):
            await client.repository("public/digits").tags()


async def test_a_tired_token_server_is_waited_for(tokened: DockerRegistry, tokens: TokenServer) -> None:
    """Its 503 passes."""
    tokens.failures = 2
    async with Registry(tokened.host, KNOWN) as client:
        await client.ping()
    assert tokens.failures == 0

# SPDX-License-Identifier: Apache-2.0
"""Images to and from a real docker-registry: contents, cuts, restarts, tags."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.access import Access
from artifacts.oci.copying import pull, push
from artifacts.oci.layout import Descriptor, ImageIndex, Layout, Platform
from artifacts.oci.media import LAYER_TAR
from artifacts.oci.patience import Patience
from artifacts.oci.registry import Registry, Repository
from artifacts.oci.sending import CHUNK_BYTES
from artifacts.oci.uploads import Way
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from deploy.local.components.docker_registry import DockerRegistry
from deploy.local.stack import free_port
from tests.integration.artifacts.oci.conftest import OPEN
from tests.integration.artifacts.stores.proxy import Proxy, proxied
from tests.unit.artifacts.oci.images import AMD64, MIB, empty_layout, image, pattern

BASE, MODEL, CHANGED = pattern(2 * MIB, 1), pattern(MIB, 2), pattern(MIB + 1, 3)
LARGE = pattern(CHUNK_BYTES + 4 * MIB, 4)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Empty."""
    return empty_layout(tmp_path / "layout")


@pytest.fixture
async def repository(registry: DockerRegistry) -> AsyncIterator[Repository]:
    """A new one."""
    async with Registry(registry.host, OPEN) as client:
        yield client.repository(f"test/{uuid4().hex}")


@pytest.fixture
async def proxy(registry: DockerRegistry) -> AsyncIterator[Proxy]:
    """In front of the registry."""
    async with proxied(f"http://{registry.host}") as running:
        yield running


def blob_of(data: bytes) -> Descriptor:
    """Its descriptor."""
    return Descriptor(media_type=LAYER_TAR, digest=digest_bytes(data), size=len(data))


async def test_an_image_goes_there_and_comes_back(layout: Layout, repository: Repository, tmp_path: Path) -> None:
    """By tag and by digest; a changed model alone travels; a neighbour's blobs are mounted."""
    first, second = image(layout, [BASE, MODEL]), image(layout, [BASE, CHANGED])
    pushed = await push(layout, first, repository, tag="v1")
    assert (pushed.sent, set(pushed.ways.values())) == (pushed.size, {Way.SENT})
    assert (await push(layout, second, repository, tag="v2")).sent == len(CHANGED)
    assert await repository.tags() == ["v1", "v2"]
    assert await repository.resolve("v2") == second.digest
    other = empty_layout(tmp_path / "other")
    assert (await pull(repository, "v1", other, platform=AMD64)).sent == pushed.size
    assert (await pull(repository, second.digest, other, tag="mine")).sent == len(CHANGED)
    found = other.resolve("mine")
    assert found is not None
    assert [other.read_blob(layer) for layer in other.manifest(found).layers] == [BASE, CHANGED]
    neighbour = Repository(repository.connection, f"{repository.name}-too")
    mounted = await push(layout, second, neighbour, mount_from=(repository.name,))
    assert (mounted.sent, set(mounted.ways.values())) == (0, {Way.MOUNTED})


async def test_an_index_goes_there_and_comes_back(layout: Layout, repository: Repository, tmp_path: Path) -> None:
    """With the images of all its platforms."""
    platforms = (AMD64, Platform(architecture="arm64"))
    index = ImageIndex(manifests=tuple(image(layout, [BASE], platform=platform) for platform in platforms))
    written = layout.put_manifest(index)
    await push(layout, written, repository, tag="v1")
    other = empty_layout(tmp_path / "other")
    assert (await pull(repository, "v1", other)).descriptor.digest == written.digest
    with refused(ErrorCode.OCI_NOT_FOUND, "linux/s390x"):
        await pull(repository, "v1", other, platform=Platform(architecture="s390x"))


@pytest.mark.parametrize("cut_after", [100, 300_000, 6 * MIB])
async def test_an_upload_that_is_cut_arrives(registry: DockerRegistry, proxy: Proxy, cut_after: int) -> None:
    """docker-registry forgets an upload that is cut within a chunk: then it is sent anew, and arrives whole."""
    proxy.faults.cuts, proxy.faults.cut_after, proxy.faults.only = 2, cut_after, b"PATCH"
    async with Registry(proxy.endpoint.removeprefix("http://"), OPEN) as client:
        here = client.repository(f"cut/{uuid4().hex}")
        upload = await here.push_blob(blob_of(LARGE), lambda: BytesIO(LARGE))
        assert proxy.faults.cuts == 0
        assert upload.sent >= len(LARGE)
        assert await here.blob_size(digest_bytes(LARGE)) == len(LARGE)


async def test_an_upload_that_is_cut_between_chunks_goes_on(registry: DockerRegistry, proxy: Proxy) -> None:
    """The registry says how much it has; no byte travels twice."""
    proxy.faults.errors, proxy.faults.only = 2, b"PUT"  # the request that ends the upload
    async with Registry(proxy.endpoint.removeprefix("http://"), OPEN) as client:
        here = client.repository(f"between/{uuid4().hex}")
        upload = await here.push_blob(blob_of(LARGE), lambda: BytesIO(LARGE))
    assert upload.sent == len(LARGE)
    assert sum(b"POST" in line for line in proxy.faults.seen) == 1


@pytest.mark.parametrize("cut_after", [1000, 5 * MIB])
async def test_a_download_that_is_cut_goes_on(
    registry: DockerRegistry, proxy: Proxy, repository: Repository, layout: Layout, cut_after: int
) -> None:
    """By ranges; bytes that arrived do not travel again."""
    await repository.push_blob(blob_of(LARGE), lambda: BytesIO(LARGE))
    proxy.faults.answer_cuts, proxy.faults.cut_after = 3, cut_after
    async with Registry(proxy.endpoint.removeprefix("http://"), OPEN) as client:
        received = await client.repository(repository.name).pull_blob(blob_of(LARGE), layout)
    assert proxy.faults.answer_cuts == 0
    assert received == len(LARGE)
    assert layout.read_blob(blob_of(LARGE), limit=len(LARGE)) == LARGE


async def test_failures_of_the_registry_pass(proxy: Proxy, layout: Layout) -> None:
    """Each request may fail once or twice."""
    written = image(layout, [MODEL])
    async with Registry(proxy.endpoint.removeprefix("http://"), OPEN) as client:
        proxy.faults.errors = 3
        await push(layout, written, client.repository(f"errors/{uuid4().hex}"), tag="v1")
    assert proxy.faults.errors == 0


async def test_a_registry_that_is_killed_is_waited_for(
    registry: DockerRegistry, layout: Layout, tmp_path: Path
) -> None:
    """kill -9 between two copies and while one runs: the image is there in the end."""
    patient = Access(patience=Patience(attempts=30, base_s=0.1, cap_s=0.2))
    written = image(layout, [LARGE, BASE])
    async with Registry(registry.host, patient) as client:
        here = client.repository(f"killed/{uuid4().hex}")
        await client.ping()
        pushing = asyncio.create_task(push(layout, written, here, tag="v1"))
        await asyncio.sleep(0.05)
        registry.kill()
        await asyncio.to_thread(registry.start)
        await pushing
        registry.kill()
        pulling = asyncio.create_task(pull(here, "v1", empty_layout(tmp_path / "other")))
        await asyncio.to_thread(registry.start)
        assert (await pulling).descriptor.digest == written.digest


async def test_a_registry_that_is_away_is_said() -> None:
    """Nobody listens."""
    async with Registry(f"127.0.0.1:{free_port()}", OPEN) as client:
        with refused(ErrorCode.OCI_UNREACHABLE):
            await client.ping()


async def test_what_is_not_there_is_said(repository: Repository) -> None:
    """A repository, a tag, a blob."""
    with refused(ErrorCode.OCI_NOT_FOUND):
        await repository.fetch("v1")
    with refused(ErrorCode.OCI_NOT_FOUND):
        await repository.tags()
    assert await repository.blob_size(digest_bytes(b"nothing")) is None


async def test_a_blob_that_was_damaged_there_is_not_taken(
    registry: DockerRegistry, repository: Repository, layout: Layout, tmp_path: Path
) -> None:
    """A bit flipped on the registry's disk is found by the digest."""
    data = pattern(MIB, 9)
    await push(layout, image(layout, [data]), repository, tag="v1")
    registry.damage(digest_bytes(data))
    other = empty_layout(tmp_path / "other")
    with refused(ErrorCode.DIGEST_MISMATCH, digest_bytes(data)):
        await pull(repository, "v1", other)
    assert other.index().manifests == ()


async def test_a_tag_is_moved_only_from_where_it_is_expected(layout: Layout, repository: Repository) -> None:
    """Somebody else's move is not undone."""
    first, second = image(layout, [MODEL]), image(layout, [CHANGED])
    await push(layout, first, repository, tag="v1")
    await push(layout, second, repository)
    target = await repository.fetch(second.digest)
    with refused(ErrorCode.OCI_TAG_MOVED, first.digest):
        await repository.move_tag("v1", target, expected=second.digest)
    await repository.move_tag("v1", target, expected=first.digest)
    assert await repository.resolve("v1") == second.digest


async def test_images_are_deleted(layout: Layout, repository: Repository) -> None:
    """Manifest and blobs; a tag alone cannot be deleted here, and that is said."""
    written = image(layout, [MODEL])
    await push(layout, written, repository, tag="v1")
    with refused(ErrorCode.OCI_REFUSED):
        await repository.delete_manifest("v1")
    for _ in range(2):
        await repository.delete_manifest(written.digest)
        await repository.delete_blob(digest_bytes(MODEL))
    assert await repository.blob_size(digest_bytes(MODEL)) is None
    with refused(ErrorCode.OCI_NOT_FOUND):
        await repository.fetch(written.digest)
